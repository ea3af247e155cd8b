#include "pgmend/control/backend_monitor.hpp"

#include "monitor_loop.hpp"

#include "pgmend/base/log.hpp"

#include <boost/asio/post.hpp>

#include <pthread.h>

#include <exception>
#include <utility>

namespace pgmend::control {

backend_monitor::backend_monitor(monitor_settings settings, std::shared_ptr<net::backend_set> backends, callbacks tells)
    : work_{io_.get_executor()}, loop_{std::make_unique<monitor_loop>(io_, std::move(settings), std::move(backends), std::move(tells))} {}

backend_monitor::~backend_monitor() { stop(); }

template <class F>
void backend_monitor::hand_over(F f) {
    std::lock_guard const lock{stopping_};
    if (!stopped_) boost::asio::post(io_, std::move(f));
}

void backend_monitor::start() {
    hand_over([this] { loop_->start(); });
    auto run = [this] {
        pthread_setname_np(pthread_self(), "monitor");
        for (;;) {
            try {
                io_.run();
                return;
            } catch (std::exception const& failure) { // memory; the next check may have it
                base::log(base::log_level::error, "backend.unwatched", {{"reason", failure.what()}});
            }
        }
    };
    thread_ = std::thread{run};
}

void backend_monitor::stop() {
    {
        std::lock_guard const lock{stopping_};
        if (std::exchange(stopped_, true)) return;
    }
    io_.stop();
    if (thread_.joinable()) thread_.join();
}

void backend_monitor::reconfigure(monitor_settings settings) {
    hand_over([this, settings = std::move(settings)]() mutable { loop_->reconfigure(std::move(settings)); });
}

void backend_monitor::look_now() {
    hand_over([this] { loop_->look_now(); });
}

} // namespace pgmend::control
