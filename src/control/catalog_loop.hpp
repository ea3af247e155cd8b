// What the catalog watcher does on its thread.
#pragma once

#include "catalog_reader.hpp"
#include "publications.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/catalog/version_store.hpp"
#include "pgmend/control/catalog_watcher.hpp"
#include "pgmend/control/load_schedule.hpp"

#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace pgmend::control {

/// Decides which database's catalog is read when, over which connection, and who is answered with what.
///
/// Of each database:
///
///     unknown ── watch, refresh ──> served: wait until a reading is wanted and the schedule lets it begin,
///        ^                          read, answer; between readings ask every second whether something was written
///        └── nobody watches it, nothing waits: the connection is closed, the history stays
///
/// What makes it read again (`cause`): a notification of the event trigger; counters of writes, often; a look at all rows, now
/// and then; DDL that went through pgmend; a statement that failed; a connection that was lost, since nothing was seen meanwhile.
///
/// A refresh about some names reads what has to do with them (a millisecond), ahead of everything else, and all of it follows where that has changed.
/// Another one waits for the next reading to begin, shares it with all that came meanwhile, and is answered at its end, or
/// with a problem when its time is over, even if the reading is still under way. One coroutine serves a database, so its
/// connection needs no locks. Owned by catalog_watcher; every call on the watcher's thread; nothing here blocks.
class catalog_loop {
  public:
    using answer_type = std::function<void(catalog::schema_answer)>;

    /// `published` and `store` (may be null) outlive it.
    catalog_loop(boost::asio::io_context& io, watcher_settings settings, publications& published, catalog::version_store* store);
    ~catalog_loop();
    catalog_loop(catalog_loop const&) = delete;
    catalog_loop& operator=(catalog_loop const&) = delete;

    void start();
    void watch(std::string const& name);
    void unwatch(std::string const& name);
    void refresh(std::string const& name, std::vector<std::string> about, answer_type answer);
    void hint_changed(std::string const& name);
    void reconfigure(watcher_settings settings);
    [[nodiscard]] std::vector<watched_database> describe() const;
    /// Before `start`; both outlive it. Where people approve that lineage goes on after a restore.
    void decide_with(base::published<learning::pattern_book> const& book, learning::observer& tell) {
        book_ = &book;
        observer_ = &tell;
    }
    void stop(); ///< answers all that waits; the caller stops the io_context

  private:
    using timer_type = boost::asio::basic_waitable_timer<base::steady, boost::asio::wait_traits<base::steady>,
                                                         boost::asio::io_context::executor_type>;

    struct waiting_answer {
        answer_type answer;
        base::time_point deadline;
        std::vector<std::string> about; ///< of looks
    };

    struct adoption_offer {
        std::vector<catalog::history::kept_version> versions; ///< as if they were this database's
        std::string pattern;                                  ///< what a person approves
    };

    struct database {
        database(boost::asio::io_context& io, std::string its_name) : name{std::move(its_name)}, wake{io} {}

        std::string name;
        std::size_t watches{0};
        bool served{false}; ///< its coroutine runs
        changed_objects told;     ///< by the event trigger, and not read yet
        bool look_everywhere{true}; ///< the next reading has to see everything, not only what was told
        bool stale{true};   ///< a reading is wanted while somebody watches, even if no refresh waits
        load_schedule schedule;
        std::shared_ptr<catalog::history const> schema; ///< null until the first reading
        bool was_published{false};
        std::optional<catalog::database_identity> kept; ///< the store was asked for it, and may be given more versions
        std::deque<waiting_answer> looks;   ///< wait for a reading of some objects to begin
        std::deque<waiting_answer> next;    ///< wait for a reading to begin
        std::deque<waiting_answer> current; ///< wait for the reading that is under way to end
        std::unique_ptr<catalog_reader> reader;
        std::uint64_t reader_settings{0};   ///< the settings' version that it was opened with
        base::time_point next_look{};       ///< when to compare the counters
        base::time_point next_verify{};     ///< when to look for newer rows, whatever the counters say
        unsigned in_vain{0};                ///< readings since the last change that only counters wanted, and that found nothing
        std::string_view cause{"start"};    ///< of the next reading of everything; "" once it began
        bool parts_were_last{false};        ///< the last reading was of what the trigger told alone
        bool waits{false};                  ///< its coroutine waits for a notification
        base::duration last_took{};
        std::uint64_t loads{0};
        std::optional<pg::error> problem;   ///< of the last reading
        std::vector<catalog::history::kept_version> namesake; ///< kept of a database of this name with another identity, not yet considered
        std::optional<adoption_offer> offer;
        std::string lineage;                ///< for people: what became of it when the identity changed; empty: nothing did
        timer_type wake;

        [[nodiscard]] bool wants_reading() const { return !next.empty() || (stale && watches > 0); }
    };

    // Answers (catalog_loop.cpp)
    database& find_or_add(std::string const& name);
    void forget_idle_unknown();
    void answer_all(std::deque<waiting_answer>& waiting, catalog::schema_answer const& with);
    void answer_late();
    void arm_expiry(base::time_point earliest);

    // Reading (catalog_loop_reading.cpp)
    void wake(database& d);
    void on_served(database& d, std::exception_ptr broken);
    pg::task<void> serve(database* d);
    pg::task<void> sleep(database* d, base::time_point until);
    pg::task<void> wait(database* d, base::time_point until);
    pg::task<void> look(database* d);
    pg::task<void> look_up(database* d);
    pg::task<void> reload(database* d, bool parts);
    pg::task<pg::result<catalog_reader::reading>> read(database* d, changed_objects what);
    pg::task<pg::result<void>> open(database* d);
    pg::task<void> restore(database* d, catalog_reader::reading* r);
    [[nodiscard]] catalog::history_limits limits() const { return {settings_.keep_versions, settings_.keep_for}; }
    void want_reading(database& d, std::string_view cause);
    static void note_cause(database& d, std::string_view cause);
    [[nodiscard]] static bool parts_first(database const& d, base::time_point now);
    [[nodiscard]] base::duration pause_between_looks(database const& d) const;
    [[nodiscard]] base::time_point next_event(database const& d) const;
    void accept(database& d, catalog_reader::reading const& r, std::string_view cause);
    void tell(database const& d, catalog_reader::reading const& r, std::string_view cause, bool changed) const;
    void on_failed(database& d, pg::error const& e);

    // After a restore or an upgrade (catalog_loop_adopting.cpp)
    void consider_adoption(database& d, std::vector<catalog::history::kept_version> kept);
    void adopt_if_approved(database& d);
    void adopt(database& d, std::string_view reason);

    // Start-up (catalog_loop_startup.cpp)
    struct listing {
        std::vector<std::string> names;
        std::size_t left_out{0};
    };
    void begin_startup();
    pg::task<void> start_up();
    pg::task<pg::result<listing>> list_some_databases();
    pg::task<bool> read_each(std::vector<std::string> names);

    boost::asio::io_context& io_;
    watcher_settings settings_;
    publications& published_;
    catalog::version_store* store_;
    base::published<learning::pattern_book> const* book_{nullptr};
    learning::observer* observer_{nullptr};
    std::minstd_rand luck_{std::random_device{}()};
    std::uint64_t settings_version_{1};
    std::map<std::string, std::unique_ptr<database>> databases_; ///< coroutines hold pointers: none is removed while served
    std::size_t waiting_{0};
    timer_type expiry_;
    timer_type startup_wake_;
    bool starting_{false};
};

} // namespace pgmend::control
