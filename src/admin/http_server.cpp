#include "pgmend/admin/http_server.hpp"

#include "admin/http_machine.hpp"
#include "admin/http_routes.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/event.hpp"
#include "pgmend/net/look_up.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/net/stream.hpp"
#include "pgmend/net/tls_context.hpp"
#include "pgmend/net/use_tuple.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <thread>

namespace pgmend::admin {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using net::awaitable;
using net::executor;

constexpr std::chrono::seconds request_limit{10}; ///< from its first byte to its last
constexpr std::chrono::seconds idle_limit{75};    ///< between requests; Prometheus scrapes each minute or more often
constexpr std::chrono::seconds write_limit{30};
constexpr std::chrono::seconds answer_limit{10};  ///< what other threads have to say; they may have ended
constexpr std::chrono::milliseconds probe_limit{1000};
constexpr std::chrono::seconds probe_age{2};      ///< so long a probe of the backend counts
constexpr std::size_t read_bytes = 16384;

/// A socket that clients connect to.
struct listening {
    listening(net::loop& where, int its_descriptor) : descriptor{its_descriptor}, ready{where, its_descriptor} {}
    ~listening() {
        ready.remove();
        (void)::close(descriptor);
    }
    listening(listening const&) = delete;
    listening& operator=(listening const&) = delete;

    int descriptor;
    net::readiness ready;
};

} // namespace

struct http_server::state {
    state(console_sources const& sources, net::http_settings own)
        : from{sources}, settings{std::move(own)}, routes{from, settings, [this] { return not_ready(); }},
          probed{loop.get_executor()} {}

    console_sources const& from;
    net::http_settings settings;
    http_routes routes;
    net::tls_context tls;
    net::loop loop;
    std::vector<std::shared_ptr<listening>> listening_at;
    std::thread thread;
    std::uint16_t port{0};
    unsigned connections{0};
    // The backend, as it was last tried.
    std::string backend_problem;
    std::chrono::steady_clock::time_point probed_at{};
    bool probing{false};
    net::event probed;

    [[nodiscard]] reasons not_ready() const {
        reasons out;
        if (from.services->draining.load(std::memory_order_relaxed)) out.emplace_back("pgmend is stopping: it lets transactions end, and takes no new clients");
        if (!backend_problem.empty()) out.push_back(backend_problem);
        for (auto& each : why_no_server()) out.push_back(std::move(each));
        return out;
    }
    [[nodiscard]] reasons why_no_server() const;

    base::result<void> open();
    awaitable<> accept_all(std::shared_ptr<listening> at);
    awaitable<> serve(net::stream client);
    awaitable<http_response> ask(http_request request);
    awaitable<> probe();
    awaitable<std::string> try_backend();
};

namespace {

/// Closes a stream that takes too long. Lives in the coroutine that owns the stream.
class time_limit {
  public:
    time_limit(net::stream& what, executor where) : now_{std::make_shared<state>(&what, where)} {}
    ~time_limit() {
        now_->what = nullptr;
        now_->timer.cancel();
    }

    void begin(std::chrono::milliseconds limit) {
        now_->timer.expires_after(limit);
        auto over = [now = now_](boost::system::error_code cancelled) { // it may be queued already when the limit is set anew, or gone
            if (!cancelled && now->what != nullptr && now->timer.expiry() <= std::chrono::steady_clock::now()) now->what->close();
        };
        now_->timer.async_wait(std::move(over));
    }

  private:
    struct state {
        state(net::stream* its_stream, executor where) : what{its_stream}, timer{where} {}
        net::stream* what;
        net::timer timer;
    };
    std::shared_ptr<state> now_;
};

/// Counts a connection as long as it lives.
struct place {
    explicit place(unsigned& count) : count_{count} { ++count_; }
    ~place() { --count_; }
    place(place const&) = delete;
    place& operator=(place const&) = delete;
    unsigned& count_;
};

/// An answer that comes from another thread.
struct pending {
    explicit pending(executor where) : arrived{where} {}
    net::event arrived;
    std::optional<http_response> found;
};

base::result<std::vector<tcp::endpoint>> endpoints_of(asio::io_context& io, net::http_settings const& settings) {
    if (settings.address == "*") return std::vector{tcp::endpoint{tcp::v6(), settings.port}};
    boost::system::error_code failed;
    tcp::resolver resolver{io};
    auto const found = resolver.resolve(settings.address, std::to_string(settings.port), failed);
    if (failed) return base::fail(base::errc::not_found, fmt::format("admin.http {}: {}", settings.address, failed.message()));
    std::vector<tcp::endpoint> out;
    for (auto const& entry : found) out.push_back(entry.endpoint());
    return out;
}

} // namespace

base::result<void> http_server::state::open() {
    asio::io_context io{1}; // for the sockets' options only
    auto const endpoints = endpoints_of(io, settings);
    if (!endpoints) return endpoints.error();
    for (auto const& endpoint : *endpoints) {
        auto made = std::make_unique<tcp::acceptor>(io);
        boost::system::error_code failed;
        made->open(endpoint.protocol(), failed);
        if (!failed) made->set_option(tcp::acceptor::reuse_address(true), failed);
        if (!failed && endpoint.protocol() == tcp::v6()) made->set_option(asio::ip::v6_only(settings.address != "*"), failed);
        if (!failed) made->bind(endpoint, failed);
        if (!failed) made->listen(128, failed);
        if (!failed) made->non_blocking(true, failed);
        if (failed) return base::fail(base::errc::system, fmt::format("admin.http: cannot listen on {} port {}: {}", settings.address, settings.port, failed.message()));
        port = made->local_endpoint(failed).port();
        listening_at.push_back(std::make_shared<listening>(loop, made->release(failed)));
    }
    for (auto const& each : listening_at) asio::co_spawn(loop, accept_all(each), asio::detached);
    return {};
}

awaitable<> http_server::state::accept_all(std::shared_ptr<listening> at) {
    for (;;) {
        int const accepted = ::accept4(at->descriptor, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0 && connections >= most_connections) {
            (void)::close(accepted);
        } else if (accepted >= 0) {
            asio::co_spawn(loop, serve(net::stream{loop, accepted}), asio::detached);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            co_await at->ready.async_wait(net::readiness::direction::read, net::use_tuple);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            net::timer pause{loop.get_executor(), std::chrono::milliseconds{100}};
            co_await pause.async_wait(net::use_tuple);
        }
    }
}

awaitable<> http_server::state::serve(net::stream client) {
    place const here{connections};
    time_limit limit{client, loop.get_executor()};
    limit.begin(request_limit);
    if (tls) {
        auto const shaken = co_await client.accept_tls(tls.get());
        if (!shaken) co_return;
    }
    http_machine machine;
    std::vector<char> buffer(read_bytes);
    auto next = http_machine::step::read;
    while (client.is_open()) {
        if (next == http_machine::step::read) {
            auto const read = client.read_some(buffer.data(), buffer.size());
            if (read.status == net::io_status::done) {
                if (machine.idle()) limit.begin(request_limit);
                next = machine.on_bytes({buffer.data(), read.count});
            } else if (read.status == net::io_status::want_read || read.status == net::io_status::want_write) {
                co_await client.wait(read.status);
            } else {
                break;
            }
            continue;
        }
        std::string bytes;
        if (next == http_machine::step::refuse) {
            bytes = machine.answer(machine.refusal());
        } else {
            auto response = co_await ask(machine.request());
            bytes = machine.answer(response);
        }
        limit.begin(write_limit);
        bool const sent = co_await client.write_all(bytes);
        if (!sent) break;
        if (machine.closing()) {
            client.shutdown_send();
            break;
        }
        limit.begin(idle_limit);
        next = machine.on_bytes({});
    }
    client.close();
}

awaitable<http_response> http_server::state::ask(http_request request) {
    if (request.path == "/readyz" || request.path == "/metrics" || request.path == "/api/v1/health") co_await probe();
    auto const waiting = std::make_shared<pending>(loop.get_executor());
    auto arrive = [waiting, where = loop.get_executor()](http_response found) {
        auto hand_over = [waiting, found = std::move(found)]() mutable {
            waiting->found = std::move(found);
            waiting->arrived.notify();
        };
        asio::post(where, std::move(hand_over));
    };
    routes.respond(request, std::move(arrive));
    net::timer limit{loop.get_executor(), answer_limit};
    auto over = [waiting](boost::system::error_code cancelled) {
        if (cancelled || waiting->found) return;
        waiting->found = http_response{503, "text/plain; charset=utf-8", "pgmend is busy, or stopping\n", {}};
        waiting->arrived.notify();
    };
    limit.async_wait(std::move(over));
    while (!waiting->found) co_await waiting->arrived.wait();
    co_return std::move(*waiting->found);
}

/// Whether the backend accepts connections: one try for all that ask, and not for each.
awaitable<> http_server::state::probe() {
    while (probing) co_await probed.wait();
    if (probed_at != std::chrono::steady_clock::time_point{} && std::chrono::steady_clock::now() - probed_at < probe_age) co_return;
    probing = true;
    auto found = co_await try_backend();
    backend_problem = std::move(found);
    probed_at = std::chrono::steady_clock::now();
    probing = false;
    probed.notify();
}

/// What is wrong with each server; empty where one may be asked. Half open counts as well: only clients can close it.
reasons http_server::state::why_no_server() const {
    auto const& backends = *from.services->backends;
    auto const live = from.services->settings.get();
    auto const now = base::steady::now();
    reasons out;
    for (auto const& server : live->servers) {
        auto& it = *server->state;
        std::string why;
        for (auto* const breaker : {&it.connecting, &it.statements}) {
            auto const b = breaker->describe(now);
            bool const refuses = b.state == backend::breaker_state::open && !b.disabled && (b.tripped || b.mode == backend::breaker_mode::enforce);
            if (refuses && why.empty()) why = fmt::format("circuit breaker \"{}\" is open: {}", b.name, b.reason);
        }
        if (why.empty() && it.silent.load(std::memory_order_relaxed)) why = "it does not answer health checks";
        bool const unknown = live->servers.size() > 1 && backends.all_asked() && it.role.load(std::memory_order_relaxed) == backend::server_role::unknown;
        if (why.empty() && unknown) why = "its role is not known";
        if (why.empty()) return {};
        out.push_back(fmt::format("no backend can serve: {}: {}", it.name, why));
    }
    return out;
}

awaitable<std::string> http_server::state::try_backend() {
    using protocol = asio::generic::stream_protocol;
    auto const live = from.services->settings.get();
    std::vector<protocol::endpoint> endpoints;
    std::string problem;
    std::string names;
    for (auto const& server : live->servers) {
        auto const& backend = server->settings;
        names += (names.empty() ? "" : ", ") + backend.name;
        for (std::string_view rest = backend.host; !rest.empty();) { // several hosts, perhaps
            std::string const host{rest.substr(0, rest.find(','))};
            rest.remove_prefix(std::min(rest.size(), host.size() + 1));
            if (host.starts_with('/')) {
                endpoints.emplace_back(asio::local::stream_protocol::endpoint{fmt::format("{}/.s.PGSQL.{}", host, backend.port)});
                continue;
            }
            auto const looking = std::make_shared<net::look_up>(loop.get_executor(), host, backend.port);
            auto const found = co_await looking->run();
            if (!found) problem = found.error().text;
            else endpoints.insert(endpoints.end(), found->begin(), found->end());
        }
    }
    for (auto const& endpoint : endpoints) {
        auto server = std::make_shared<net::stream>();
        net::timer limit{loop.get_executor(), probe_limit};
        auto over = [server](boost::system::error_code cancelled) {
            if (!cancelled) server->close();
        };
        limit.async_wait(std::move(over));
        auto const failed = co_await server->connect(loop, endpoint);
        if (!failed) co_return std::string{};
        problem = failed == asio::error::operation_aborted ? "it does not answer" : failed.message();
    }
    co_return fmt::format("no backend can serve: {}: {}", names, problem);
}

http_server::http_server(console_sources const& from, net::http_settings settings) : state_{std::make_unique<state>(from, std::move(settings))} {}
http_server::~http_server() { stop(); }

base::result<void> http_server::start() {
    auto& s = *state_;
    if (!s.settings.cert.empty()) {
        auto made = net::make_web_context(s.settings.cert, s.settings.key);
        if (!made) return base::fail(made.error().code, "admin.http_cert: " + made.error().text);
        s.tls = *made;
    }
    if (auto opened = s.open(); !opened) return opened.error();
    auto run = [&s] {
        pthread_setname_np(pthread_self(), "http");
        for (;;) {
            try {
                s.loop.run();
                return;
            } catch (std::exception const& failure) { // memory: the connection that met it ends
                base::log(base::log_level::error, "http.failed", {{"reason", failure.what()}});
            }
        }
    };
    s.thread = std::thread{run};
    return {};
}

void http_server::stop() {
    if (!state_->thread.joinable()) return;
    state_->loop.stop();
    state_->thread.join();
}

std::uint16_t http_server::port() const { return state_->port; }

} // namespace pgmend::admin
