// Accepting clients.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/net/io_context.hpp"
#include "pgmend/net/settings.hpp"
#include "pgmend/net/worker.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <vector>

namespace pgmend::net {

/// Listens on every address that the setting means and hands each client to the worker that has the fewest sessions.
/// Lives on the main thread. When descriptors run out it says so and tries again a moment later, so that it never spins.
class listener {
  public:
    listener(io_executor where, std::vector<std::unique_ptr<worker>>& workers) : where_{where}, workers_{workers} {}

    /// Binds and listens. Errors name the address and what the system said.
    [[nodiscard]] base::result<void> open(listen_settings const& settings);
    void close();

  private:
    using acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, io_executor>;

    io_task<> accept_all(std::shared_ptr<acceptor> from);
    worker& least_loaded();

    io_executor where_;
    std::vector<std::unique_ptr<worker>>& workers_;
    std::vector<std::shared_ptr<acceptor>> acceptors_;
    std::size_t next_{0};
};

} // namespace pgmend::net
