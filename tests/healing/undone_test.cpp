#include "pgmend/healing/undone.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>

namespace {

using namespace pgmend;

catalog::snapshot schema(std::vector<catalog::function_entry> functions) {
    catalog::contents all;
    auto const add = [&](catalog::oid id, std::string name, char kind) {
        catalog::relation made;
        made.id = id;
        made.schema = "public";
        made.name = std::move(name);
        made.kind = kind;
        all.relations.push_back(std::make_shared<catalog::relation const>(std::move(made)));
    };
    add(1, "users", 'r');
    add(2, "recent", 'v');
    add(3, "far", 'f');
    for (auto& it : functions) all.functions.push_back(std::make_shared<catalog::function_entry const>(std::move(it)));
    return {{"1", 1}, std::move(all)};
}

catalog::function_entry function(std::string name, char volatility, catalog::oid result) {
    catalog::function_entry made;
    made.id = 16384;
    made.schema = "public";
    made.name = std::move(name);
    made.volatility = volatility;
    made.result = result;
    return made;
}

constexpr catalog::oid integer = 23;
constexpr catalog::oid trigger = 2279;
constexpr catalog::oid event_trigger = 3838;

} // namespace

TEST_CASE("queries and changes of rows are undone by a rollback") {
    auto const plain = schema({function("adds", 'i', integer), function("on_ddl", 'v', event_trigger)});
    for (auto const* text : {"SELECT 1", "INSERT INTO users VALUES (1)", "UPDATE users SET id = adds(1)", "SELECT * FROM recent", "SELECT 1 ### 2",
                             "WITH x AS (DELETE FROM users RETURNING id) SELECT * FROM x", "VALUES (1); SELECT 2"})
        CHECK(healing::undone_by_rollback(text, plain));
    for (auto const* text : {"SELECT pg_advisory_lock(1)", "SELECT \"pg_advisory_lock\"(1)", "COMMIT", "SELECT 1; COMMIT", "DO 'x'", "CALL p()", "EXECUTE s",
                             "SELECT 'x", "COPY users FROM STDIN", "SELECT query_to_xml('SELECT f()', true, false, '')", "SELECT * FROM far",
                             "INSERT INTO FAR VALUES (1)", "CREATE TABLE t (a int)"})
        CHECK_FALSE(healing::undone_by_rollback(text, plain));
}

TEST_CASE("where users have volatile functions, what may run them unseen is not taken to be undone") {
    auto const code = schema({function("mails", 'v', integer)});
    CHECK(healing::undone_by_rollback("SELECT id + 1 FROM users WHERE id >= 1 AND name ~~ 'a'", code));
    for (auto const* text : {"SELECT mails()", "SELECT public.MAILS ()", "SELECT * FROM recent", "SELECT * FROM \"recent\"", "SELECT 1 ### 2",
                             "INSERT INTO users VALUES (1)", "WITH x AS (DELETE FROM users RETURNING id) SELECT * FROM x", "MERGE INTO users USING users u ON true"})
        CHECK_FALSE(healing::undone_by_rollback(text, code));
}

TEST_CASE("trigger functions run for writes only") {
    auto const code = schema({function("stamp", 'v', trigger)});
    CHECK(healing::undone_by_rollback("SELECT * FROM recent", code));
    CHECK(healing::undone_by_rollback("SELECT 1 ### 2", code));
    CHECK_FALSE(healing::undone_by_rollback("UPDATE users SET id = 1", code));
}

TEST_CASE("event triggers may do something ahead of a definition, but for the one that tells pgmend of it") {
    auto own = function("notify_of_change", 'v', event_trigger);
    own.schema = "pgmend";
    CHECK_FALSE(healing::may_have_event_triggers(schema({own, function("adds", 'v', integer)})));
    CHECK(healing::may_have_event_triggers(schema({own, function("notify_of_change", 'v', event_trigger)})));
}
