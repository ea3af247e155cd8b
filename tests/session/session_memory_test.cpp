#include "session/frames.hpp"

#include "pgmend/session/relay_machine.hpp"
#include "pgmend/session/session_memory.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using effect = session::session_effect::kind_type;

namespace {

std::string status(std::string_view name, std::string_view value) { return frame('S', std::string{name} + '\0' + std::string{value} + '\0'); }

std::string const greeting = status("client_encoding", "UTF8") + status("TimeZone", "UTC") + status("standard_conforming_strings", "on");

/// A session without sockets.
struct relayed {
    relayed() { machine.remember_in(&memory); }
    void client(std::string const& bytes) {
        for (base::byte_view rest = bytes; !rest.empty();) {
            auto const step = machine.on_client(rest);
            rest.remove_prefix(step.consumed);
            if (step.consumed == 0 && !step.again) break;
        }
    }
    void server(std::string const& bytes) {
        for (base::byte_view rest = bytes; !rest.empty();) {
            auto const step = machine.on_server(rest);
            rest.remove_prefix(step.consumed);
            if (step.consumed == 0 && !step.again) break;
        }
    }
    void ask(std::string_view sql, std::string_view tag, char state = 'I') {
        client(query(sql));
        server(complete(tag) + ready(state));
    }
    [[nodiscard]] std::vector<std::string> settings() const {
        std::vector<std::string> out;
        for (auto const& it : memory.settings()) out.push_back(it.text);
        return out;
    }
    [[nodiscard]] std::vector<std::string> prepared() const {
        std::vector<std::string> out;
        for (auto const& [name, parse] : memory.prepared()) out.push_back(name);
        return out;
    }

    session::session_memory memory{greeting};
    session::relay_machine machine{{false, 65536}};
};

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("what a text leaves behind in its session is told by its words") {
    for (auto const* sql : {"SELECT count(*) FROM t WHERE a IN (1, 2)", "INSERT INTO public.orders (a, b) VALUES ($1, lower($2))", "UPDATE t SET a = 1", "BEGIN", "COMMIT", "SET LOCAL a.b = 'c'",
                            "SET TRANSACTION READ ONLY", "CREATE TABLE t (a int)", "COPY t FROM STDIN", "NOTIFY n", "UNLISTEN *", "DISCARD PLANS", "DISCARD TEMP", "SELECT * INTO t2 FROM t",
                            "SELECT temp FROM weather", "DECLARE c CURSOR FOR SELECT 1", "SELECT pg_advisory_xact_lock(1)", "WITH x (a) AS (SELECT 1) SELECT * FROM x AS y (b)", ""}) {
        INFO(sql);
        auto const it = session::effects_of(sql);
        CHECK(it.lost.empty());
        CHECK(it.carried.empty());
    }
    for (auto const* sql : {"SELECT set_config('a.b', 'c', false)", "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)", "CREATE TEMP TABLE t (a int)", "SELECT * INTO TEMPORARY t2 FROM t",
                            "CREATE TABLE pg_temp.t (a int)", "SET search_path = pg_temp, public", "LISTEN n", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "PREPARE p AS SELECT 1", "DO $$BEGIN END$$", "CALL p()",
                            "LOAD 'auto_explain'", "SET SESSION AUTHORIZATION joe", "RESET SESSION AUTHORIZATION", "SET SEED = 0.5", "SELECT setseed(0.5)", "SET a.b = 'é'", "SELECT 'open",
                            "SELECT 1; LISTEN n", "FROBNICATE x", "SELECT dblink_connect('x')", "CREATE TEMP VIEW v AS SELECT 1", "EXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT 1"}) {
        INFO(sql);
        CHECK_FALSE(session::effects_of(sql).lost.empty());
    }
    auto const carried = [](std::string_view sql) { return session::effects_of(sql).carried; };
    using effects = std::vector<session::session_effect>;
    CHECK(carried("SET TimeZone TO 'UTC'") == effects{{effect::setting, "timezone", "SET TimeZone TO 'UTC'"}});
    CHECK(carried("set session  Work_Mem = '1MB' ;") == effects{{effect::setting, "work_mem", "set session  Work_Mem = '1MB'"}});
    CHECK(carried("SET TIME ZONE 'UTC'") == effects{{effect::setting, "timezone", "SET TIME ZONE 'UTC'"}});
    CHECK(carried("SET app.\"User\" = 'x'") == effects{{effect::setting, "app.user", "SET app.\"User\" = 'x'"}});
    CHECK(carried("SET NAMES 'UTF8'") == effects{{effect::setting, "client_encoding", "SET NAMES 'UTF8'"}});
    CHECK(carried("SET ROLE joe") == effects{{effect::setting, "role", "SET ROLE joe"}});
    CHECK(carried("RESET work_mem") == effects{{effect::setting, "work_mem", "RESET work_mem"}});
    CHECK(carried("RESET ALL") == effects{{effect::reset_all, "", ""}});
    CHECK(carried("DISCARD ALL") == effects{{effect::discard_all, "", ""}});
    CHECK(carried("DEALLOCATE PREPARE \"_A\"\"b\"") == effects{{effect::deallocate, "_A\"b", ""}});
    CHECK(carried("DEALLOCATE Foo") == effects{{effect::deallocate, "foo", ""}});
    CHECK(carried("DEALLOCATE ALL") == effects{{effect::deallocate_all, "", ""}});
    CHECK(carried("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;") == effects{{effect::reset_all, "", ""}}); // asyncpg's pool
    CHECK(carried("SET a.b = 1; SET c.d = 2").size() == 2);
    CHECK(carried("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY").size() == 1);
}

TEST_CASE("a text that was read before is not read again, and means the same") {
    session::known_effects known;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < 3 * session::known_effects::most_texts; ++i) texts.push_back("SET a.b" + std::to_string(i) + " = 'c'");
    texts.insert(texts.end(), {"", "SELECT 1", "SELECT mine(1)", "LISTEN n", "LOAD 'x'", "SELECT '" + std::string(5000, 'x') + "', mine(1)"});
    for (int round = 0; round < 2; ++round) {
        for (auto const& sql : texts) {
            auto const read = session::effects_of(sql);
            auto const& it = known.of(sql);
            CHECK((it.carried == read.carried && it.lost == read.lost && it.for_good == read.for_good && it.calls == read.calls));
            CHECK(&known.of(sql) == &it);
        }
    }
}

TEST_CASE("functions that are not PostgreSQL's own are noticed") {
    for (auto const* sql : {"SELECT count(*), max(a), coalesce(b, 1) FROM t", "INSERT INTO t (a) VALUES (now())", "INSERT INTO s.\"T\" (a) SELECT 1", "SELECT a::numeric(10, 2) FROM t WHERE (a) = ANY (b)",
                            "SELECT 1 + (2)", "SELECT * FROM unnest(a) AS x (y) JOIN LATERAL (SELECT 1) z ON (true)"}) {
        INFO(sql);
        CHECK_FALSE(session::effects_of(sql).calls);
    }
    for (auto const* sql : {"SELECT mine(1)", "SELECT public.mine (1)", "SELECT \"count\"(1)", "SELECT public.count(1)", "SELECT mine /* x */ (1)", "SELECT mine -- x.\n (1)", "CALL p(1)"}) {
        INFO(sql);
        CHECK(session::effects_of(sql).calls);
    }
}

TEST_CASE("settings are carried in the order of their last change, once their transaction is committed") {
    relayed s;
    s.ask("SET work_mem = '1MB'", "SET");
    s.ask("SET ROLE joe", "SET");
    s.ask("SET work_mem = '2MB'", "SET");
    CHECK(s.settings() == texts{"SET ROLE joe", "SET work_mem = '2MB'"});
    s.ask("BEGIN", "BEGIN", 'T');
    s.ask("SET a.b = 'c'", "SET", 'T');
    CHECK(s.settings().size() == 2);
    s.ask("ROLLBACK", "ROLLBACK");
    CHECK(s.settings().size() == 2);
    s.ask("BEGIN", "BEGIN", 'T');
    s.ask("SET a.b = 'c'", "SET", 'T');
    s.ask("COMMIT", "COMMIT");
    CHECK(s.settings() == texts{"SET ROLE joe", "SET work_mem = '2MB'", "SET a.b = 'c'"});
    s.client(query("SET a.b = 'd'; SELECT 1/0"));
    s.server(complete("SET") + error({"C22012"}) + ready());
    CHECK(s.settings().back() == "SET a.b = 'c'");
    s.ask("RESET ALL", "RESET");
    CHECK(s.settings() == texts{"SET ROLE joe"});
    CHECK(s.memory.obstacle().empty());
    // Which part of this was rolled back, nobody has seen.
    s.ask("BEGIN", "BEGIN", 'T');
    s.ask("SET a.b = 'c'", "SET", 'T');
    s.ask("ROLLBACK TO x", "ROLLBACK", 'T');
    s.ask("COMMIT", "COMMIT");
    CHECK(s.memory.obstacle() == "a setting in a transaction that was rolled back in part");
    s.ask("DISCARD ALL", "DISCARD ALL");
    CHECK(s.memory.obstacle().empty());
    CHECK(s.settings().empty());
}

TEST_CASE("settings of a transaction whose COMMIT fails, and of failed requests in a pipeline, are not carried") {
    relayed s;
    s.ask("BEGIN", "BEGIN", 'T');
    s.ask("SET a.b = 'c'", "SET", 'T');
    s.client(query("COMMIT"));
    s.server(error({"C23503"}) + ready());
    CHECK(s.settings().empty());
    s.client(query("SET a.b = 1") + query("SET c.d = x") + query("SET e.f = 2"));
    s.server(complete("SET") + ready() + error({"C22023"}) + ready());
    CHECK_FALSE(s.memory.obstacle().empty()); // one is under way
    s.server(complete("SET") + ready());
    CHECK(s.settings() == texts{"SET a.b = 1", "SET e.f = 2"});
    CHECK(s.memory.obstacle().empty());
}

TEST_CASE("named statements are carried from ParseComplete to Close, whatever becomes of the transaction") {
    relayed s;
    auto const done = frame('1');
    s.client(parse("a", "SELECT 1") + parse("", "SELECT 2") + bind("") + execute() + parse("b", "SELECT 3") + sync_message());
    s.server(done + done + frame('2') + error({"C22012"}) + ready());
    CHECK(s.prepared() == texts{"a"}); // the server has passed over b
    CHECK(s.memory.prepared().at("a") == parse("a", "SELECT 1"));
    s.client(parse("b", "SELECT 3") + parse("c", "SELECT 4") + sync_message() + close_statement("a") + frame('C', "Px\0"s) + sync_message());
    s.server(done + done + ready());
    CHECK(s.prepared() == texts{"a", "b", "c"});
    s.server(frame('3') + frame('3') + ready());
    CHECK(s.prepared() == texts{"b", "c"});
    s.ask("BEGIN", "BEGIN", 'T');
    s.ask("DEALLOCATE b", "DEALLOCATE", 'T');
    s.ask("ROLLBACK", "ROLLBACK");
    CHECK(s.prepared() == texts{"c"});
    s.client(frame('C', "Sc\0"s).substr(0, 3));
    s.client(close_statement("c") + sync_message());
    s.server(frame('3') + ready());
    CHECK(s.prepared().empty());
    CHECK(s.memory.obstacle().empty());
}

TEST_CASE("a SET that was prepared counts each time that it is executed") {
    relayed s;
    s.client(parse("a", "SET x.y = 1") + sync_message());
    s.server(frame('1') + ready());
    CHECK(s.settings().empty());
    auto const execute_a = bind("a") + execute() + sync_message();
    auto const done = frame('2') + complete("SET") + ready();
    s.client(execute_a);
    s.server(done);
    s.ask("SET x.y = 2", "SET");
    CHECK(s.settings() == texts{"SET x.y = 2"});
    s.client(execute_a);
    s.server(done);
    CHECK(s.settings() == texts{"SET x.y = 1"});
    s.client(parse("", "SET x.y = 3") + bind("") + execute() + sync_message());
    s.server(frame('1') + done);
    CHECK(s.settings() == texts{"SET x.y = 3"});
    s.client(parse("", "SELECT 1") + bind("") + execute() + sync_message());
    s.server(frame('1') + frame('2') + complete("SELECT 1") + ready());
    CHECK(s.settings() == texts{"SET x.y = 3"});
    CHECK(s.memory.obstacle().empty());
}

TEST_CASE("what cannot be carried over is an obstacle until DISCARD ALL") {
    relayed s;
    s.ask("LISTEN n", "LISTEN");
    CHECK(s.memory.obstacle() == "LISTEN");
    s.ask("DISCARD ALL", "DISCARD ALL");
    CHECK(s.memory.obstacle().empty());
    s.client(query("DISCARD ALL") + query("LISTEN n"));
    s.server(complete("DISCARD ALL") + ready() + complete("LISTEN") + ready());
    CHECK(s.memory.obstacle() == "LISTEN");
    s.ask("DISCARD ALL", "DISCARD ALL");
    s.ask("LOAD 'x'", "LOAD");
    s.ask("DISCARD ALL", "DISCARD ALL");
    CHECK(s.memory.obstacle() == "LOAD");
    relayed other;
    other.client(frame('F', "\0\0\0\1"s));
    other.server(frame('V', "\xff\xff\xff\xff"s) + ready());
    CHECK(other.memory.obstacle() == "a function call");
}

TEST_CASE("memory has bounds") {
    relayed s;
    std::string const long_text = "SELECT '" + std::string(60000, 'x') + "'";
    for (int i = 0; i < 5; ++i) {
        s.client(parse("s" + std::to_string(i), long_text) + sync_message());
        s.server(frame('1') + ready());
    }
    CHECK_FALSE(s.memory.obstacle().empty());
    s.ask("DISCARD ALL", "DISCARD ALL");
    CHECK(s.memory.obstacle().empty());
    for (std::size_t i = 0; i <= session::session_memory::most_settings; ++i) s.ask("SET a.b" + std::to_string(i) + " = 1", "SET");
    CHECK_FALSE(s.memory.obstacle().empty());
    CHECK(s.settings().size() == session::session_memory::most_settings);
    relayed large;
    auto const in_parts = query("SELECT '" + std::string(100000, 'x') + "'");
    large.client(in_parts.substr(0, 80000));
    large.client(in_parts.substr(80000));
    large.server(complete("SELECT 1") + ready());
    CHECK(large.memory.obstacle() == "a statement too long to be looked at");
}

TEST_CASE("what the server reports is followed, and statements that would be read otherwise are noticed") {
    relayed s;
    s.client(query("SELECT 1"));
    s.server(status("TimeZone", "Asia/Tokyo") + complete("SELECT 1") + ready());
    CHECK(s.memory.parameters()[1].at_login == "UTC");
    CHECK(s.memory.parameters()[1].now == "Asia/Tokyo");
    s.client(parse("a", "SELECT 'é'") + sync_message());
    s.server(frame('1') + ready());
    s.server(status("standard_conforming_strings", "off"));
    CHECK(s.memory.obstacle().empty());
    s.server(status("client_encoding", "LATIN1"));
    CHECK_FALSE(s.memory.obstacle().empty());
}

TEST_CASE("a Sync that comes too early for the end of a COPY ends nothing") {
    relayed s;
    s.client(parse("", "COPY t FROM STDIN") + bind("") + execute() + sync_message());
    s.server(frame('1') + frame('2') + frame('G', "\0\0\0"s));
    s.client(frame('d', "1\n") + frame('c') + sync_message());
    s.server(complete("COPY 1") + ready());
    CHECK(s.memory.obstacle().empty());
    s.ask("SET a.b = 1", "SET");
    CHECK(s.settings().size() == 1);
}

TEST_CASE("a request that needs what only the lost server knew is told apart") {
    auto const needs = [](std::string const& request) { return !session::needs_old_server(request).empty(); };
    CHECK_FALSE(needs(query("SELECT 1")));
    CHECK_FALSE(needs(parse("", "SELECT 1") + bind("") + execute() + sync_message()));
    CHECK_FALSE(needs(bind("named") + execute() + sync_message()));
    CHECK(needs(bind("") + execute() + sync_message()));
    CHECK(needs(frame('D', "S\0"s) + sync_message()));
    CHECK(needs(query("SELECT lastval()")));
    CHECK(needs(parse("", "SELECT currval('s')") + sync_message()));
}
