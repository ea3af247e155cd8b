// Watches the servers: which of them is the primary, how far the replicas are behind, and whether they answer at all.
#pragma once

#include "pgmend/net/backend_set.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pgmend::control {

struct monitor_settings {
    std::vector<std::shared_ptr<net::backend_server const>> servers;
    std::string connection; ///< as watcher_settings::connection
    net::health_settings health;
    bool reads_defaults{false}; ///< which sessions begin read-only
};

class monitor_loop;

/// The thread that asks every server each second (`health.every`), over one connection each. What it learns goes into the
/// servers' net::server_state, and its questions count for their breakers as any client's would. The functions may be called from
/// any thread. Owned by `app`; what the callbacks touch must outlive `stop`.
class backend_monitor {
  public:
    struct callbacks {
        /// Another server has become the one primary. On the monitor's thread.
        std::function<void(std::shared_ptr<net::backend_server const>)> primary_found;
        /// A server has stopped answering, and its breaker is open. On the monitor's thread.
        std::function<void()> silence_began;
    };

    backend_monitor(monitor_settings settings, std::shared_ptr<net::backend_set> backends, callbacks tells);
    ~backend_monitor(); ///< stops
    backend_monitor(backend_monitor const&) = delete;
    backend_monitor& operator=(backend_monitor const&) = delete;

    void start();
    void stop(); ///< joins the thread; may be called again
    void reconfigure(monitor_settings settings);
    /// Ask all servers now: something has failed.
    void look_now();

  private:
    template <class F>
    void hand_over(F f);

    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::unique_ptr<monitor_loop> loop_; ///< only touched on the thread
    std::thread thread_;
    std::mutex stopping_;
    bool stopped_{false};
};

} // namespace pgmend::control
