#include "session/frames.hpp"

#include "pgmend/session/startup_machine.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::session::startup;
using namespace std::string_literals;

namespace {

auto const ssl = wire::ssl_request();
auto const gss = "\0\0\0\x08\x04\xd2\x16\x30"s;
auto const hello = "\0\0\0\x13\0\3\0\0user\0app\0\0"s.replace(3, 1, 1, char(18));

template <class T>
bool is(action const& what) {
    return std::holds_alternative<T>(what);
}

} // namespace

TEST_CASE("a start-up packet is waited for byte by byte and then handed on whole") {
    session::startup_machine machine{{}};
    for (std::size_t n = 0; n < hello.size(); ++n) {
        CHECK(is<need_more>(machine.on_bytes(base::byte_view{hello}.substr(0, n))));
        CHECK(machine.consumed() == 0);
    }
    auto const action = machine.on_bytes(hello + "more");
    REQUIRE(is<proceed>(action));
    CHECK(std::get<proceed>(action).version == wire::protocol_3_0);
    CHECK(std::get<proceed>(action).packet == "user\0app\0\0"s);
    CHECK(machine.consumed() == hello.size());
}

TEST_CASE("SSLRequest is answered N where TLS is off, and the start-up packet may follow") {
    session::startup_machine machine{{}};
    auto const action = machine.on_bytes(ssl);
    REQUIRE(is<answer>(action));
    CHECK(std::get<answer>(action).byte == 'N');
    CHECK(is<proceed>(machine.on_bytes(hello)));
}

TEST_CASE("SSLRequest begins a handshake where TLS is offered") {
    session::startup_machine machine{{true, false}};
    auto const action = machine.on_bytes(ssl);
    REQUIRE(is<start_tls>(action));
    CHECK_FALSE(std::get<start_tls>(action).direct);
    CHECK(machine.consumed() == ssl.size());
}

TEST_CASE("bytes in clear behind an SSLRequest are refused (CVE-2021-23214)") {
    session::startup_machine machine{{true, false}};
    auto const action = machine.on_bytes(ssl + hello);
    REQUIRE(is<reject>(action));
    CHECK(std::get<reject>(action).response.find("unencrypted data") != std::string::npos);
}

TEST_CASE("GSSENCRequest is answered N once, before or after SSLRequest") {
    session::startup_machine machine{{}};
    CHECK(is<answer>(machine.on_bytes(gss)));
    CHECK(is<answer>(machine.on_bytes(ssl)));
    CHECK(is<reject>(machine.on_bytes(gss))); // the second one is a version that nobody speaks
}

TEST_CASE("a TLS record as first byte is a direct handshake") {
    session::startup_machine on{{true, false}};
    auto const action = on.on_bytes("\x16");
    REQUIRE(is<start_tls>(action));
    CHECK(std::get<start_tls>(action).direct);
    session::startup_machine off{{false, false}};
    CHECK(is<reject>(off.on_bytes("\x16\3\1\2\0\1\0\1\xfc\3\3"s)));
}

TEST_CASE("where TLS is required a start-up in clear is refused and one over TLS is not") {
    session::startup_machine machine{{true, true}};
    CHECK(is<reject>(machine.on_bytes(hello)));
    session::startup_machine encrypted{{true, true}};
    (void)encrypted.on_bytes(ssl);
    encrypted.tls_started();
    CHECK(is<proceed>(encrypted.on_bytes(hello)));
}

TEST_CASE("a cancel request carries a secret of 4 to 256 bytes, also in clear where TLS is required") {
    for (std::size_t const size : {4u, 32u, 256u}) {
        session::startup_machine machine{{true, true}};
        auto const action = machine.on_bytes(wire::cancel_request(42, std::string(size, 'k')));
        REQUIRE(is<cancel>(action));
        CHECK(std::get<cancel>(action).process == 42);
        CHECK(std::get<cancel>(action).secret.size() == size);
    }
    for (std::size_t const size : {0u, 3u, 257u}) {
        session::startup_machine machine{{}};
        CHECK(is<reject>(machine.on_bytes(wire::cancel_request(42, std::string(size, 'k')))));
    }
}

TEST_CASE("another major version is refused, also a second SSLRequest inside of TLS") {
    session::startup_machine old{{}};
    auto const action = old.on_bytes("\0\0\0\x08\0\2\0\0"s);
    REQUIRE(is<reject>(action));
    CHECK(std::get<reject>(action).response.find("unsupported frontend protocol 2.0") != std::string::npos);
    session::startup_machine encrypted{{true, true}};
    (void)encrypted.on_bytes(ssl);
    encrypted.tls_started();
    CHECK(is<reject>(encrypted.on_bytes(ssl)));
}

TEST_CASE("what cannot be a start-up packet is not answered") {
    for (auto const& bytes : {"\0\0\0\0"s, "GET / HTTP/1.1\r\n\r\n"s, "\0\0\0\0\0\0\0\0"s, "\0\0\0\x07\0\3\0\0"s, "\xff\xff\xff\xff\0\3\0\0"s,
                              "\0\0\x27\x11\0\3\0\0"s}) {
        session::startup_machine machine{{}};
        auto const action = machine.on_bytes(bytes);
        REQUIRE(is<reject>(action));
        CHECK(std::get<reject>(action).response.empty());
    }
}
