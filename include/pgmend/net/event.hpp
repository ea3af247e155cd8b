// Waiting for a time, or for another coroutine of the same thread.
#pragma once

#include "pgmend/net/use_tuple.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>

#include <chrono>
#include <utility>

namespace pgmend::net {

/// As Asio's, on a loop: its waits end when its time has come, or with an error when it is set anew, cancelled or destroyed.
class timer {
  public:
    using clock_type = std::chrono::steady_clock;
    using duration = clock_type::duration;
    using time_point = clock_type::time_point;

    explicit timer(executor where, time_point until = {}) : loop_{&where.context()}, expiry_{until} {}
    timer(executor where, duration from_now) : timer{where, clock_type::now() + from_now} {}
    ~timer() { cancel(); }
    timer(timer const&) = delete;
    timer& operator=(timer const&) = delete;

    void expires_after(duration from_now) {
        cancel();
        expiry_ = clock_type::now() + from_now;
    }
    [[nodiscard]] time_point expiry() const { return expiry_; }
    void cancel() { loop_->end_waits(it_, boost::asio::error::operation_aborted); }

    /// `token` takes an error_code.
    template <class Token>
    auto async_wait(Token&& token) {
        auto begin = [this](auto handler) { loop_->wait(it_, expiry_, completion{std::move(handler)}); };
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(std::move(begin), token);
    }

  private:
    loop* loop_;
    time_point expiry_;
    loop::pending_timer it_;
};

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
