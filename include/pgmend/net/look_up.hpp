// Names of hosts.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/net/event.hpp"

#include <boost/asio/generic/stream_protocol.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::net {

/// One look-up of a host's addresses. getaddrinfo blocks, so a thread beside the loop's waits for it: that can be given up here, but not cut short there.
class look_up : public std::enable_shared_from_this<look_up> {
  public:
    using endpoints = std::vector<boost::asio::generic::stream_protocol::endpoint>;

    look_up(executor where, std::string host, std::uint16_t port) : where_{where}, host_{std::move(host)}, port_{port}, arrived_{where} {}

    /// In the order to try. Once only. The error is not_found, with what the system says.
    awaitable<base::result<endpoints>> run();
    void cancel();

  private:
    executor where_;
    std::string host_;
    std::uint16_t port_;
    event arrived_;
    std::atomic<bool> over_{false}; ///< found, or given up: then the thread does not begin
    base::result<endpoints> found_{endpoints{}};
};

} // namespace pgmend::net
