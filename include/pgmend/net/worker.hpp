// One thread and the sessions that live on it.
#pragma once

#include "pgmend/net/event.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/net/session_figures.hpp"
#include "pgmend/net/stream.hpp"
#include "pgmend/session/database_judge.hpp"
#include "pgmend/session/session_memory.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace pgmend::net {

class client_session;

/// A thread, its event loop and its sessions: a session is born, lives and dies here, so that nothing on a statement's
/// path needs a lock. Reads of all sessions go through one buffer, which is hot in the cache; a session keeps a copy
/// only of what it could not pass on at once.
class worker {
  public:
    /// Larger than any frame that the machines wait for, and than what a socket usually holds.
    static constexpr std::size_t scratch_bytes = 192 * 1024;

    worker(services& shared, unsigned number);
    ~worker();

    void start();
    /// Any thread: takes over an accepted, connected socket.
    void adopt(int descriptor);
    /// Any thread: every session ends after its transaction; the thread ends after the last session.
    void drain();
    /// Any thread: every session is told 57P01 and ends now.
    void terminate();
    /// Waits for the thread to end; after `terminate` it does so by itself.
    void join();

    /// Any thread: how many sessions there are, for choosing where the next one goes.
    [[nodiscard]] std::size_t load() const { return load_.load(std::memory_order_relaxed); }

    /// Any thread: a breaker has opened, so sessions that wait for its server need not wait any longer.
    void breaker_opened(backend::shared_breaker const& which);
    /// Any thread: a server has stopped answering. Requests that wait for it end after health.give_up_after.
    void silence_began();

    /// Any thread: answers with all sessions, on this thread. Not once the thread has ended.
    void describe(std::function<void(std::vector<session_figures>)> answer);

    /// Any thread: notes how long this waits for the event loop, and what only this thread can count.
    void sample();

    /// Any thread: sessions of this database (empty: all) hold their client's statements back as soon as no transaction is under way.
    void pause(std::string database);
    void resume(std::string database);
    void kill(std::string database);
    struct pause_progress {
        std::size_t busy{0};        ///< paused sessions that still have something under way
        std::size_t replicating{0}; ///< sessions that go on, since they replicate
    };
    /// Any thread: answers on this thread.
    void count_busy(std::function<void(pause_progress)> answer);
    [[nodiscard]] bool is_paused(std::string const& database) const { return paused_all_ || paused_.contains(database); }

    // For sessions, on this thread only.
    [[nodiscard]] executor get_executor() { return loop_.get_executor(); }
    [[nodiscard]] services& shared() { return shared_; }
    [[nodiscard]] telemetry::worker_figures& counted() { return counted_; }
    [[nodiscard]] std::shared_ptr<live_settings const> const& settings() { return settings_.get(); }
    [[nodiscard]] std::shared_ptr<rules::rule_set const> const& rules() { return rules_.get(); }
    /// What this worker's sessions in one database share. Not for services without schemas.
    [[nodiscard]] std::shared_ptr<session::database_judge> judge_of(std::string const& database);
    /// Before statements are looked at: three atomic loads while the configuration is the same.
    void follow_configuration() {
        if (settings_.get() != followed_settings_ || rules_.get() != followed_rules_ || book_.get() != followed_book_) configure_judges();
    }
    /// Where this thread's sessions count requests that a server has answered.
    [[nodiscard]] backend::tally& tally_of(server_state& server);
    [[nodiscard]] char* scratch() { return scratch_.get(); }
    [[nodiscard]] session::known_effects& effects() { return effects_; }
    void enter(client_session* session);
    void leave(client_session* session);
    /// A session has waited without having seen the end of its input: look at all of them in a second.
    void look_again_later() {
        if (!looking_again_) begin_looking_again();
    }

  private:
    void begin_looking_again();
    void watch_silence();
    void end_when_empty();
    void configure_judges();

    services& shared_;
    telemetry::worker_figures& counted_;
    unsigned number_;
    base::published<live_settings>::reader settings_;
    base::published<rules::rule_set>::reader rules_;
    std::shared_ptr<live_settings const> followed_settings_;
    std::shared_ptr<rules::rule_set const> followed_rules_;
    base::published<learning::pattern_book>::reader book_;
    std::shared_ptr<learning::pattern_book const> followed_book_;
    std::map<std::string, std::shared_ptr<session::database_judge>> judges_; ///< by database
    std::map<server_state const*, backend::tally*> tallies_;
    std::unique_ptr<char[]> scratch_;
    session::known_effects effects_;
    std::unordered_set<client_session*> sessions_;
    std::atomic<std::size_t> load_{0};
    bool paused_all_{false};
    std::unordered_set<std::string> paused_; ///< databases
    bool ending_{false};
    bool terminating_{false};
    bool looking_again_{false};
    bool watching_silence_{false};
    loop loop_; // destroyed first: its handlers own the sessions, which leave this worker
    timer look_again_timer_;
    timer silence_timer_;
    std::thread thread_;
};

} // namespace pgmend::net
