// Waiting for a socket to become readable or writable, edge by edge.
#pragma once

#include "pgmend/net/loop.hpp"

#include <boost/asio/async_result.hpp>

#include <memory>
#include <utility>

namespace pgmend::net {

/// Registers a descriptor with a loop, once, and waits for edges: each wait ends with the first event since the wait before it. So: read until there is no
/// more, then wait. Nothing is armed again, which saves a system call for each wait.
///
/// One edge may stand for two things that came together. Bytes are never missed: a read that got less than it had room
/// for has seen the end of them. The end of the stream is, until the next edge: see `nudge`.
///
/// Owned by a stream, on the thread of its loop.
class readiness {
  public:
    enum class direction : std::uint8_t { read, write };

    readiness() = default;
    /// Does not own the descriptor, which must be non-blocking and stay open until `remove`.
    readiness(loop& where, int descriptor);
    readiness(readiness&& other) noexcept = default;
    readiness& operator=(readiness&& other) noexcept {
        remove();
        loop_ = other.loop_;
        it_ = std::move(other.it_);
        return *this;
    }
    ~readiness() { remove(); }

    /// Calls `handler(error_code)`, never from inside this call. After `remove` it is called with an error. One edge ends all waits for it.
    template <class Handler>
    void wait(direction what, Handler handler) {
        loop_->wait(*it_, what == direction::read ? loop::read : loop::write, completion{std::move(handler)});
    }

    /// The same, as one of Asio's operations. `token` takes an error_code.
    template <class Token>
    auto async_wait(direction what, Token&& token) {
        auto begin = [this, what](auto handler) { wait(what, std::move(handler)); };
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(std::move(begin), token);
    }

    /// Ends the waits under way, with an error, so that their handlers look again.
    void nudge() {
        if (it_) loop_->end_waits(*it_);
    }

    /// Ends the waits under way and forgets the descriptor, which is to be closed next.
    void remove();

  private:
    loop* loop_{nullptr};
    std::unique_ptr<loop::watched> it_;
};

} // namespace pgmend::net
