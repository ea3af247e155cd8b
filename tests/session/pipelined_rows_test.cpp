#include "session/frames.hpp"

#include "pgmend/session/heal_machine.hpp"
#include "pgmend/session/pipelined_rows.hpp"
#include "pgmend/session/split_machine.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using step = session::split_machine::step;

namespace {

std::string const insert = "INSERT INTO t VALUES ($1)";

std::string bind_number(std::string_view statement, char number, bool binary = false) {
    auto body = "\0"s.append(statement) + '\0';
    base::append_u16(body, 1);
    base::append_u16(body, binary ? 1 : 0);
    base::append_u16(body, 1);
    base::append_u32(body, 1);
    return frame('B', body.append(1, number) + "\0\0"s);
}
std::string row(std::string_view statement, char number, bool binary = false) { return bind_number(statement, number, binary) + execute(); }

session::failed_request request_of(std::string bytes) {
    session::failed_request out;
    out.request = std::move(bytes);
    out.error = error({"C23505"});
    return out;
}

std::string why_not(std::string bytes) {
    auto const request = request_of(std::move(bytes));
    auto const read = session::read_pipeline(request, {});
    return read ? "" : read.error().text;
}

} // namespace

TEST_CASE("executions of one-row INSERTs into one table are rows, whatever prepared them") {
    auto const request = request_of(parse("", "BEGIN") + bind("") + frame('D', "P\0"s) + execute() + parse("", insert) + row("", '1') + row("kept", '2') +
                                    parse("s", "INSERT INTO t (a) VALUES ($1)") + row("s", '3') + sync_message());
    auto const read = session::read_pipeline(request, {"kept", insert, {23}});
    REQUIRE(read.has_value());
    REQUIRE(read->rows.size() == 3);
    CHECK(read->rows[0].bind == 5);
    CHECK(read->rows[1].types == std::vector<std::uint32_t>{23});
    CHECK(read->rows[2].sql == "INSERT INTO t (a) VALUES ($1)");
    CHECK(read->of.table == "t");
    CHECK(session::may_be_pipeline(request));
    CHECK_FALSE(session::may_be_pipeline(request_of(parse("", insert) + row("", '1') + sync_message())));
}

TEST_CASE("whatever else a request holds, it is left alone") {
    auto const two = parse("", insert) + row("", '1') + row("", '2');
    CHECK(why_not(two + sync_message()).empty());
    CHECK(why_not(two) == "the request is not complete");
    CHECK(why_not(parse("", insert) + row("", '1') + sync_message()) == "the statement is executed once, with one row");
    CHECK(why_not(two + parse("", "SELECT 1") + bind("") + execute() + sync_message()) == "the request holds other statements than plain INSERT … VALUES");
    CHECK(why_not(two + parse("", "COMMIT") + bind("") + execute() + sync_message()) == "the request holds other statements than plain INSERT … VALUES");
    CHECK(why_not(two + parse("", "INSERT INTO u VALUES ($1)") + row("", '3') + sync_message()) == "the request writes to several tables");
    CHECK(why_not(two + parse("", "INSERT INTO t VALUES ($1), (2)") + row("", '3') + sync_message()) == "a pipeline of statements of several rows");
    CHECK(why_not(two + row("elsewhere", '3') + sync_message()) == "a statement was prepared by an earlier request");
    CHECK(why_not(two + execute() + sync_message()) == "a statement is executed more than once");
    CHECK(why_not(two + bind_number("", '3') + sync_message()) == "the request is not complete");
    CHECK(why_not(two + frame('F', "") + sync_message()) == "the request holds other statements");
    auto cut = request_of(two + sync_message());
    cut.whole = false;
    CHECK_FALSE(session::read_pipeline(cut, {}).has_value());
}

TEST_CASE("BEGIN and START TRANSACTION begin a block, alone") {
    CHECK(session::begins_block("begin isolation level serializable;"));
    CHECK(session::begins_block("/* x */ START TRANSACTION"));
    CHECK_FALSE(session::begins_block("BEGIN; SELECT 1"));
    CHECK_FALSE(session::begins_block("COMMIT"));
    CHECK_FALSE(session::begins_block(""));
}

TEST_CASE("rows of a pipeline are tried with the values as they came, and bad ones put into words") {
    auto const request = request_of(parse("", insert) + row("", '1', true) + row("", '2', true) + row("", '3', true) + sync_message());
    session::split_machine machine{*session::read_pipeline(request, {}), 7, false};
    REQUIRE(machine.possible());
    std::string out;
    auto const answer = [&](std::string const& frames) { return test::feed(machine, frames, out); };
    auto const types = frame('t', "\0\1\0\0\4\x5a"s); // timestamp
    CHECK(machine.begin().find("BEGIN") != std::string::npos);
    CHECK(answer(frame('D', "\0\2\0\0\0\1t\0\0\0\1s"s) + ready()) == step::next);
    auto sent = machine.next(); // the first alone
    CHECK(sent.find("1\0\0"s) != std::string::npos);
    CHECK(answer(types + ready()) == step::next);
    (void)machine.next(); // the other two
    CHECK(answer(error({"C23514", "Mno"}) + ready()) == step::next);
    (void)machine.next();
    CHECK(answer(types + error({"C23514", "Mno"}) + ready()) == step::next);
    (void)machine.next();
    CHECK(answer(types + ready()) == step::next);
    sent = machine.next();
    CHECK(sent.find("SELECT pg_catalog.format_type(1114, -1)") != std::string::npos);
    CHECK(answer(frame('D', "\0\1\0\0\0\2ts"s) + ready()) == step::next);
    sent = machine.next();
    CHECK(sent.find("SELECT pg_catalog.to_json($1)") != std::string::npos);
    CHECK(answer(frame('D', "\0\1\0\0\0\4it's"s) + ready()) == step::next);
    CHECK(machine.next().find("ROLLBACK") != std::string::npos);
    CHECK(answer(ready()) == step::found);
    REQUIRE(machine.bad().size() == 1);
    CHECK(machine.bad()[0].number == 1);
    CHECK(machine.bad()[0].statement == "INSERT INTO t VALUES ('it''s'::ts)");
    CHECK(machine.good() == std::vector<std::size_t>{0, 2});
}

TEST_CASE("the request again, with nothing in the place of the rows that are left out") {
    auto request = request_of(parse("", "BEGIN") + bind("") + execute() + parse("s", insert) + row("s", '1') + row("s", '2') + row("s", '3') + sync_message());
    request.failed = 7; // the second row's Execute
    request.first = 1;
    request.passed_on = 6;
    request.opened = true;
    session::heal_machine machine{request, {}};
    CHECK_FALSE(machine.possible());
    REQUIRE(machine.possible_for_rows());
    auto const first = machine.begin(true);
    CHECK(first.find("ROLLBACK") != std::string::npos);
    CHECK(machine.must_abort_again());
    healing::plan plan;
    plan.sql = insert;
    auto const again = machine.retry_without(plan, {6}, "INSERT INTO t SELECT NULL WHERE false");
    CHECK(again.first == 6);
    CHECK(again.bytes.find(row("s", '1')) != std::string::npos);
    CHECK(again.bytes.find(bind_number("s", '2')) == std::string::npos);
    CHECK(again.bytes.find(row("s", '3') + sync_message()) == std::string::npos); // pgmend's statement is closed ahead of the Sync
    std::size_t shown = 0;
    for (auto const& it : again.answers) shown += it.own ? 0 : 1;
    CHECK(shown == 11 - 6);
    CHECK(machine.abort_again().find("BEGIN") != std::string::npos);
}
