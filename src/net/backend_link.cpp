#include "pgmend/net/backend_link.hpp"

#include "pgmend/net/event.hpp"
#include "pgmend/net/look_up.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <fmt/format.h>

namespace pgmend::net {
namespace {

namespace asio = boost::asio;
using endpoint = asio::generic::stream_protocol::endpoint;

/// Ends whatever `guarded` points to when the time is over. The pointer is shared with the timer's handler, which may
/// already be under way when this object goes.
template <class T, class End>
class time_limit {
  public:
    time_limit(executor where, std::chrono::milliseconds limit, std::shared_ptr<T> guarded, End end) : timer_{where} {
        timer_.expires_after(limit);
        auto on_time = [guarded = std::move(guarded), end, over = over_](boost::system::error_code failed) {
            if (failed) return;
            *over = true;
            end(*guarded);
        };
        timer_.async_wait(std::move(on_time));
    }
    [[nodiscard]] bool over() const { return *over_; }

  private:
    timer timer_;
    std::shared_ptr<bool> over_{std::make_shared<bool>(false)};
};

/// What give_up() ends while this lives.
class waiting_for {
  public:
    waiting_for(std::shared_ptr<connecting> progress, std::function<void()> close) : progress_{std::move(progress)} {
        progress_->close = std::move(close);
    }
    ~waiting_for() { progress_->close = nullptr; }
    waiting_for(waiting_for const&) = delete;
    waiting_for& operator=(waiting_for const&) = delete;

  private:
    std::shared_ptr<connecting> progress_;
};

base::error given_up() { return base::fail(base::errc::timeout, "given up, as its circuit breaker has opened meanwhile"); }

awaitable<base::result<std::vector<endpoint>>> resolve(executor where, backend_settings backend, std::shared_ptr<connecting> progress) {
    std::vector<endpoint> endpoints;
    if (backend.host.starts_with('/')) {
        endpoints.emplace_back(asio::local::stream_protocol::endpoint{fmt::format("{}/.s.PGSQL.{}", backend.host, backend.port)});
        co_return endpoints;
    }
    boost::system::error_code not_an_address;
    auto const address = asio::ip::make_address(backend.host, not_an_address);
    if (!not_an_address) {
        endpoints.emplace_back(asio::ip::tcp::endpoint{address, backend.port});
        co_return endpoints;
    }

    auto looking = std::make_shared<look_up>(where, backend.host, backend.port);
    auto const give_up = [](look_up& waiting) { waiting.cancel(); };
    time_limit limit{where, backend.connect_timeout, looking, give_up};
    waiting_for ending{progress, [looking] { looking->cancel(); }};
    auto found = co_await looking->run();
    if (progress->given_up) co_return given_up();
    if (!found) {
        auto const why = limit.over() ? fmt::format("no answer within {} ms", backend.connect_timeout.count()) : found.error().text;
        co_return base::fail(limit.over() ? base::errc::timeout : base::errc::not_found, fmt::format("{}: cannot resolve the name: {}", where_text(backend), why));
    }
    co_return found;
}

/// SSLRequest and its answer. done: handshake finished, or the server does not offer TLS and need not.
awaitable<base::result<void>> negotiate_tls(std::shared_ptr<stream> server, std::shared_ptr<backend_server const> to, tls_attempt attempt) {
    if (!co_await server->write_all(wire::ssl_request())) co_return base::fail(base::errc::connection_lost, server->last_error());
    char answer = 0;
    for (;;) {
        auto const read = server->read_some(&answer, 1); // one byte only: more would be unencrypted (CVE-2021-23222)
        if (read.status == io_status::done) break;
        if (read.status != io_status::want_read)
            co_return base::fail(base::errc::connection_lost, "the server closed the connection after SSLRequest");
        co_await server->wait(io_status::want_read);
    }
    if (answer == 'S') {
        bool const verify_name = to->settings.tls.mode == tls_mode::verify_full;
        co_return co_await server->connect_tls(to->tls.get(), to->settings.host, verify_name);
    }
    if (answer == 'N' && attempt == tls_attempt::if_offered) co_return base::result<void>{};
    co_return base::fail(base::errc::tls, answer == 'N' ? "the server does not offer TLS, but backends[].tls.mode asks for it"
                                                       : "the server's answer to SSLRequest is not understood");
}

awaitable<base::result<backend_link>> connect_one(executor where, std::shared_ptr<backend_server const> via, tls_attempt attempt,
                                                  endpoint to, std::shared_ptr<connecting> progress) {
    auto const timeout = via->settings.connect_timeout;
    auto server = std::make_shared<stream>();
    {
        auto const give_up = [](stream& attempted) { attempted.close(); };
        time_limit limit{where, timeout, server, give_up};
        waiting_for ending{progress, [server] { server->close(); }};
        auto const failed = co_await server->connect(where.context(), to);
        if (progress->given_up) co_return given_up();
        if (limit.over()) co_return base::fail(base::errc::timeout, fmt::format("no connection within {} ms", timeout.count()));
        if (failed) {
            progress->whose = backend::fault_of_errno(failed.value(), backend::phase::connect);
            co_return base::fail(base::errc::connection_lost, failed.message());
        }
    }
    bool const unix_socket = to.protocol().family() == AF_UNIX; // libpq: no TLS there either
    if (attempt != tls_attempt::never && !unix_socket) {
        auto const give_up = [](stream& shaking_hands) { shaking_hands.close(); };
        time_limit limit{where, timeout, server, give_up};
        waiting_for ending{progress, [server] { server->close(); }};
        auto negotiated = co_await negotiate_tls(server, via, attempt);
        if (progress->given_up) co_return given_up();
        if (limit.over()) co_return base::fail(base::errc::timeout, fmt::format("no TLS within {} ms", timeout.count()));
        if (!negotiated) {
            // What is wrong with a certificate is a matter of settings; a connection that broke is the server's.
            if (negotiated.error().code == base::errc::tls) progress->whose = backend::fault::local;
            co_return base::fail(base::errc::tls, "TLS: " + negotiated.error().text);
        }
    }
    co_return backend_link{std::move(*server), to, {}};
}

/// A server that accepts and never answers must not hold a client up for longer than one that does not accept.
awaitable<base::result<backend_link>> begin_session(executor where, std::shared_ptr<backend_server const> via, backend_link link,
                                                    std::string startup, std::shared_ptr<connecting> progress) {
    auto const timeout = via->settings.connect_timeout;
    auto server = std::make_shared<stream>(std::move(link.server));
    auto const give_up = [](stream& silent) { silent.close(); };
    time_limit limit{where, timeout, server, give_up};
    waiting_for ending{progress, [server] { server->close(); }};
    bool const sent = co_await server->write_all(startup);
    // A wait may end for no reason (readiness.hpp), so only bytes, or the end of the stream, count as an answer.
    char buffer[4096];
    while (sent && !limit.over()) {
        auto const read = server->read_some(buffer, sizeof buffer);
        if (read.status == io_status::done) link.received.assign(buffer, read.count);
        if (read.status != io_status::want_read && read.status != io_status::want_write) break;
        co_await server->wait(read.status);
    }
    if (progress->given_up) co_return given_up();
    if (limit.over())
        co_return base::fail(base::errc::timeout, fmt::format("connected, but no answer within {} ms", timeout.count()));
    link.server = std::move(*server);
    co_return link;
}

} // namespace

std::vector<tls_attempt> tls_attempts(backend_settings const& backend) {
    if (backend.host.starts_with('/')) return {tls_attempt::never};
    switch (backend.tls.mode) {
    case tls_mode::disable: return {tls_attempt::never};
    case tls_mode::allow: return {tls_attempt::never, tls_attempt::must};
    case tls_mode::prefer: return {tls_attempt::if_offered, tls_attempt::never};
    default: return {tls_attempt::must};
    }
}

std::string where_text(backend_settings const& backend) {
    return fmt::format("backend \"{}\" at {}:{}", backend.name, backend.host, backend.port);
}

awaitable<base::result<backend_link>> connect_backend(executor where, std::shared_ptr<backend_server const> to, tls_attempt attempt,
                                                      std::string startup, std::shared_ptr<connecting> progress) {
    auto endpoints = co_await resolve(where, to->settings, progress);
    if (!endpoints) co_return endpoints.error();
    bool const several = endpoints->size() > 1;
    if (several) to->state->address.prefer(*endpoints);
    base::error last = base::fail(base::errc::not_found, "the name has no addresses");
    for (auto const& each : *endpoints) {
        progress->whose = backend::fault::backend;
        auto link = co_await connect_one(where, to, attempt, each, progress);
        if (link) link = co_await begin_session(where, to, std::move(*link), startup, progress);
        if (link && several) to->state->address.answered(each);
        if (link) co_return link;
        last = link.error();
        if (progress->given_up) break;
    }
    co_return base::fail(last.code, fmt::format("{}: {}", where_text(to->settings), last.text));
}

awaitable<> send_cancel(executor where, cancel_registry::target target) {
    auto const progress = std::make_shared<connecting>();
    for (auto const attempt : tls_attempts(target.via->settings)) {
        auto link = co_await connect_one(where, target.via, attempt, target.server, progress);
        if (!link) continue;
        auto server = std::make_shared<stream>(std::move(link->server));
        auto const give_up = [](stream& waiting) { waiting.close(); };
        time_limit limit{where, target.via->settings.connect_timeout, server, give_up};
        if (!co_await server->write_all(wire::cancel_request(target.process, target.secret))) co_return;
        char ignored = 0;
        while (server->read_some(&ignored, 1).status == io_status::want_read && server->is_open())
            co_await server->wait(io_status::want_read);
        co_return;
    }
}

} // namespace pgmend::net
