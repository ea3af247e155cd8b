#include "pgmend/net/listener.hpp"

#include "pgmend/base/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <fmt/format.h>

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace pgmend::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// After accept has failed for want of something (descriptors, memory), others need time to give some back.
constexpr std::chrono::milliseconds shortage_pause{100};

void log_shortage(int number) {
    base::log(base::log_level::error, "client.rejected", {{"reason", std::string_view{std::strerror(number)}}});
}

base::result<std::vector<tcp::endpoint>> endpoints_of(io_executor where, listen_settings const& settings) {
    if (settings.address == "*") return std::vector{tcp::endpoint{tcp::v6(), settings.port}};
    boost::system::error_code failed;
    asio::ip::basic_resolver<tcp, io_executor> resolver{where};
    auto const found = resolver.resolve(settings.address, std::to_string(settings.port), failed);
    if (failed) return base::fail(base::errc::not_found, fmt::format("listen.address {}: {}", settings.address, failed.message()));
    std::vector<tcp::endpoint> endpoints;
    for (auto const& entry : found) endpoints.push_back(entry.endpoint());
    return endpoints;
}

} // namespace

base::result<void> listener::open(listen_settings const& settings) {
    auto const endpoints = endpoints_of(where_, settings);
    if (!endpoints) return endpoints.error();
    for (auto const& endpoint : *endpoints) {
        auto made = std::make_shared<acceptor>(where_);
        boost::system::error_code failed;
        made->open(endpoint.protocol(), failed);
        if (!failed) made->set_option(acceptor::reuse_address(true), failed);
        // All addresses means IPv4 as well; one IPv6 address does not.
        if (!failed && endpoint.protocol() == tcp::v6())
            made->set_option(asio::ip::v6_only(settings.address != "*"), failed);
        if (!failed) made->bind(endpoint, failed);
        if (!failed) made->listen(settings.backlog, failed);
        if (!failed) made->non_blocking(true, failed);
        if (failed) {
            close();
            return base::fail(base::errc::system,
                              fmt::format("cannot listen on {} port {}: {}", settings.address, settings.port, failed.message()));
        }
        acceptors_.push_back(std::move(made));
    }
    for (auto const& made : acceptors_) asio::co_spawn(where_, accept_all(made), asio::detached);
    return {};
}

void listener::close() {
    boost::system::error_code ignored;
    for (auto const& made : acceptors_) made->close(ignored);
    acceptors_.clear();
}

worker& listener::least_loaded() {
    auto const count = workers_.size();
    std::size_t best = next_++ % count; // ties go round
    for (std::size_t i = 1; i < count; ++i) {
        auto const other = (best + i) % count;
        if (workers_[other]->load() < workers_[best]->load()) {
            best = other;
            i = 0;
        }
    }
    return *workers_[best];
}

io_task<> listener::accept_all(std::shared_ptr<acceptor> from) {
    while (from->is_open()) {
        int const accepted = ::accept4(from->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            least_loaded().adopt(accepted);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            co_await from->async_wait(acceptor::wait_read, use_io_tuple);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            log_shortage(errno);
            io_timer pause{where_, shortage_pause};
            co_await pause.async_wait(use_io_tuple);
        }
    }
}

} // namespace pgmend::net
