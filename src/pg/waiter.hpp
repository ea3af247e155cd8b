// Waiting with a deadline: for somebody else's socket, or for addresses.
#pragma once

#include "pgmend/pg/pg_connection.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <optional>

namespace pgmend::pg {

/// What a connection waits with: one descriptor, which is never the owner of its socket, one timer that cuts a wait
/// short. One wait at a time. Shared with the timer's handler, which may run after the connection is gone.
struct pg_connection::waiter : std::enable_shared_from_this<pg_connection::waiter> {
    using executor = boost::asio::io_context::executor_type;
    using timer_type = boost::asio::basic_waitable_timer<base::steady, boost::asio::wait_traits<base::steady>, executor>;

    explicit waiter(boost::asio::io_context& io);
    ~waiter();
    waiter(waiter const&) = delete;
    waiter& operator=(waiter const&) = delete;

    /// Until `socket` is ready to be read or written: true. Until the deadline: false. An error of the wait itself is
    /// "ready" as well: libpq then finds out what is wrong.
    task<bool> wait(int socket, bool to_write, base::time_point deadline);

    /// The addresses of a host as text, none where it has none; nothing where the deadline passed.
    task<std::optional<std::vector<std::string>>> look_up(std::string host, base::time_point deadline);

    /// Makes a wait for a socket that is under way end as if it were ready.
    void interrupt();

    /// Ends a wait, without closing the socket.
    void let_go();

  private:
    void arm(base::time_point deadline);

    boost::asio::posix::basic_stream_descriptor<executor> descriptor_;
    timer_type timer_;
    boost::asio::ip::basic_resolver<boost::asio::ip::tcp, executor> resolver_;
    bool expired_{false};
};

} // namespace pgmend::pg
