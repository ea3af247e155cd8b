#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::string_literals;

namespace {

base::byte_view body(std::string const& frame) { return wire::body_of(frame, wire::read_header(frame)); }

} // namespace

TEST_CASE("a frame's length counts itself and not the type") {
    std::string sync;
    wire::append_sync(sync);
    CHECK(sync == "S\0\0\0\x04"s);
    auto const header = wire::read_header(sync);
    CHECK(header.type == 'S');
    CHECK(header.total_bytes() == 5);
    CHECK(header.body_bytes() == 0);
}

TEST_CASE("lengths below four and beyond a gigabyte are not valid") {
    CHECK(wire::frame_header{'Q', 4}.length_is_valid());
    CHECK_FALSE(wire::frame_header{'Q', 3}.length_is_valid());
    CHECK(wire::frame_header{'Q', wire::most_length}.length_is_valid());
    CHECK_FALSE(wire::frame_header{'Q', wire::most_length + 1}.length_is_valid());
    CHECK_FALSE(wire::frame_header{'Q', 0xffffffffu}.length_is_valid());
}

TEST_CASE("the client's types are those of PostgreSQL's SocketBackend, less the password answer") {
    for (char const type : "QFXBCDEHPSdcf"s) CHECK(wire::is_client_type(type));
    for (char const type : "pGRTZ \x16"s) CHECK_FALSE(wire::is_client_type(type));
}

TEST_CASE("a cursor never reads past the end and says so at the end") {
    auto const bytes = "\0\x05\0\0\0\x07text\0"s;
    wire::cursor in{bytes};
    CHECK(in.i16() == 5);
    CHECK(in.i32() == 7);
    CHECK(in.text() == "text");
    CHECK(in.at_end());
    CHECK(in.ok());
    CHECK(in.byte() == 0);
    CHECK_FALSE(in.ok());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        wire::cursor part{base::byte_view{bytes}.substr(0, cut)};
        (void)part.i16();
        (void)part.i32();
        (void)part.text();
        CHECK_FALSE(part.ok());
    }
}

TEST_CASE("a start-up packet without its terminator has no parameters") {
    auto const whole = "user\0app\0database\0shop\0\0"s;
    CHECK(wire::read_startup(wire::protocol_3_0, whole).find("database") == "shop");
    for (std::size_t cut = 0; cut + 1 < whole.size(); ++cut)
        CHECK(wire::read_startup(wire::protocol_3_0, base::byte_view{whole}.substr(0, cut)).parameters.empty());
}

TEST_CASE("protocol options stay out of the start-up message for the server, other parameters keep their order") {
    auto const sent = "user\0a\0_pq_.x\0y\0options\0-c z=1\0\0"s;
    auto const packet = wire::read_startup(wire::protocol_3_2, sent);
    CHECK(wire::startup_message(wire::protocol_3_2, packet) == "\0\0\0\x1f\0\3\0\2user\0a\0options\0-c z=1\0\0"s);
}

TEST_CASE("an error is read by its fields, and not where it is cut off") {
    auto const frame = wire::error_response(wire::severity::error, "42703", "no such column", "detail", "hint");
    auto const fields = wire::read_error(body(frame));
    REQUIRE(fields);
    CHECK(fields->severity == "ERROR");
    CHECK(fields->code == "42703");
    CHECK(fields->message == "no such column");
    auto const whole = body(frame);
    for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK_FALSE(wire::read_error(whole.substr(0, cut)));
}

TEST_CASE("a text of pgmend's own cannot break out of its field") {
    auto const frame = wire::error_response(wire::severity::fatal, "08006", "a\0Mb"s);
    auto const fields = wire::read_error(body(frame));
    REQUIRE(fields);
    CHECK(fields->message == "a Mb");
}

TEST_CASE("an error keeps every field but the position when the position is put right") {
    auto const frame = "E\0\0\0\x1dSERROR\0C42703\0P17\0Rx\0Zq\0\0"s;
    auto const moved = wire::error_with_position(body(frame), 5);
    CHECK(body(moved) == "SERROR\0C42703\0P5\0Rx\0Zq\0\0"s);
}

TEST_CASE("a negotiation names the newest version and each option") {
    std::vector<std::string> const options{"_pq_.a", "_pq_.b"};
    auto const frame = wire::negotiate_protocol_version(wire::protocol_3_2, options);
    auto const view = wire::read_negotiation(body(frame));
    REQUIRE(view);
    CHECK(view->newest_version == wire::protocol_3_2);
    CHECK(view->unknown_options == std::vector<base::byte_view>{"_pq_.a", "_pq_.b"});
    CHECK_FALSE(wire::read_negotiation("\0\3\0\2\x7f\xff\xff\xff"s)); // promises more options than there are
}

TEST_CASE("a Parse message is read as it was written") {
    std::string frame;
    std::uint32_t const types[] = {23, 0};
    wire::append_parse(frame, "s1", "SELECT $1, $2", types);
    auto const view = wire::read_parse(body(frame));
    REQUIRE(view);
    CHECK(view->statement == "s1");
    CHECK(view->sql == "SELECT $1, $2");
    CHECK(view->parameter_types == std::vector<std::uint32_t>{23, 0});
    auto const whole = body(frame);
    for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK_FALSE(wire::read_parse(whole.substr(0, cut)));
}

TEST_CASE("a Parse may declare as many types as its 16 bits count") {
    std::string frame;
    wire::append_parse(frame, {}, "SELECT 1", std::vector<std::uint32_t>(65535, 23));
    auto const view = wire::read_parse(body(frame));
    REQUIRE(view);
    CHECK(view->parameter_types.size() == 65535);
}

TEST_CASE("a row description that promises more columns than it has is not read") {
    CHECK_FALSE(wire::read_row_description("\0\x01"s));
    CHECK_FALSE(wire::read_row_description("\xff\xff"s));
    auto const one = "\0\x01"s + "email\0"s + "\0\0\x40\0"s + "\0\x03"s + "\0\0\0\x19"s + "\xff\xff"s + "\xff\xff\xff\xff"s + "\0\0"s;
    auto const fields = wire::read_row_description(one);
    REQUIRE(fields);
    REQUIRE(fields->size() == 1);
    CHECK((*fields)[0].label == "email");
    CHECK((*fields)[0].table == 0x4000);
    CHECK((*fields)[0].number == 3);
    CHECK((*fields)[0].type == 25);
    CHECK((*fields)[0].type_modifier == -1);
}

TEST_CASE("a data row tells NULL from the empty text") {
    auto const row = "\0\x03\xff\xff\xff\xff\0\0\0\0\0\0\0\x02" "ab"s;
    auto const columns = wire::read_data_row(row);
    REQUIRE(columns);
    REQUIRE(columns->size() == 3);
    CHECK_FALSE((*columns)[0]);
    CHECK((*columns)[1] == "");
    CHECK((*columns)[2] == "ab");
    CHECK_FALSE(wire::read_data_row("\0\x01\0\0\0\x09" "ab"s));
}

TEST_CASE("a Bind with other values keeps everything else") {
    // Two formats, three values (the second one NULL), one format of a result.
    auto const bind = "portal\0statement\0\0\x02\0\x01\0\0\0\x03\0\0\0\x01" "a\xff\xff\xff\xff\0\0\0\x02" "bc\0\x01\0\x01"s;
    using others = std::vector<wire::other_value>;
    CHECK(wire::bind_with(bind, others{}) == bind);
    CHECK(wire::bind_with(bind, others{{1, "longer"}, {3, std::nullopt}, {9, "none of them"}}) ==
          "portal\0statement\0\0\x02\0\x01\0\0\0\x03\0\0\0\x06longer\xff\xff\xff\xff\xff\xff\xff\xff\0\x01\0\x01"s);
    CHECK(wire::bind_with(bind, others{{2, "x"}}) == "portal\0statement\0\0\x02\0\x01\0\0\0\x03\0\0\0\x01" "a\0\0\0\x01x\0\0\0\x02" "bc\0\x01\0\x01"s);
    for (std::size_t size = 0; size + 4 < bind.size(); ++size) CHECK_FALSE(wire::bind_with(base::byte_view{bind}.substr(0, size), others{{1, "x"}}));
}
