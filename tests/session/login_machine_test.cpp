#include "session/frames.hpp"

#include "pgmend/session/login_machine.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using step = session::login_machine::step;

namespace {

session::login_machine login(std::uint32_t version = wire::protocol_3_0, std::string const& packet = "user\0app\0\0"s,
                             bool client_tls = false, bool server_tls = false) {
    session::login_machine machine{version, packet, {client_tls, std::string(32, 's')}};
    machine.connected(server_tls);
    return machine;
}

std::string sasl(std::string_view mechanisms) { return frame('R', "\0\0\0\x0a"s.append(mechanisms)); }

std::string sasl_answer(std::string_view mechanism, std::string_view first) {
    std::string body{mechanism};
    body.push_back('\0');
    base::append_u32(body, static_cast<std::uint32_t>(first.size()));
    return frame('p', body.append(first));
}

} // namespace

TEST_CASE("the start-up packet goes to the server as it came") {
    auto const machine = login(wire::protocol_3_0, "user\0app\0database\0shop\0options\0-c x=1\0\0"s);
    CHECK(machine.server_startup().substr(4) == "\0\3\0\0user\0app\0database\0shop\0options\0-c x=1\0\0"s);
    CHECK(machine.identity().database == "shop");
}

TEST_CASE("the database is the user's where none is named, and replication is noticed") {
    CHECK(login().identity().database == "app");
    CHECK_FALSE(login().identity().replication);
    for (auto const value : {"database", "true", "on", "1", "yes"})
        CHECK(login(wire::protocol_3_0, "user\0a\0replication\0"s + value + "\0\0"s).identity().replication);
    CHECK_FALSE(login(wire::protocol_3_0, "user\0a\0replication\0off\0\0"s).identity().replication);
}

TEST_CASE("a login passes through and ends with ReadyForQuery, with the server's process number and a secret of pgmend's own") {
    auto machine = login();
    std::string out;
    CHECK(machine.on_server(frame('R', "\0\0\0\x05salt"s), out) == step::client_answer);
    CHECK(machine.on_client(frame('p', "md5...\0"s), out) == step::server);
    CHECK(machine.on_server(frame('R', "\0\0\0\0"s), out) == step::server);
    CHECK(machine.on_server(frame('S', "client_encoding\0LATIN1\0"s), out) == step::server);
    CHECK(machine.on_server(frame('K', "\0\0\0\x09real"s), out) == step::server);
    CHECK(machine.on_server(ready(), out) == step::ready);
    CHECK(out == frame('R', "\0\0\0\x05salt"s) + frame('R', "\0\0\0\0"s) + frame('S', "client_encoding\0LATIN1\0"s) +
                     frame('K', "\0\0\0\x09ssss"s) + ready());
    CHECK(machine.server_process() == 9);
    CHECK(machine.server_secret() == "real");
    CHECK(machine.client_secret() == "ssss");
    CHECK(machine.client_encoding() == "LATIN1");
}

TEST_CASE("a client of protocol 3.2 gets a long key, unless the server negotiates down") {
    auto machine = login(wire::protocol_3_2);
    std::string out;
    (void)machine.on_server(frame('K', "\0\0\0\x09"s + std::string(32, 'k')), out);
    CHECK(out == frame('K', "\0\0\0\x09"s + std::string(32, 's')));

    auto older = login(wire::protocol_3_2);
    std::string down;
    (void)older.on_server(wire::negotiate_protocol_version(wire::protocol_3_0, {}), down);
    (void)older.on_server(frame('K', "\0\0\0\x09real"s), down);
    CHECK(down == wire::negotiate_protocol_version(wire::protocol_3_0, {}) + frame('K', "\0\0\0\x09ssss"s));
}

TEST_CASE("a newer protocol and its options are negotiated by pgmend, ahead of the server's first message") {
    auto machine = login((3u << 16) | 9999u, "user\0a\0_pq_.fancy\0on\0\0"s);
    CHECK(machine.server_startup().substr(4) == "\0\3\0\2user\0a\0\0"s);
    std::string out;
    (void)machine.on_server(frame('R', "\0\0\0\0"s), out);
    std::vector<std::string> const options{"_pq_.fancy"};
    CHECK(out == wire::negotiate_protocol_version(wire::protocol_3_2, options) + frame('R', "\0\0\0\0"s));
}

TEST_CASE("where the server negotiates as well the client hears it once, with every option once") {
    auto machine = login((3u << 16) | 9999u, "user\0a\0_pq_.fancy\0on\0\0"s);
    std::string out;
    (void)machine.on_server(wire::negotiate_protocol_version(wire::protocol_3_0, {}), out);
    (void)machine.on_server(frame('R', "\0\0\0\0"s), out);
    std::vector<std::string> const options{"_pq_.fancy"};
    CHECK(out == wire::negotiate_protocol_version(wire::protocol_3_0, options) + frame('R', "\0\0\0\0"s));
}

TEST_CASE("SCRAM-SHA-256-PLUS is not offered") {
    auto machine = login();
    std::string out;
    CHECK(machine.on_server(sasl("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s), out) == step::client_answer);
    CHECK(out == sasl("SCRAM-SHA-256\0\0"s));
    CHECK(machine.on_client(sasl_answer("SCRAM-SHA-256", "n,,n=,r=x"), out) == step::server);
}

TEST_CASE("a client that could bind the channel is told why it cannot, where both sides have TLS") {
    for (bool const client_tls : {false, true})
        for (bool const server_tls : {false, true}) {
            auto machine = login(wire::protocol_3_0, "user\0app\0\0"s, client_tls, server_tls);
            std::string out;
            // Without TLS the server offers no PLUS.
            (void)machine.on_server(server_tls ? sasl("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s) : sasl("SCRAM-SHA-256\0\0"s), out);
            out.clear();
            auto const next = machine.on_client(sasl_answer("SCRAM-SHA-256", "y,,n=,r=x"), out);
            bool const both = client_tls && server_tls;
            CHECK(next == (both ? step::failed : step::server));
            CHECK((out.find("channel_binding=disable") != std::string::npos) == both);
        }
}

TEST_CASE("a refused login is passed on, with its code kept for the log") {
    auto machine = login();
    std::string out;
    auto const refusal = error({"C28P01", "Mno"}, "FATAL");
    CHECK(machine.on_server(refusal, out) == step::failed);
    CHECK(out == refusal);
    CHECK(machine.failure_code() == "28P01");
}
