#include "waiter.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pgmend::pg {

namespace asio = boost::asio;

namespace {

constexpr auto awaited = asio::as_tuple(asio::use_awaitable_t<asio::io_context::executor_type>{});

} // namespace

pg_connection::waiter::waiter(asio::io_context& io) : descriptor_{io}, timer_{io}, resolver_{io} {}

pg_connection::waiter::~waiter() { let_go(); }

void pg_connection::waiter::let_go() {
    if (descriptor_.is_open()) descriptor_.release();
}

void pg_connection::waiter::interrupt() {
    boost::system::error_code ignored;
    if (descriptor_.is_open()) descriptor_.cancel(ignored);
}

void pg_connection::waiter::arm(base::time_point deadline) {
    expired_ = false;
    timer_.expires_at(deadline);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code failed) {
        auto const self = weak.lock();
        // A handler that was already queued when the timer was set anew arrives without an error.
        if (failed || !self || self->timer_.expiry() > base::steady::now()) return;
        self->expired_ = true;
        boost::system::error_code ignored;
        if (self->descriptor_.is_open()) self->descriptor_.cancel(ignored);
    });
}

task<bool> pg_connection::waiter::wait(int socket, bool to_write, base::time_point deadline) {
    boost::system::error_code failed;
    descriptor_.assign(socket, failed);
    if (failed) co_return true;
    arm(deadline);
    auto const kind = to_write ? asio::posix::descriptor_base::wait_write : asio::posix::descriptor_base::wait_read;
    co_await descriptor_.async_wait(kind, awaited);
    timer_.cancel();
    let_go();
    // A server that never stops sending does not get around the deadline either.
    co_return !expired_ && base::steady::now() < deadline;
}

task<std::optional<std::vector<std::string>>> pg_connection::waiter::look_up(std::string host, base::time_point deadline) {
    // A look-up that is under way cannot be cut short (getaddrinfo blocks a thread of Asio's), so wait for the timer only
    // and let the look-up, if it ends in time, end that wait. Both belong to this one look-up: it may end much later.
    struct look_up_state {
        timer_type deadline;
        std::optional<std::vector<std::string>> addresses;
    };
    auto const state = std::make_shared<look_up_state>(look_up_state{timer_type{timer_.get_executor(), deadline}, std::nullopt});
    resolver_.async_resolve(host, "", [state](boost::system::error_code failed, auto const& found) {
        state->addresses.emplace();
        if (!failed) {
            for (auto const& entry : found) state->addresses->push_back(entry.endpoint().address().to_string());
        }
        state->deadline.cancel();
    });
    co_await state->deadline.async_wait(awaited);
    co_return state->addresses;
}

} // namespace pgmend::pg
