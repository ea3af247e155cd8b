// What the backend monitor does on its thread.
#pragma once

#include "pgmend/backend/fault.hpp"
#include "pgmend/backend/replay_lag.hpp"
#include "pgmend/control/backend_monitor.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <boost/asio/basic_waitable_timer.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::control {

/// One coroutine for each server: ask, tell, pause.
///
///     asked ── an answer ──> role, lag, cluster are known ── pause ──> asked
///       └── no answer ──> asked again at once; after the second time the role is unknown, so that a dead primary is no rival of
///                         the one that was promoted. While its breaker is open an answer makes it half open
///
/// The first server in the file that answers at the start says which cluster is meant; one of another cluster is never used, and reported. Every call on
/// the monitor's thread; nothing here blocks.
class monitor_loop {
  public:
    monitor_loop(boost::asio::io_context& io, monitor_settings settings, std::shared_ptr<net::backend_set> backends, backend_monitor::callbacks tells);

    void start();
    void reconfigure(monitor_settings settings);
    void look_now();

  private:
    using timer_type = boost::asio::basic_waitable_timer<base::steady, boost::asio::wait_traits<base::steady>, boost::asio::io_context::executor_type>;

    struct watched {
        watched(boost::asio::io_context& io, std::shared_ptr<net::backend_server const> its_server) : server{std::move(its_server)}, connection{io}, pause{io} {}

        std::shared_ptr<net::backend_server const> server;
        pg::pg_connection connection;
        timer_type pause;
        bool over{false};      ///< it is no longer configured like this
        bool asked{false};
        std::string cluster;   ///< system identifier that it last told; empty: it has not answered yet
        bool foreign{false};   ///< of another cluster; reported
        bool local_lack{false};
        unsigned unanswered{0}; ///< checks in a row
        base::time_point told_at{};
        std::size_t database{0}; ///< which of control_databases() lets us in
    };
    struct findings {
        bool in_recovery{false};
        bool read_only{false};
        std::string cluster;
        std::uint64_t position{0};
        std::optional<net::backend_set::defaults> read_only_defaults;
    };

    pg::task<void> watch(std::shared_ptr<watched> w);
    pg::task<void> sleep(std::shared_ptr<watched> w, base::duration time);
    pg::task<pg::result<findings>> check(std::shared_ptr<watched> w);
    pg::task<pg::result<void>> open(std::shared_ptr<watched> w, base::time_point deadline);
    void accept(watched& w, findings const& found);
    void on_failed(watched& w, pg::error const& problem);
    void set_role(watched& w, backend::server_role role);
    void look_for_primary();
    void note_asked(watched& w);
    [[nodiscard]] bool all_asked() const;
    void note_cluster(watched& w, std::string const& cluster);
    void judge_cluster(watched& w);

    boost::asio::io_context& io_;
    monitor_settings settings_;
    std::shared_ptr<net::backend_set> backends_;
    backend_monitor::callbacks tells_;
    std::vector<std::shared_ptr<watched>> servers_;
    std::string cluster_; ///< system identifier; empty: nobody has told yet
    bool cluster_settled_{false};
    backend::replay_lag lag_;
    std::string primary_; ///< its name
    bool conflict_{false};
    base::time_point suspected_at_{}; ///< of two primaries; reported once each has said it again
};

} // namespace pgmend::control
