#include "session/frames.hpp"

#include "pgmend/session/fallback.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using state = session::answer_recorder::state;

namespace {

std::string const all_rows = frame('E', "\0\0\0\0\0"s);
std::string const bound = frame('B', "\0\0\0\0\0\1\0\0\0\1x\0\0"s);

state record(std::string const& answer, std::size_t most = 10000) {
    state whole{};
    for (std::size_t piece = 1; piece <= answer.size(); ++piece) {
        session::answer_recorder recorder{most};
        state last{};
        for (std::size_t at = 0; at < answer.size(); at += piece) last = recorder.add(base::byte_view{answer}.substr(at, piece));
        if (piece == 1) whole = last;
        CHECK(last == whole);
    }
    return whole;
}

} // namespace

TEST_CASE("a request that could be answered from memory is a query, or one unnamed statement up to its Sync") {
    CHECK(session::text_of_whole_request(query("SELECT 1")) == "SELECT 1");
    CHECK(session::text_of_whole_request(parse("", "SELECT $1") + bound + all_rows + sync_message()) == "SELECT $1");
    CHECK(session::text_of_whole_request(parse("", "SELECT $1") + bound + frame('D', "P\0"s) + all_rows + sync_message()) == "SELECT $1");
    CHECK_FALSE(session::text_of_whole_request(query("SELECT 1") + query("SELECT 2")));
    CHECK_FALSE(session::text_of_whole_request(query("SELECT 1").substr(0, 8)));
    CHECK_FALSE(session::text_of_whole_request(parse("s", "SELECT $1") + bound + all_rows + sync_message()));
    CHECK_FALSE(session::text_of_whole_request(parse("", "SELECT $1") + bound + frame('E', "\0\0\0\0\5"s) + sync_message()));
    CHECK_FALSE(session::text_of_whole_request(parse("", "SELECT $1") + bound + all_rows));
    CHECK_FALSE(session::text_of_whole_request(sync_message()));
    CHECK_FALSE(session::text_of_whole_request(""));
}

TEST_CASE("only what reads may be answered from memory") {
    for (auto const* sql : {"SELECT count(*) FROM orders", "select * from a where b = $1", "VALUES (1)", "TABLE t", "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT 1;"}) {
        INFO(sql);
        CHECK(session::only_reads(sql));
    }
    for (auto const* sql : {"INSERT INTO t VALUES (1)", "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "SELECT * INTO n FROM t", "SELECT * FROM t FOR UPDATE",
                            "SELECT nextval('s')", "SELECT pg_advisory_lock(1)", "SELECT 1; SELECT 2", "BEGIN", "SET search_path = x", "COPY t TO STDOUT", "EXPLAIN SELECT 1",
                            "SELECT set_config('search_path', 'x', false)", "CALL p()", "", "SELECT 'open"}) {
        INFO(sql);
        CHECK_FALSE(session::only_reads(sql));
    }
}

TEST_CASE("a session that changes what names mean is noticed") {
    CHECK(session::leaves_session_alone(query("SELECT 1") + query("INSERT INTO t VALUES (1)")));
    CHECK(session::leaves_session_alone(bound + all_rows + sync_message()));
    CHECK_FALSE(session::leaves_session_alone(query("SET search_path = other")));
    CHECK_FALSE(session::leaves_session_alone(query("SELECT 1") + parse("s", "SET ROLE boss")));
    CHECK_FALSE(session::leaves_session_alone(query("SELECT 1").substr(0, 9)));
}

TEST_CASE("a session whose answers look otherwise, or that listens, is not as it began") {
    for (auto const* sql : {"SET TimeZone = 'Asia/Tokyo'", "SET TIME ZONE 'Asia/Tokyo'", "SET datestyle = german", "RESET TimeZone", "SET extra_float_digits = 3",
                            "SET SESSION bytea_output = escape", "LISTEN news", "SET row_security = off", "RESET ALL", "BEGIN; SET lc_monetary = 'C'"}) {
        INFO(sql);
        CHECK_FALSE(session::leaves_session_alone(query(sql)));
    }
    for (auto const* sql : {"SET application_name = 'x'", "SET statement_timeout = '5s'", "NOTIFY news", "BEGIN READ ONLY", "SET TRANSACTION READ ONLY"}) {
        INFO(sql);
        CHECK(session::leaves_session_alone(query(sql)));
    }
}

TEST_CASE("an answer that has begun is told from one that has not, whatever notices came") {
    session::answer_recorder recorder{10000};
    CHECK(recorder.untouched());
    recorder.add(frame('N', "the server is shutting down"));
    CHECK(recorder.untouched());
    recorder.add("D");
    CHECK_FALSE(recorder.untouched());
}

TEST_CASE("the end of an answer is found wherever its bytes are cut") {
    auto const answer = frame('T', "\0\0"s) + frame('D', "Z\0\0\0\5I"s) + complete("SELECT 1") + ready();
    auto const bytes = answer + frame('S', "a\0b\0"s);
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        session::answer_end end;
        std::size_t total = 0;
        std::optional<std::size_t> found;
        for (std::size_t at = 0; at < bytes.size() && !found; at += piece) {
            auto const part = base::byte_view{bytes}.substr(at, piece);
            found = end.add(part);
            total += found.value_or(part.size());
        }
        CHECK(found);
        CHECK(total == answer.size());
    }
    session::answer_end broken;
    CHECK_FALSE(broken.add("T\0\0\0\1x"s));
    CHECK(broken.broken());
}

TEST_CASE("an answer is kept whole, or not at all") {
    auto const row = frame('D', "\0\1\0\0\0\1x"s);
    auto const good = frame('T', "\0\0"s) + row + complete("SELECT 1") + ready();
    CHECK(record(good) == state::complete);
    CHECK(record(frame('T', "\0\0"s) + row) == state::open);
    CHECK(record(frame('T', "\0\0"s) + frame('E', "x") + ready()) == state::spoiled);
    CHECK(record(good.substr(0, good.size() - 1) + "T") == state::spoiled);
    CHECK(record(frame('G', "\0\0\0"s) + good) == state::spoiled);
    CHECK(record(frame('S', "TimeZone\0UTC\0"s) + good) == state::spoiled);
    CHECK(record(good, 10) == state::spoiled);
    CHECK(record(good + "Z") == state::spoiled);
    session::answer_recorder recorder{10000};
    CHECK(recorder.add(frame('N', "hello") + good) == state::complete);
    CHECK(recorder.take() == good);
}
