// Waiting for a socket to become readable or writable, edge by edge.
#pragma once

#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/system/error_code.hpp>

#include <utility>

namespace pgmend::net {

/// Registers a descriptor with the reactor of an io_context and waits for edges: each wait ends with the first
/// event since the wait before it. So: read until there is no more, then wait.
///
/// This uses Asio's reactor below its public face (Boost 1.81, which Debian 12 pins). `async_wait` of a socket arms
/// epoll again with a system call for each wait, two for each transaction of a client: 3.7 % of the relay's CPU. The
/// reactor registers edge-triggered, and its own reads wait without that call; an operation that is done as soon as it
/// is looked at (`done_and_exhausted`) gets the same.
///
/// One edge may stand for two things that came together. Bytes are never missed: a read that got less than it had room
/// for has seen the end of them. The end of the stream is, until the next edge: see `nudge`.
///
/// Owned by a stream, on the thread of its io_context.
class readiness {
  public:
    enum class direction : std::uint8_t { read, write };

    readiness() = default;
    /// Does not own the descriptor, which must be non-blocking and stay open until `remove`.
    readiness(boost::asio::io_context& context, int descriptor);
    readiness(readiness&& other) noexcept { swap(other); }
    readiness& operator=(readiness&& other) noexcept {
        readiness{std::move(other)}.swap(*this);
        return *this;
    }
    ~readiness() { remove(); }

    /// Calls `handler(error_code)`, never from inside this call. After `remove` it is called with an error.
    template <class Handler>
    void wait(direction what, Handler handler) {
        auto* const operation = new edge_operation<Handler>{std::move(handler)};
        reactor_->start_op(what == direction::read ? reactor::read_op : reactor::write_op, descriptor_, data_, operation,
                           false, true);
    }

    /// Ends the waits under way, with an error, so that their handlers look again.
    void nudge();

    /// Ends the waits under way and forgets the descriptor, which is to be closed next.
    void remove();

    [[nodiscard]] bool registered() const { return data_ != nullptr; }

  private:
    using reactor = boost::asio::detail::reactor;

    template <class Handler>
    class edge_operation : public boost::asio::detail::reactor_op {
      public:
        explicit edge_operation(Handler handler)
            : reactor_op{{}, &edge_operation::perform_now, &edge_operation::complete_now}, handler_{std::move(handler)} {}

        // One is made for each wait, mostly where one has just ended: the thread keeps its memory.
        static void* operator new(std::size_t) { return memory{}.allocate(1); }
        static void operator delete(void* place) { memory{}.deallocate(static_cast<edge_operation*>(place), 1); }

      private:
        using memory = boost::asio::recycling_allocator<edge_operation>;

        static status perform_now(reactor_op*) { return done_and_exhausted; }

        static void complete_now(void* owner, boost::asio::detail::operation* base, boost::system::error_code const&, std::size_t) {
            auto* const self = static_cast<edge_operation*>(base);
            auto const outcome = self->ec_;
            Handler handler{std::move(self->handler_)};
            delete self;
            if (owner != nullptr) std::move(handler)(outcome); // else the io_context is being destroyed
        }

        Handler handler_;
    };

    void swap(readiness& other) noexcept {
        std::swap(reactor_, other.reactor_);
        std::swap(descriptor_, other.descriptor_);
        std::swap(data_, other.data_);
    }

    reactor* reactor_{nullptr};
    int descriptor_{-1};
    reactor::per_descriptor_data data_{nullptr};
};

} // namespace pgmend::net
