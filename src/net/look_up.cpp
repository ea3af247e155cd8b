#include "pgmend/net/look_up.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

namespace pgmend::net {
namespace {

base::result<look_up::endpoints> wait_for(std::string const& host, std::uint16_t port) {
    boost::asio::io_context unused{1};
    boost::asio::ip::tcp::resolver resolver{unused};
    boost::system::error_code failed;
    auto const found = resolver.resolve(host, std::to_string(port), failed);
    if (failed) return base::fail(base::errc::not_found, failed.message());
    look_up::endpoints out;
    for (auto const& entry : found) out.emplace_back(entry.endpoint());
    return out;
}

} // namespace

awaitable<base::result<look_up::endpoints>> look_up::run() {
    auto work = [self = shared_from_this()] {
        if (self->over_) return;
        auto arrive = [self, found = wait_for(self->host_, self->port_)]() mutable {
            if (self->over_) return; // given up
            self->found_ = std::move(found);
            self->over_ = true;
            self->arrived_.notify();
        };
        boost::asio::post(self->where_, std::move(arrive));
    };
    where_.context().run_elsewhere(std::move(work));
    while (!over_) co_await arrived_.wait();
    co_return std::move(found_);
}

void look_up::cancel() {
    if (over_) return;
    over_ = true;
    found_ = base::fail(base::errc::not_found, boost::system::error_code{boost::asio::error::operation_aborted}.message());
    arrived_.notify();
}

} // namespace pgmend::net
