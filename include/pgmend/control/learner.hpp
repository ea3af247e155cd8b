// Keeps the book of patterns: what statements found, what people decided.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/base/published.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/learning/observer.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/state/store.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgmend::control {

struct learner_settings {
    learning::book_limits limits;
    std::chrono::milliseconds batch{10};     ///< how long observations are gathered
    std::size_t most_waiting{10000};         ///< patterns with observations that wait; more are dropped and counted
    std::chrono::milliseconds tidy_every{1000};    ///< how often patterns are looked for whose old name exists again, or that nobody uses
    std::chrono::milliseconds hand_on_every{500};  ///< how often counts go to the store
    std::chrono::milliseconds most_patience{5000}; ///< how long the store may take to keep a decision
};

/// What a person may do with a pattern.
enum class decision : std::uint8_t { approve, reject, suspend, resume };

/// The thread that owns the book. Statements tell it what they saw through learning::observer: that costs them a short
/// mutex and a hash table's entry, whatever the book's size; the same observation twice is one entry with a count. Only what plans
/// ask for (pattern_book::decisions) is published, and only when it changed.
///
/// The functions may be called from any thread. Owned by `app`; whoever holds it as an observer must be done before it is destroyed.
class learner final : public learning::observer {
  public:
    /// `to` must outlive it.
    explicit learner(base::published<learning::pattern_book>& to, learner_settings settings = {});
    ~learner() override; ///< stops
    learner(learner const&) = delete;
    learner& operator=(learner const&) = delete;

    /// Before start, each: where patterns are kept (must outlive this); what it had; and what shall be done whenever counts go to the store.
    void keep_in(state::store* store) { store_ = store; }
    void restore(std::vector<learning::pattern> kept);
    void at_each_hand_on(std::function<void()> also) { also_ = std::move(also); }
    /// Asks for the schemas of all databases; they come by schemas_are().
    void at_each_tidying(std::function<void()> ask) { ask_schemas_ = std::move(ask); }

    void start(); ///< Call once.
    /// Answers what waits and joins the thread; may be called again. From then on answers come in the calling thread.
    void stop();

    void proposed(std::string const& database, std::string const& pattern, learning::evidence from, std::string const& note) override;
    void used(std::string const& database, std::string const& pattern, learning::evidence from, bool success) override;

    /// Answers, on the learner's thread, with the pattern as it is then, or with why not. The decision has been published by
    /// then: a statement that begins after the answer obeys it; and it is durable, where there is a store. APPROVE and RESUME are
    /// undone where the store does not keep them; REJECT and SUSPEND hold, and the answer says that a restart would forget them.
    void decide(decision what, std::uint64_t id, std::function<void(base::result<learning::pattern>)> answer);

    /// Answers with all patterns, by id, on the learner's thread; whatever was observed before the call is in them.
    void describe(std::function<void(std::vector<learning::pattern>)> answer);

    using named_schema = std::pair<std::string, std::shared_ptr<catalog::history const>>;
    /// Any thread. Patterns whose old name exists (again) are retired.
    void schemas_are(std::vector<named_schema> schemas);

    /// Any thread. Uses are judged by these from then on, and what nobody used for so long is looked for at once.
    void configure(learning::book_limits limits);

    /// Any thread. What another instance has decided or found, as a shared store has it now.
    void adopt(std::vector<learning::pattern> stored);
    /// Answers with how many there are, at a small part of the cost of describing them.
    void count(std::function<void(learning::pattern_counts)> answer);

    /// Observations that found no room.
    [[nodiscard]] std::uint64_t dropped() const;

  private:
    using work_guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

    /// What was seen of one pattern since the last batch.
    struct tally {
        std::string database;
        std::string pattern;
        learning::evidence from{};
        std::string note;
        bool proposed{false};
        std::uint64_t successes{0};
        std::uint64_t failures{0};
    };

    template <class F>
    bool hand_over(F f);
    template <class F>
    void observe(std::string const& database, std::string const& pattern, learning::evidence from, F change);
    void run();

    // On the thread.
    void gather();
    void apply();
    void tidy_later();
    void publish();
    void hand_on_later();
    void hand_on();
    void retire_those_that_are_back(std::vector<named_schema> const& schemas);
    /// A pattern's state has changed: for the log and the store.
    void note(learning::pattern_book::change const& change);
    void note_use(std::uint64_t id, std::uint64_t successes, std::uint64_t failures);
    [[nodiscard]] base::result<void> keep_durably(learning::pattern const& it);
    void log_change(learning::pattern_book::change const& change) const;
    [[nodiscard]] base::result<learning::pattern> decide_now(decision what, std::uint64_t id);

    base::published<learning::pattern_book>& to_;
    learner_settings settings_;

    mutable std::mutex waiting_mutex_;
    std::unordered_map<std::string, tally> waiting_; ///< by evidence, database, pattern
    bool gathering_{false};
    std::uint64_t dropped_{0};

    boost::asio::io_context io_{1};
    work_guard work_;
    boost::asio::steady_timer batch_timer_;
    boost::asio::steady_timer tidy_timer_;
    boost::asio::steady_timer hand_on_timer_;
    state::store* store_{nullptr};
    std::function<void()> also_;
    std::function<void()> ask_schemas_;
    struct unsaved {
        bool decided{false};
        std::uint64_t successes{0};
        std::uint64_t failures{0};
    };
    std::unordered_map<std::uint64_t, unsaved> unsaved_;                ///< by pattern; only touched on the thread
    std::unordered_map<std::string, std::uint64_t> seen_generations_;   ///< of the schemas, by database; likewise
    std::chrono::steady_clock::time_point look_for_unused_{};           ///< likewise
    learning::pattern_book book_; ///< only touched on the thread
    std::uint64_t published_generation_;
    std::thread thread_;
    std::mutex stopping_; ///< orders every hand-over before or after stop
    bool stopped_{false};
};

} // namespace pgmend::control
