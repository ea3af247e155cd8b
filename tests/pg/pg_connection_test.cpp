#include "pgmend/pg/pg_connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch.hpp>

#include <optional>

using namespace pgmend;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto awaited = asio::as_tuple(asio::use_awaitable_t<asio::io_context::executor_type>{});

/// A server on the same thread: accepts one client, reads its startup packet, answers with some bytes and falls silent.
struct stub_server {
    explicit stub_server(asio::io_context& io, std::string its_answer)
        : acceptor{io, {asio::ip::address_v4::loopback(), 0}}, client{io}, answer{std::move(its_answer)} {}

    pg::task<void> serve() {
        co_await acceptor.async_accept(client, awaited);
        std::string packet(8, '\0');
        co_await asio::async_read(client, asio::buffer(packet), awaited);
        co_await asio::async_write(client, asio::buffer(answer), awaited);
    }

    asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor;
    asio::basic_stream_socket<tcp, asio::io_context::executor_type> client;
    std::string answer;
};

pg::parameters to_port(unsigned short port) {
    return {{"host", "127.0.0.1"}, {"port", std::to_string(port)}, {"user", "u"}, {"dbname", "d"}, {"sslmode", "disable"},
            {"gssencmode", "disable"}};
}

pg::result<void> open_against(std::string answer, base::duration patience) {
    asio::io_context io{1};
    stub_server server{io, std::move(answer)};
    pg::pg_connection connection{io};
    std::optional<pg::result<void>> outcome;
    auto const ignore = [](std::exception_ptr) {};
    auto const keep = [&](std::exception_ptr, pg::result<void> r) {
        outcome = std::move(r);
        io.stop();
    };
    asio::co_spawn(io, server.serve(), ignore);
    auto const deadline = base::steady::now() + patience;
    asio::co_spawn(io, connection.open(to_port(server.acceptor.local_endpoint().port()), deadline), keep);
    io.run_for(30s);
    CHECK_FALSE(connection.is_open());
    REQUIRE(outcome.has_value());
    return *outcome;
}

std::string refusal(std::string fields) {
    fields += '\0';
    auto const length = static_cast<char>(fields.size() + 4);
    return std::string{"E\0\0\0", 4} + length + fields;
}

} // namespace

TEST_CASE("a server that accepts and says nothing is given up at the deadline") {
    auto const began = base::steady::now();
    auto const outcome = open_against("", 50ms);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code == base::errc::timeout);
    CHECK(base::steady::now() - began < 10s);
}

TEST_CASE("a refused login has the server's SQLSTATE and a message of one line") {
    using namespace std::string_literals;
    auto const fields = "SFATAL\0VFATAL\0C3D000\0Mdatabase \"d\" does not exist\0Fpostinit.c\0L941\0RInitPostgres\0"s;
    auto const outcome = open_against(refusal(fields), 10s);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code == base::errc::connection_lost);
    CHECK(outcome.error().sqlstate == "3D000");
    CHECK(outcome.error().text.ends_with("FATAL: database \"d\" does not exist"));
    CHECK(outcome.error().text.find('\n') == std::string::npos);
}

TEST_CASE("a translated refusal has its SQLSTATE as well") {
    using namespace std::string_literals;
    auto const fields = "SSCHWERWIEGEND\0VFATAL\0C53300\0Mzu viele Verbindungen: 5\0Fproc.c\0L1\0RInitProcess\0"s;
    auto const outcome = open_against(refusal(fields), 10s);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().sqlstate == "53300");
    CHECK(outcome.error().text.ends_with("SCHWERWIEGEND: zu viele Verbindungen: 5"));
}

TEST_CASE("nobody at the port is a lost connection without a SQLSTATE, and a query without a connection too") {
    asio::io_context io{1};
    unsigned short port = 0;
    {
        tcp::acceptor gone{io, {asio::ip::address_v4::loopback(), 0}};
        port = gone.local_endpoint().port();
    }
    pg::pg_connection connection{io};
    int checked = 0;
    auto const check_open = [&](std::exception_ptr, pg::result<void> r) {
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().code == base::errc::connection_lost);
        CHECK(r.error().sqlstate.empty());
        ++checked;
    };
    auto const check_query = [&](std::exception_ptr, pg::result<std::vector<pg::rows>> r) {
        REQUIRE_FALSE(r.has_value());
        CHECK(r.error().code == base::errc::connection_lost);
        ++checked;
    };
    asio::co_spawn(io, connection.open(to_port(port), base::steady::now() + 10s), check_open);
    io.run_for(30s);
    io.restart();
    asio::co_spawn(io, connection.query("SELECT 1", base::steady::now() + 10s), check_query);
    io.run_for(30s);
    CHECK(checked == 2);
    CHECK(connection.server_version() == 0);
}
