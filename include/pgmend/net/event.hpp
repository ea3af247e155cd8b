// Waiting for another coroutine of the same thread.
#pragma once

#include "pgmend/net/use_tuple.hpp"

#include <boost/asio/basic_waitable_timer.hpp>

#include <chrono>

namespace pgmend::net {

using timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                boost::asio::wait_traits<std::chrono::steady_clock>, executor>;

/// `wait` returns after the next `notify`. Both on the same thread: so check the condition, then wait, in a loop.
class event {
  public:
    explicit event(executor where) : timer_{where, timer::time_point::max()} {}

    awaitable<> wait() { co_await timer_.async_wait(use_tuple); }
    void notify() { timer_.cancel(); }

  private:
    timer timer_;
};

} // namespace pgmend::net
