#include "pgmend/net/worker.hpp"

#include "net/client_session.hpp"
#include "pgmend/base/log.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>

namespace pgmend::net {

worker::worker(services& shared, unsigned number)
    : shared_{shared}, counted_{shared.figures.add_worker()}, number_{number}, settings_{shared.settings}, rules_{shared.rules}, book_{shared.book},
      scratch_{std::make_unique<char[]>(scratch_bytes)},
      look_again_timer_{loop_.get_executor()}, silence_timer_{loop_.get_executor()} {}

worker::~worker() {
    if (thread_.joinable()) {
        loop_.stop();
        thread_.join();
    }
    ending_ = false; // sessions that the loop destroys leave, and the timers are gone by then
}

void worker::start() {
    auto run = [this] {
        pthread_setname_np(pthread_self(), fmt::format("worker-{}", number_).c_str());
        for (;;) {
            try {
                loop_.run();
                return;
            } catch (std::exception const& failure) { // memory; the session that met it ends, the others go on
                base::log(base::log_level::error, "client.failed", {{"reason", failure.what()}});
            }
        }
    };
    thread_ = std::thread{run};
}

void worker::adopt(int descriptor) {
    load_.fetch_add(1, std::memory_order_relaxed);
    auto begin = [this, descriptor] {
        if (terminating_) (void)::close(descriptor);
        else client_session::start(*this, stream{loop_, descriptor});
        load_.fetch_sub(1, std::memory_order_relaxed); // the session has entered, or there is none
    };
    boost::asio::post(loop_, begin);
}

/// The texts of a database outlive its sessions: many clients connect for one statement. Past the bound those without sessions go.
std::shared_ptr<session::database_judge> worker::judge_of(std::string const& database) {
    constexpr std::size_t most_databases = 64;
    if (judges_.size() >= most_databases && !judges_.contains(database)) {
        std::erase_if(judges_, [](auto const& entry) { return entry.second.use_count() == 1; });
    }
    auto& judge = judges_[database];
    if (!judge) {
        judge = std::make_shared<session::database_judge>(shared_.schemas->published(database));
        judge->configure(settings_.get()->healing, rules_.get(), book_.get());
    }
    return judge;
}

void worker::configure_judges() {
    followed_settings_ = settings_.get();
    followed_rules_ = rules_.get();
    followed_book_ = book_.get();
    for (auto const& [database, judge] : judges_) judge->configure(followed_settings_->healing, followed_rules_, followed_book_);
}

void worker::enter(client_session* session) {
    sessions_.insert(session);
    load_.fetch_add(1, std::memory_order_relaxed);
}

void worker::leave(client_session* session) {
    if (sessions_.erase(session) == 0) return;
    load_.fetch_sub(1, std::memory_order_relaxed);
    end_when_empty();
}

void worker::end_when_empty() {
    if (!ending_ || !sessions_.empty()) return;
    look_again_timer_.cancel();
    silence_timer_.cancel();
    loop_.end_when_idle();
}

void worker::describe(std::function<void(std::vector<session_figures>)> answer) {
    auto look = [this, answer = std::move(answer)] {
        std::vector<session_figures> all;
        all.reserve(sessions_.size());
        for (auto const* const session : sessions_) all.push_back(session->figures());
        answer(std::move(all));
    };
    boost::asio::post(loop_, std::move(look));
}

void worker::breaker_opened(backend::shared_breaker const& which) {
    auto look = [this, opened = &which] {
        auto const all = sessions_; // a session may leave meanwhile
        for (auto* const session : all) session->breaker_opened(*opened);
    };
    boost::asio::post(loop_, look);
}

void worker::silence_began() {
    auto begin = [this] {
        if (!watching_silence_) watch_silence();
    };
    boost::asio::post(loop_, begin);
}

void worker::watch_silence() {
    constexpr std::chrono::milliseconds every{500};
    watching_silence_ = true;
    silence_timer_.expires_after(every);
    auto look = [this](boost::system::error_code cancelled) {
        watching_silence_ = false;
        if (cancelled) return;
        bool silent = false;
        auto const all = sessions_; // a session may leave meanwhile
        for (auto* const session : all) silent = session->wait_in_silence() || silent;
        if (silent) watch_silence();
    };
    silence_timer_.async_wait(look);
}

backend::tally& worker::tally_of(server_state& server) {
    auto& tally = tallies_[&server];
    if (tally == nullptr) tally = &server.statements.new_tally();
    return *tally;
}

void worker::sample() {
    auto look = [this, posted = std::chrono::steady_clock::now()] {
        auto const waited = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - posted);
        auto const lag = static_cast<std::uint64_t>(std::max<std::int64_t>(waited.count(), 0));
        counted_.lag_us.set(lag);
        counted_.most_lag_us.set(std::max(lag, counted_.most_lag_us.get()));
        std::uint64_t servers = 0;
        std::uint64_t logged_in = 0;
        auto const now = base::steady::now();
        for (auto* const session : sessions_) {
            session->leave_idle_replica(now);
            if (session->is_logged_in()) ++logged_in;
            if (session->has_server()) ++servers;
        }
        counted_.clients.set(logged_in);
        counted_.logging_in.set(sessions_.size() - logged_in);
        counted_.servers.set(servers);
        healing::rewrite_cache::counters all;
        std::uint64_t entries = 0;
        std::uint64_t bytes = 0;
        for (auto const& [database, judge] : judges_) {
            auto const& cache = judge->cache();
            all.hits += cache.counts().hits;
            all.misses += cache.counts().misses;
            all.evicted += cache.counts().evicted;
            all.outdated += cache.counts().outdated;
            entries += cache.size();
            bytes += cache.bytes();
        }
        // Caches of databases that nobody uses go; what they counted does not come back.
        counted_.cache_hits.set(std::max(all.hits, counted_.cache_hits.get()));
        counted_.cache_misses.set(std::max(all.misses, counted_.cache_misses.get()));
        counted_.cache_evicted.set(std::max(all.evicted, counted_.cache_evicted.get()));
        counted_.cache_outdated.set(std::max(all.outdated, counted_.cache_outdated.get()));
        counted_.cache_entries.set(entries);
        counted_.cache_bytes.set(bytes);
    };
    boost::asio::post(loop_, std::move(look));
}

void worker::pause(std::string database) {
    auto begin = [this, database = std::move(database)] {
        if (database.empty()) paused_all_ = true;
        else paused_.insert(database);
        for (auto* const session : sessions_) session->follow_pause();
    };
    boost::asio::post(loop_, std::move(begin));
}

void worker::resume(std::string database) {
    auto end = [this, database = std::move(database)] {
        if (database.empty()) {
            paused_all_ = false;
            paused_.clear();
        } else {
            paused_.erase(database);
        }
        for (auto* const session : sessions_) session->follow_pause();
    };
    boost::asio::post(loop_, std::move(end));
}

void worker::kill(std::string database) {
    auto end = [this, database = std::move(database)] {
        auto const all = sessions_; // a session may leave meanwhile
        for (auto* const session : all)
            if ((session->has_server() || session->has_lost_server()) && (database.empty() || session->database() == database)) session->terminate("Somebody said KILL in pgmend's console.");
    };
    boost::asio::post(loop_, std::move(end));
}

void worker::count_busy(std::function<void(pause_progress)> answer) {
    auto look = [this, answer = std::move(answer)] {
        pause_progress now;
        for (auto const* const session : sessions_) {
            if (session->is_paused() && !session->is_idle()) ++now.busy;
            if (session->is_replicating() && is_paused(session->database())) ++now.replicating;
        }
        answer(now);
    };
    boost::asio::post(loop_, std::move(look));
}

void worker::begin_looking_again() {
    looking_again_ = true;
    look_again_timer_.expires_after(std::chrono::seconds{1});
    auto look = [this](boost::system::error_code cancelled) {
        looking_again_ = false;
        if (cancelled) return;
        for (auto* const session : sessions_) session->look_again();
    };
    look_again_timer_.async_wait(look);
}

void worker::drain() {
    auto begin = [this] {
        ending_ = true;
        auto const all = sessions_; // a session may leave meanwhile
        for (auto* const session : all) session->drain();
        end_when_empty();
    };
    boost::asio::post(loop_, begin);
}

void worker::terminate() {
    auto begin = [this] {
        ending_ = terminating_ = true;
        auto const all = sessions_;
        for (auto* const session : all) session->terminate();
        loop_.stop(); // what still waits is destroyed with the loop
    };
    boost::asio::post(loop_, begin);
}

void worker::join() {
    if (thread_.joinable()) thread_.join();
}

} // namespace pgmend::net
