// What every store shares: its thread, the order of work, and the buffer for what is not urgent.
#pragma once

#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/catalog/version_store.hpp"
#include "pgmend/state/store.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace pgmend::store {

class tables;

struct batch_settings {
    std::chrono::milliseconds flush_every{500}; ///< what is noted waits so long at most
    std::chrono::milliseconds retry_every{1000}; ///< how often a place that is down is tried again
    std::size_t most_waiting{20000};            ///< changes noted and not written; more are dropped and counted
    backend::shared_breaker* breaker{nullptr};  ///< while it is open nothing is tried; null: there is none
};

/// One thread does all that touches the place, in the order in which it was asked for; it waits, others do not. While the
/// place is down, what is noted waits in a bounded buffer, and what has to be durable is refused. Each change of its condition
/// is logged once: `state.failed`, `state.recovered` (with the count of what had to be dropped so far). A place that only fails is
/// left alone while its circuit breaker is open.
class batching_store : public state::store, public catalog::version_store {
  public:
    ~batching_store() override; ///< a subclass has called stop() by then
    batching_store(batching_store const&) = delete;
    batching_store& operator=(batching_store const&) = delete;

    void keep(std::vector<state::change> changes, state::store::kept answer, std::chrono::steady_clock::time_point not_after) override;
    void note(state::change what) override;
    void load_patterns(std::function<void(base::result<std::vector<learning::pattern>>)> answer) override;
    void load_drift(std::function<void(base::result<std::vector<state::drift_row>>)> answer) override;
    void load_entries(state::entry::table_type table, std::function<void(base::result<std::vector<state::entry>>)> answer) override;
    [[nodiscard]] condition now() const override;

    void load(std::string const& database, std::shared_ptr<catalog::snapshot const> current, std::function<void(catalog::version_store::kept)> answer) override;
    void save(std::string const& database, std::shared_ptr<catalog::history const> schema, catalog::version_note note) override;

    /// Writes what waits, as far as possible, and ends the thread. Later calls are answered in the calling thread, with an error.
    void stop();

  protected:
    /// Whether the place was found to be damaged while it was in use: opening it again makes it whole, and is done at once.
    [[nodiscard]] virtual bool damaged() const { return false; }

    /// `place`: for logs, without secrets. `open`: makes the tables; throws `failure` or anything else.
    batching_store(std::string place, std::function<std::unique_ptr<tables>()> open, batch_settings settings);
    void begin(); ///< starts the thread, once everything is made

    bool hand_over(std::function<void()> job);
    [[nodiscard]] std::string const& place() const { return place_; }

    // On the thread.
    [[nodiscard]] tables* opened(); ///< null: it is down
    void fell(std::exception const& why, bool close); ///< it failed
    void worked();                                    ///< what opened() gave did what it was asked for

  private:
    template <class T, class F>
    void load_records(std::function<void(base::result<T>)> answer, F read);
    void run();
    void flush();
    [[nodiscard]] bool apply_pending();
    void drop(std::size_t count);

    std::string place_;
    std::function<std::unique_ptr<tables>()> open_;
    batch_settings settings_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    std::vector<state::change> noted_;
    std::size_t pending_count_{0}; ///< of pending_
    std::uint64_t dropped_{0};
    std::string problem_;
    bool up_{false};
    bool newer_{false};
    bool stopping_{false};

    // Only touched on the thread.
    std::unique_ptr<tables> tables_;
    std::vector<state::change> pending_; ///< taken out of noted_, not written yet
    std::chrono::steady_clock::time_point try_again_{};
    bool told_{false};
    std::optional<backend::breaker::call> call_; ///< under way

    std::thread thread_;
};

} // namespace pgmend::store
