#include "session/frames.hpp"

#include "pgmend/session/read_only_transaction.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using session::at_replica;

namespace {

std::string describe() { return frame('D', "S\0"s); }

void prepare(session::session_memory& memory, std::string_view name, std::string_view sql) {
    memory.on_client('P', std::string{name} + '\0' + std::string{sql} + "\0\0\0"s, true);
    memory.on_client('S', {}, true);
    memory.prepared_or_closed();
    memory.settled('I');
}

} // namespace

TEST_CASE("a transaction begins read-only where its BEGIN says so, and at a level that a replica has") {
    for (auto const* sql : {"BEGIN READ ONLY", "begin work read only", "BEGIN TRANSACTION READ ONLY;", "START TRANSACTION READ ONLY", "start transaction isolation level repeatable read, read only",
                            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE", "BEGIN READ /* x */ ONLY"}) {
        INFO(sql);
        CHECK(session::begins_read_only(sql, false));
    }
    for (auto const* sql : {"BEGIN", "START TRANSACTION", "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "BEGIN READ ONLY DEFERRABLE", "BEGIN ISOLATION LEVEL READ UNCOMMITTED READ ONLY",
                            "BEGIN READ ONLY, READ WRITE", "BEGIN READ", "START READ ONLY", "SELECT 1", "", "BEGIN READ ONLY SELECT 1", "COMMIT"}) {
        INFO(sql);
        CHECK_FALSE(session::begins_read_only(sql, false));
    }
    CHECK(session::begins_read_only("BEGIN", true));
    CHECK(session::begins_read_only("START TRANSACTION ISOLATION LEVEL REPEATABLE READ", true));
    CHECK_FALSE(session::begins_read_only("BEGIN READ WRITE", true));
}

TEST_CASE("what a replica refuses, and what it would take to mean something else, is told by the words") {
    auto const of = [](std::string_view sql) { return session::text_at_replica(sql).what; };
    for (auto const* sql : {"SELECT 1", "TABLE t", "WITH a AS (SELECT 1) SELECT * FROM a", "EXPLAIN SELECT 1", "SHOW TimeZone", "DECLARE c CURSOR FOR SELECT 1", "FETCH 1 FROM c", "SAVEPOINT s", "ROLLBACK TO s",
                            "SET LOCAL a.b = 'c'", "SET work_mem = '1MB'", "COMMIT", "SELECT 1; ROLLBACK", "COPY t TO STDOUT", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "INSERT INTO t VALUES (1)", "CREATE TABLE t (a int)"}) {
        INFO(sql);
        CHECK(of(sql) == at_replica::same);
    }
    for (auto const* sql : {"NOTIFY n", "LOCK TABLE t", "PREPARE TRANSACTION 'x'", "SET TRANSACTION READ WRITE", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION SNAPSHOT 'x'", "SELECT txid_current()",
                            "COMMIT; INSERT INTO t VALUES (1)", "SELECT pg_is_in_recovery()", "BEGIN", "EXECUTE p", "SET transaction_read_only = off"}) {
        INFO(sql);
        CHECK(of(sql) == at_replica::refused);
    }
    for (auto const* sql : {"LISTEN n", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_xact_lock(1)", "PREPARE p AS SELECT 1", "DO $$BEGIN END$$", "SELECT set_config('a.b', 'c', true)", "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
                            "FROBNICATE", "SELECT 'open"}) {
        INFO(sql);
        CHECK(of(sql) == at_replica::never);
        CHECK_FALSE(session::text_at_replica(sql).why.empty());
    }
}

TEST_CASE("a request departs where all of it has come and all of it may run at a replica") {
    session::session_memory memory{""};
    prepare(memory, "begin", "BEGIN READ ONLY");
    prepare(memory, "read", "SELECT 1");
    prepare(memory, "lock", "SELECT pg_advisory_xact_lock(1)");
    auto const begun = [&](std::string const& bytes) -> std::string {
        auto const it = session::departure_of(bytes, memory);
        return it ? std::to_string(it->bytes) + " " + it->begin : "stays";
    };
    auto const all = [](std::string const& bytes, std::string const& begin = {}) { return std::to_string(bytes.size()) + " " + begin; };
    auto const alone = query("BEGIN READ ONLY");
    CHECK(begun(alone) == all(alone, "BEGIN READ ONLY"));
    CHECK(begun(alone + query("SELECT 1")) == all(alone, "BEGIN READ ONLY"));
    for (std::size_t size = 0; size < alone.size(); ++size) CHECK(begun(alone.substr(0, size)) == "stays");
    for (auto const* sql : {"BEGIN READ ONLY; SELECT 1", "BEGIN READ ONLY; SELECT 1; COMMIT", "BEGIN READ ONLY;;"}) CHECK(begun(query(sql)).starts_with(std::to_string(query(sql).size())));
    for (auto const* sql : {"BEGIN READ ONLY; SELECT 1; COMMIT; INSERT INTO t VALUES (1)", "BEGIN READ ONLY; LISTEN n", "BEGIN; SELECT 1", "SELECT 1", "BEGIN", "SET a.b = 'c'; BEGIN READ ONLY", "BEGIN READ ONLY; SELECT 'open"})
        CHECK(begun(query(sql)) == "stays");
    auto const extended = parse("", "START TRANSACTION READ ONLY") + describe() + bind("") + execute() + sync_message();
    CHECK(begun(extended) == all(extended, "START TRANSACTION READ ONLY"));
    CHECK(begun(extended.substr(0, extended.size() - 5)) == "stays"); // what else will there be?
    auto const named = bind("begin") + execute() + sync_message();
    CHECK(begun(named) == all(named, "BEGIN READ ONLY"));
    CHECK(begun(bind("read") + execute() + sync_message()) == "stays");
    CHECK(begun(parse("", "BEGIN READ ONLY") + sync_message()) == "stays"); // it is only prepared
    auto const with_more = parse("", "BEGIN READ ONLY") + bind("") + execute() + parse("", "SELECT 1") + bind("") + execute() + sync_message();
    CHECK(begun(with_more) == all(with_more));
    auto const with_named = parse("", "BEGIN READ ONLY") + bind("") + execute() + bind("read") + execute() + sync_message();
    CHECK(begun(with_named) == all(with_named));
    CHECK(begun(parse("", "BEGIN READ ONLY") + bind("") + execute() + bind("lock") + execute() + sync_message()) == "stays");
    CHECK(begun(parse("s", "BEGIN READ ONLY") + bind("s") + execute() + bind("") + execute() + sync_message()) == "stays"); // prepared before
    // By the session's default.
    CHECK(begun(query("BEGIN")) == "stays");
    memory.reported("default_transaction_read_only", "on");
    CHECK(begun(query("BEGIN")) == all(query("BEGIN"), "BEGIN"));
    CHECK(begun(query("BEGIN READ WRITE")) == "stays");
    for (auto const& bytes : {alone, extended, named}) CHECK(session::may_begin_read_only(bytes, memory));
    for (auto const& bytes : {query("SELECT 1"), query("B"), query(""), sync_message(), bind("read"), bind(""), ""s}) CHECK_FALSE(session::may_begin_read_only(bytes, memory));
}

TEST_CASE("a request at a replica is judged message by message") {
    session::session_memory memory{""};
    prepare(memory, "lock", "SELECT pg_advisory_xact_lock(1)");
    bool unnamed = false;
    auto const of = [&](std::string const& messages) { return session::request_at_replica(messages, memory, unnamed); };
    CHECK(of(parse("", "SELECT 1") + bind("") + execute() + sync_message()).what == at_replica::same);
    CHECK(unnamed);
    CHECK(of(bind("") + execute() + sync_message()).what == at_replica::same);
    CHECK(of(query("SELECT 1")).what == at_replica::same);
    CHECK_FALSE(unnamed);
    CHECK(of(bind("") + execute() + sync_message()).what == at_replica::never);
    auto const second = of(parse("", "SELECT 1") + bind("lock") + execute() + sync_message());
    CHECK((second.what == at_replica::never && second.behind == 1));
    CHECK(of(frame('F', "x")).what == at_replica::never);
    // A setting of which nobody would know whether it was rolled back.
    CHECK(of(query("SET a.b = 'c'; ROLLBACK TO s")).what == at_replica::never);
    memory.on_client('Q', "SET a.b = 'c'\0"s, true);
    memory.completed("SET");
    memory.settled('T');
    CHECK(of(query("SELECT 1")).what == at_replica::same);
    CHECK(of(query("ROLLBACK TO s")).what == at_replica::never);
    CHECK(of(query("ROLLBACK")).what == at_replica::same);
}

TEST_CASE("the extent of a request ends with its Query or Sync") {
    auto const one = parse("", "SELECT 1") + bind("") + execute() + sync_message();
    auto const of = [](std::string const& bytes) { return session::extent_of_request(bytes); };
    CHECK((of(one + query("x")).bytes == one.size() && of(one + query("x")).whole));
    CHECK((of(one.substr(0, one.size() - 1)).bytes == one.size() - 5 && !of(one.substr(0, one.size() - 1)).whole));
    CHECK(of("Q").bytes == 0);
    CHECK((of("?\0\0\0\1xx"s).bytes == 7 && !of("?\0\0\0\1xx"s).whole));
}

TEST_CASE("statements without a name are followed") {
    auto const first = parse("", "SELECT 1");
    auto const messages = first + sync_message();
    auto const prepared = session::unnamed_use_of(messages);
    CHECK((prepared.replaced && !prepared.used && prepared.left == first));
    auto const gone = session::unnamed_use_of(query("SELECT 1"));
    CHECK((gone.replaced && gone.left.empty()));
    CHECK(session::unnamed_use_of(bind("")).used);
    CHECK(session::unnamed_use_of(describe()).used);
    CHECK_FALSE(session::unnamed_use_of(bind("a")).used);
    CHECK_FALSE(session::unnamed_use_of(first + bind("")).used);
}

TEST_CASE("the answer to a question of pgmend's own is one row") {
    session::own_answer answer;
    CHECK_FALSE(answer.add(frame('D', "\0\2\0\0\0\1t\xff\xff\xff\xff"s)));
    CHECK_FALSE(answer.add(error({"C42501"})));
    CHECK(answer.add(ready('I')));
    CHECK((answer.columns == std::vector<std::string>{"t", ""} && answer.sqlstate == "42501" && answer.status == 'I'));
    CHECK(session::replay_question("0/1A").find("'0/1A'::pg_catalog.pg_lsn") != std::string::npos);
}
