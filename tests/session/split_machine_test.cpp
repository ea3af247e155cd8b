#include "session/frames.hpp"

#include "pgmend/session/split_machine.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using step = session::split_machine::step;

namespace {

std::string frame(char type, std::string_view body) {
    std::string out(1, type);
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    return out.append(body);
}
std::string const ready = frame('Z', "I");
std::string const plain_table = frame('D', std::string_view{"\0\2\0\0\0\1t\0\0\0\1s", 12});
std::string error(std::string_view code) { return wire::error_response(wire::severity::error, code, "no"); }

/// A batch of four numbers, sent as a Query; `bad` are refused.
struct server {
    explicit server(std::vector<int> its_bad) : bad{std::move(its_bad)} {
        wire::append_query(request.request, sql);
        request.error = error("23505");
    }
    step answer(session::split_machine& machine, std::string const& sent) {
        ++exchanges;
        std::string to_client;
        auto reached = step::need_more;
        if (sent.find("pg_class") != std::string::npos) reached = machine.on_server(plain_table, to_client);
        for (int const n : bad)
            if (sent.find("(" + std::to_string(n) + ")") != std::string::npos) {
                reached = machine.on_server(error(code), to_client);
                break;
            }
        CHECK(reached == step::need_more);
        return machine.on_server(ready, to_client);
    }
    step run(session::split_machine& machine) {
        auto reached = answer(machine, machine.begin());
        while (reached == step::next) {
            last = machine.next();
            reached = answer(machine, last);
        }
        return reached;
    }
    std::string const sql = "INSERT INTO t VALUES (1), (2), (3), (4)";
    std::vector<int> bad;
    std::string code = "23505";
    session::failed_request request;
    int exchanges{0};
    std::string last;
};

} // namespace

TEST_CASE("the bad rows are found by halves, and the trial is undone") {
    server it{{2, 4}};
    session::split_machine machine{it.request, {it.sql, 0, {}, {}}, *session::read_batch(it.sql), 7, false};
    REQUIRE(machine.possible());
    CHECK(it.run(machine) == step::found);
    CHECK(it.last.find("ROLLBACK") != std::string::npos);
    CHECK(machine.good() == std::vector<std::size_t>{0, 2});
    REQUIRE(machine.bad().size() == 2);
    CHECK(machine.bad()[0].statement == "INSERT INTO t VALUES (2)");
    CHECK(machine.bad()[1].sqlstate == "23505");
    CHECK(it.exchanges == 8); // the look, 2 halves, 4 rows, the end
    CHECK(machine.settings() == "s");
}

TEST_CASE("an error that is not about values ends the trial") {
    server it{{3}};
    it.code = "40P01";
    session::split_machine machine{it.request, {it.sql, 0, {}, {}}, *session::read_batch(it.sql), 7, true};
    CHECK(it.run(machine) == step::refused);
    CHECK(it.last.find("ROLLBACK TO SAVEPOINT") != std::string::npos);
    CHECK(machine.reason() == "PostgreSQL refused a part of the batch with SQLSTATE 40P01");
}

namespace {

std::string bind(std::string_view statement, std::vector<std::int16_t> const& formats, std::vector<std::optional<std::string>> const& values) {
    std::string body{'\0'};
    body.append(statement).append(1, '\0');
    base::append_u16(body, static_cast<std::uint16_t>(formats.size()));
    for (auto const it : formats) base::append_u16(body, static_cast<std::uint16_t>(it));
    base::append_u16(body, static_cast<std::uint16_t>(values.size()));
    for (auto const& it : values) {
        base::append_u32(body, it ? static_cast<std::uint32_t>(it->size()) : 0xffffffffU);
        body += it.value_or("");
    }
    base::append_u16(body, 0);
    return frame('B', body);
}

constexpr std::string_view with_parameters = "INSERT INTO t VALUES ($1, $2), ($3, $4)";

session::failed_request request_of(std::string bytes, std::uint32_t failed) {
    session::failed_request out;
    wire::append_execute(bytes, "");
    wire::append_sync(bytes);
    out.request = std::move(bytes);
    out.error = error("23505");
    out.failed = failed;
    return out;
}

} // namespace

TEST_CASE("of a statement that an earlier request has prepared another one is bound in its place, and binary values are put into words") {
    auto const request = request_of(bind("s", {1}, {"\1", "\2", "\3", std::nullopt}), 1);
    session::split_machine machine{request, {with_parameters, 0xffffffff, "s", {23, 1082}}, *session::read_batch(with_parameters), 7, false};
    REQUIRE(machine.possible());
    std::string out;
    auto const answer = [&](std::string const& frames) { return test::feed(machine, frames, out); };
    std::string types{"\0\4", 2};
    for (std::uint32_t const it : {23U, 1082U, 23U, 1082U}) base::append_u32(types, it);
    CHECK(machine.begin().find(with_parameters) != std::string::npos);
    CHECK(answer(plain_table + frame('t', types) + ready) == step::next);
    auto sent = machine.next(); // the first row alone: in the format it came in, without the other's values
    CHECK(sent.find(std::string{"\0\1\0\1\0\4\0\0\0\1\1\0\0\0\1\2\377\377\377\377\377\377\377\377", 24}) != std::string::npos);
    CHECK(answer(error("23505") + ready) == step::next);
    (void)machine.next();
    CHECK(answer(ready) == step::next);
    sent = machine.next();
    CHECK(sent.find("extra_float_digits") != std::string::npos);
    CHECK(sent.find("SELECT $1, pg_catalog.to_json($2)") != std::string::npos);
    CHECK(answer(frame('D', std::string_view{"\0\2\0\0\0\1" "5\0\0\0\4it's", 15}) + ready) == step::next);
    (void)machine.next();
    CHECK(answer(ready) == step::found);
    REQUIRE(machine.bad().size() == 1);
    CHECK(machine.bad()[0].statement == "INSERT INTO t VALUES ('5', 'it''s')");
    CHECK(machine.bind_in_place() == 0U);
    CHECK(machine.unused_parameters() == std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("a value whose type does not follow from its place says which it is") {
    constexpr std::string_view text = "INSERT INTO t VALUES ($1, $2, 0, ARRAY[1, $3], -$4, ($5)[1], $6, $7), (1, NULL, 0, NULL, 2, 3, 4, 5)";
    auto const request = request_of(bind("s", {}, {"1", "1.5", "2", std::nullopt, "{a}", std::nullopt, "b"}), 1);
    session::split_machine machine{request, {text, 0xffffffff, "s", {}}, *session::read_batch(text), 7, false};
    REQUIRE(machine.possible());
    std::string out;
    auto const answer = [&](std::string const& frames) { return test::feed(machine, frames, out); };
    std::string types{"\0\7", 2};
    for (std::uint32_t const it : {23U, 701U, 23U, 1700U, 1009U, 1184U, 16400U}) base::append_u32(types, it);
    (void)machine.begin();
    CHECK(answer(plain_table + frame('t', types) + ready) == step::next);
    (void)machine.next();
    CHECK(answer(error("23505") + ready) == step::next);
    (void)machine.next();
    CHECK(answer(ready) == step::next);
    CHECK(machine.next().find("SELECT pg_catalog.format_type(23, -1), pg_catalog.format_type(701, -1), pg_catalog.format_type(1009, -1), pg_catalog.format_type(1184, -1),"
                              " pg_catalog.format_type(1700, -1), pg_catalog.format_type(16400, -1)") != std::string::npos);
    CHECK(answer(frame('D', std::string_view{"\0\6\0\0\0\1i\0\0\0\1f\0\0\0\3t[]\0\0\0\1z\0\0\0\1n\0\0\0\1m", 34}) + ready) == step::next);
    (void)machine.next();
    CHECK(answer(ready) == step::found);
    REQUIRE(machine.bad().size() == 1);
    CHECK(machine.bad()[0].statement == "INSERT INTO t VALUES ('1', '1.5'::f, 0, ARRAY[1, '2'::i], -NULL::n, ('{a}'::t[])[1], NULL, 'b'::m)");
}

TEST_CASE("what else is done with a statement decides whether it is split") {
    auto const values = std::vector<std::optional<std::string>>{"1", "2", "3", "4"};
    auto const parsed = [](std::string_view name) {
        std::string out;
        wire::append_parse(out, name, with_parameters, {});
        return out;
    };
    auto const why_not = [](session::failed_request const& request, std::uint32_t message, std::string_view name) {
        session::split_machine const machine{request, {with_parameters, message, name, {}}, *session::read_batch(with_parameters), 7, false};
        return machine.reason();
    };
    auto const unnamed = request_of(parsed("") + bind("", {}, values), 2);
    session::split_machine const plain{unnamed, {with_parameters, 0, "", {}}, *session::read_batch(with_parameters), 7, false};
    CHECK(plain.possible());
    CHECK_FALSE(plain.bind_in_place()); // its text is sent with the good rows alone
    auto const named = request_of(parsed("s") + bind("s", {}, values), 2);
    session::split_machine const kept{named, {with_parameters, 0, "s", {}}, *session::read_batch(with_parameters), 7, false};
    CHECK(kept.bind_in_place() == 1U);
    CHECK(why_not(request_of(parsed("s") + bind("s", {}, values), 0), 0, "s") == "the statement could not be prepared");
    CHECK(why_not(request_of(parsed("s") + bind("s", {}, values) + bind("s", {}, values), 3), 0, "s") == "the statement is executed more than once");
    CHECK(why_not(request_of(parsed("s") + parsed("u") + bind("s", {}, values), 3), 0, "s") == "the request holds other statements");
    CHECK(why_not(request_of(bind("s", {}, values) + bind("u", {}, values), 1), 0xffffffff, "s") == "the request holds other statements");
    CHECK(why_not(request_of(bind("s", {}, {"1"}), 1), 0xffffffff, "s") == "a parameter has no value");
}
