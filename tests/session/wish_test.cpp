#include "pgmend/session/wish.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgmend;
using namespace std::string_literals;
using want = backend::wanted_session;

namespace {

want wanted(std::string const& packet, bool read_only_to_replica = true) {
    return session::wanted_by(wire::read_startup(wire::protocol_3_0, packet), read_only_to_replica);
}

} // namespace

TEST_CASE("a client that says nothing wants the primary") {
    CHECK(wanted("user\0a\0\0"s) == want::primary);
    CHECK(wanted("user\0a\0replication\0true\0\0"s) == want::primary);
}

TEST_CASE("a client may say which kind of server it wants") {
    CHECK(wanted("user\0a\0pgmend.target_session_attrs\0standby\0\0"s) == want::standby);
    CHECK(wanted("user\0a\0options\0-c pgmend.target_session_attrs=prefer-standby\0\0"s) == want::prefer_standby);
    CHECK(wanted("user\0a\0options\0--pgmend.target-session-attrs=any\0\0"s) == want::any);
    CHECK(wanted("user\0a\0options\0-cpgmend.target_session_attrs=read-only -c x=1\0\0"s) == want::read_only);
    CHECK(wanted("user\0a\0options\0-c pgmend.target_session_attrs=any\0pgmend.target_session_attrs\0read-write\0\0"s) == want::read_write);
    CHECK(wanted("user\0a\0pgmend.target_session_attrs\0slave\0\0"s) == want::primary);
}

TEST_CASE("sessions that begin read-only by their role or database do so, too, and what is nearest to them decides") {
    std::vector<session::read_only_default> const defaults{{"", "", false}, {"reporting", "", true}, {"", "archive", true}, {"reporting", "shop", false}};
    auto const of = [&](std::string const& packet, bool to_replica = true) {
        return session::wanted_by(wire::read_startup(wire::protocol_3_0, packet), to_replica, defaults);
    };
    CHECK(of("user\0reporting\0\0"s) == want::prefer_standby);
    CHECK(of("user\0reporting\0\0"s, false) == want::primary);
    CHECK(of("user\0reporting\0database\0shop\0\0"s) == want::primary);
    CHECK(of("user\0app\0database\0archive\0\0"s) == want::prefer_standby);
    CHECK(of("user\0app\0database\0shop\0\0"s) == want::primary);
    CHECK(of("user\0archive\0\0"s) == want::prefer_standby); // its database has its name
    CHECK(of("user\0reporting\0default_transaction_read_only\0off\0\0"s) == want::primary);
    CHECK(of("user\0reporting\0pgmend.target_session_attrs\0primary\0\0"s) == want::primary);
}

TEST_CASE("sessions that begin read-only prefer a replica where the settings say so") {
    auto const packet = "user\0a\0default_transaction_read_only\0on\0\0"s;
    CHECK(wanted(packet) == want::prefer_standby);
    CHECK(wanted(packet, false) == want::primary);
    for (auto const* yes : {"on", "TRUE", "t", "yes", "1"})
        CHECK(wanted("options\0-c default_transaction_read_only="s + yes + "\0user\0a\0\0"s) == want::prefer_standby);
    for (auto const* no : {"off", "0", "o", "", "maybe"})
        CHECK(wanted("options\0-c default_transaction_read_only="s + no + "\0user\0a\0\0"s) == want::primary);
    CHECK(wanted("options\0-c x=\\ default_transaction_read_only=on\0user\0a\0\0"s) == want::primary); // part of another value
}
