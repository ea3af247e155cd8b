#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"

#include <catch2/catch.hpp>

namespace pgmend::healing {
namespace {

std::shared_ptr<catalog::history const> versions(std::initializer_list<std::string_view> ddl) {
    testing::schema_script script;
    std::shared_ptr<catalog::history const> history;
    for (auto const text : ddl) {
        script.run(text);
        history = history ? catalog::history::with(history, script.take()) : std::make_shared<catalog::history>(script.take());
    }
    return history;
}

session_view& session() {
    static session_view view;
    return view;
}

question ask(std::string_view sql) {
    session() = {};
    session().search_path = {"pg_catalog", "public"};
    session().client_encoding = "UTF8";
    return {sql, session(), {}, false, server_error{"42703", "errorMissingColumn", {}, {}, {}, {}, {}}, false, {}, {}};
}

verdict judged(question const& asked, catalog::history const& history) { return judge(asked, {&history, nullptr, nullptr, {}}); }

std::string result(verdict const& answer) {
    auto const* refused = std::get_if<refusal>(&answer);
    return refused != nullptr ? refused->reason : std::get<plan>(answer).sql;
}

std::initializer_list<std::string_view> const users = {"CREATE TABLE users (id int, email varchar(20), name text, state mood)",
                                                       "ALTER TABLE users RENAME COLUMN email TO mail"};

} // namespace

TEST_CASE("a plan says what it used, what it writes and which bytes are the statement's") {
    auto const history = versions(users);
    auto const answer = judged(ask("UPDATE users SET email = 'x' WHERE email = 'y'"), *history);
    auto const& healed = std::get<plan>(answer);
    CHECK(healed.sql == "UPDATE users SET mail = 'x' WHERE mail = 'y'");
    CHECK(healed.pattern == "column public.users.email -> mail");
    REQUIRE(healed.renamings.size() == 1);
    CHECK(healed.renamings[0] == renaming{renaming::kind_type::column, "public.users.email", "public.users.mail"});
    CHECK(healed.edits == std::vector<edit>{{17, 22, "mail"}, {35, 40, "mail"}});
    CHECK(healed.writes());
    CHECK_FALSE(healed.healed.at(0).columns);
    CHECK(healed.healed.at(0).begin == 0);
    CHECK(healed.healed.at(0).end == healed.sql.size());
    CHECK(healed.evidence == evidence::lineage);
}

TEST_CASE("a plan that changes names of columns and relations has a premise that can be asked about") {
    auto const premise = [](std::initializer_list<std::string_view> ddl, std::string_view sql) {
        auto const history = versions(ddl);
        return std::get<plan>(judged(ask(sql), *history)).premise;
    };
    auto const of = premise({"CREATE TABLE users (id int, email text); CREATE TABLE orders (id int, note text)",
                             "ALTER TABLE users RENAME COLUMN email TO mail; ALTER TABLE users RENAME TO people"},
                            "SELECT u.email, o.note FROM users u JOIN orders o ON o.id = u.id");
    REQUIRE(of.size() == 6);
    auto const now = versions({"CREATE TABLE users (id int, email text); CREATE TABLE orders (id int, note text)"});
    auto const users = std::to_string(now->current().find("public", "users")->id);
    auto const orders = std::to_string(now->current().find("public", "orders")->id);
    CHECK(of[0] == R"x({"\"pg_catalog\".\"orders\"","\"pg_catalog\".\"people\"","\"pg_catalog\".\"users\"","\"pg_temp\".\"orders\"","\"pg_temp\".\"people\"",)x"
                   R"x("\"pg_temp\".\"users\"","\"public\".\"orders\"","\"public\".\"people\"","\"public\".\"users\""})x");
    CHECK(of[1] == "{NULL,NULL,NULL,NULL,NULL,NULL," + orders + ',' + users + ",NULL}"); // people may not be called users again
    CHECK(of[2] == '{' + users + ',' + users + ',' + orders + '}');
    CHECK(of[3] == R"x({"email","mail","email"})x");
    CHECK(of[4] == "{NULL,2,NULL}");
    CHECK(of[5] == R"x({"\"email\"(\"public\".\"people\")","\"email\"(\"public\".\"orders\")"})x");
}

TEST_CASE("where the premise of names does not say enough it is only that relations are still found by their names") {
    auto const planned = [](std::initializer_list<std::string_view> ddl, std::string_view sql) {
        auto const history = versions(ddl);
        auto answer = judged(ask(sql), *history);
        return std::get<plan>(std::move(answer));
    };
    for (auto const& it : {planned({"CREATE TABLE users (id int, email text); CREATE TABLE orders (id int, email text)", "ALTER TABLE users RENAME COLUMN email TO mail"},
                                   "SELECT u.email, o.email FROM users u JOIN orders o ON o.id = u.id"),
                           planned({"CREATE TABLE users (id int, email text); CREATE FUNCTION shown(a text) RETURNS text LANGUAGE sql AS 'SELECT 1'",
                                    "ALTER TABLE users RENAME COLUMN email TO mail"},
                                   "SELECT shown(email) FROM users"),
                           planned({"CREATE TABLE a (id int, k int); CREATE TABLE b (id int, k int)", "ALTER TABLE a RENAME COLUMN k TO key"}, "SELECT a.id FROM a JOIN b USING (k)"),
                           planned({"CREATE TABLE users (id int, email text)", "ALTER TABLE users RENAME TO people"}, "SELECT id FROM users; SELECT email FROM users")}) {
        CHECK_FALSE(it.premise_suffices);
        REQUIRE(it.premise.size() == 6);
        for (std::size_t const of_columns : {2, 3, 4, 5}) CHECK(it.premise[of_columns] == "{}");
        CHECK(it.premise[1] != "{}");
    }
    // The text says by itself which of both is meant.
    auto const told_apart = planned({"CREATE SCHEMA app; CREATE TABLE app.people (id int); CREATE TABLE users (id int, email text)", "ALTER TABLE users RENAME TO people"},
                                    "SELECT users.email FROM users, app.people AS p; SELECT email FROM users");
    CHECK(told_apart.premise[0].find(R"("\"app\".\"people\"")") != std::string::npos);
    CHECK(told_apart.premise[0].find(R"("\"public\".\"people\"")") != std::string::npos);
    CHECK(told_apart.premise[1].find_first_of("123456789") != told_apart.premise[1].find_last_of("123456789")); // one of them in each place
}

TEST_CASE("the pattern of a relation and its column names both") {
    auto const history = versions({"CREATE TABLE users (id int, email text)",
                                   "ALTER TABLE users RENAME COLUMN email TO mail; ALTER TABLE users RENAME TO clients; ALTER TABLE clients SET SCHEMA crm"});
    auto const answer = judged(ask("SELECT email FROM users"), *history);
    auto const& healed = std::get<plan>(answer);
    CHECK(healed.sql == "SELECT mail AS email FROM crm.clients AS users");
    CHECK(healed.pattern == "relation public.users -> crm.clients; column public.users.email -> mail");
    CHECK_FALSE(healed.writes());
}

TEST_CASE("the expected columns have the old labels, and origin and type where they are known") {
    auto const history = versions(users);
    auto const table = history->current().find("public", "users")->id;
    auto const shape = [&](std::string_view sql) {
        auto const answer = judged(ask(sql), *history);
        INFO(result(answer));
        return std::get<plan>(answer).healed.at(0).columns.value();
    };
    CHECK(shape("SELECT email, id + 1, state FROM users") ==
          std::vector<expected_column>{{"email", table, 2, 1043, 24}, {"?column?", 0, 0, 0, -1}, {"state", table, 4, 0, -1}});
    CHECK(shape("SELECT s.e FROM (SELECT email AS e FROM users) s") == std::vector<expected_column>{{"e", table, 2, 1043, 24}});
    CHECK(shape("WITH c AS (SELECT email FROM users) SELECT * FROM c") == std::vector<expected_column>{{"email", table, 2, 1043, 24}});
    CHECK(shape("SELECT email FROM users UNION SELECT name FROM users") == std::vector<expected_column>{{"email", 0, 0, 0, -1}});
    CHECK(shape("DELETE FROM users RETURNING email") == std::vector<expected_column>{{"email", table, 2, 1043, 24}});
    CHECK(shape("EXPLAIN SELECT email FROM users") == std::vector<expected_column>{{"QUERY PLAN", 0, 0, 0, -1}});
}

TEST_CASE("of several statements each one that drifted is edited, the others stay") {
    auto const history = versions(users);
    std::string_view const sql = "SELECT 'ö'; SELECT email FROM users; SELECT 1; DELETE FROM users WHERE email = ''";
    auto asked = ask(sql);
    std::string_view const expected = "SELECT 'ö'; SELECT mail AS email FROM users; SELECT 1; DELETE FROM users WHERE mail = ''";
    CHECK(result(judged(asked, *history)) == expected);
    asked.error->position = 20;
    auto const answer = judged(asked, *history);
    auto const& healed = std::get<plan>(answer);
    CHECK(healed.sql == expected);
    CHECK(healed.statements == 4);
    REQUIRE(healed.healed.size() == 2);
    CHECK(healed.healed[0].index == 1);
    CHECK(healed.sql.substr(healed.healed[0].begin, healed.healed[0].end - healed.healed[0].begin) == " SELECT mail AS email FROM users");
    CHECK_FALSE(healed.healed[0].writes);
    CHECK(healed.healed[1].index == 3);
    CHECK(healed.healed[1].writes);
    CHECK(healed.writes());
    asked.error->position = 200;
    CHECK(result(judged(asked, *history)).find("outside") != std::string::npos);
    asked.error->position = 1; // the server says that the first one failed, and there is nothing to heal in it
    CHECK(std::get<refusal>(judged(asked, *history)).kind == refusal_kind::not_drift);
}

TEST_CASE("one statement that cannot be healed keeps the whole text as it is") {
    auto const history = versions(users);
    auto const answer = judged(ask("SELECT email FROM users; SELECT nope FROM users"), *history);
    CHECK(std::get<refusal>(answer).kind == refusal_kind::forward_drift);
}

TEST_CASE("behind a statement that may change what names mean nothing is healed") {
    auto const history = versions(users);
    for (std::string const barrier : {"SET search_path = x", "CREATE TABLE email (id int)", "COMMIT", "ROLLBACK", "CALL pg_catalog.p()", "DO $$$$", "SELECT 1 AS a INTO b",
                                      "SELECT set_config('search_path', 'x', true)", "EXPLAIN ANALYZE CREATE TABLE b AS SELECT 1", "ALTER TABLE users ADD email int"}) {
        INFO(barrier);
        auto asked = ask("");
        auto const sql = barrier + "; SELECT email FROM users";
        asked.sql = sql;
        asked.error->position = static_cast<std::uint32_t>(sql.find("email FROM") + 1);
        auto answer = judged(asked, *history);
        CHECK(std::get<refusal>(answer).kind == refusal_kind::behind_barrier);
        asked.error.reset();
        answer = judged(asked, *history);
        REQUIRE(std::holds_alternative<fits>(answer));
        CHECK(std::get<fits>(answer).not_understood);
        auto const turned = "SELECT email FROM users; " + barrier;
        asked.sql = turned;
        CHECK(result(judged(asked, *history)) == "SELECT mail AS email FROM users; " + barrier);
    }
    for (std::string const harmless : {"BEGIN", "SAVEPOINT s", "SELECT 1", "INSERT INTO users (id) VALUES (1)", "SHOW search_path",
                                       "WITH w AS (INSERT INTO users (id) VALUES (1) RETURNING id) SELECT id FROM w"}) {
        INFO(harmless);
        auto asked = ask("");
        auto const sql = harmless + "; SELECT email FROM users";
        asked.sql = sql;
        CHECK(result(judged(asked, *history)) == harmless + "; SELECT mail AS email FROM users");
    }
}

TEST_CASE("before anything failed, a statement fits, has a heal, or is refused") {
    auto const history = versions(users);
    auto asked = ask("SELECT mail FROM users");
    asked.error.reset();
    auto answer = judged(asked, *history);
    REQUIRE(std::holds_alternative<fits>(answer));
    CHECK_FALSE(std::get<fits>(answer).drift);
    CHECK_FALSE(std::get<fits>(answer).not_understood);
    asked.sql = "SELECT email FROM users";
    CHECK(result(judged(asked, *history)) == "SELECT mail AS email FROM users");
    asked.sql = "SELECT nope FROM users";
    answer = judged(asked, *history);
    CHECK(std::get<refusal>(answer).kind == refusal_kind::forward_drift);
    CHECK(std::get<refusal>(answer).reason.find("no version of this schema had it") != std::string::npos);
    for (auto const* sql : {"VACUUM users", "SELECT 'x", "", "SELECT FROM FROM"}) {
        asked.sql = sql;
        answer = judged(asked, *history);
        CHECK(std::holds_alternative<fits>(answer));
    }
}

TEST_CASE("names that mean something else than before are reported") {
    auto const history = versions({"CREATE TABLE p (first text, last text)", "ALTER TABLE p RENAME first TO f; ALTER TABLE p RENAME last TO first; ALTER TABLE p RENAME f TO last"});
    auto asked = ask("UPDATE p SET first = 'x'");
    asked.error.reset();
    auto const answer = judged(asked, *history);
    REQUIRE(std::holds_alternative<fits>(answer));
    auto const& drift = std::get<fits>(answer).drift;
    REQUIRE(drift);
    CHECK(drift->writes);
    CHECK(drift->meanings == std::vector<renaming>{{renaming::kind_type::column, "public.p.last", "public.p.first"}});
}

TEST_CASE("a plan names every identifier that it rests on") {
    auto const history = versions(users);
    auto const answer = judged(ask("SELECT Email, 'public.Orders'::regclass, \"a\"\"B\" FROM (SELECT email, 1 AS \"a\"\"B\" FROM users) x"), *history);
    CHECK(identifiers("SELECT Email, 'public.Orders', \"a\"\"B\" FROM users WHERE state = 'sad' AND x = $1 AND y = 'it''s' AND z = '{\"so so\",NULL}'") ==
          std::vector<std::string>{"a\"B", "email", "it's", "orders", "public", "public.Orders", "sad", "so so", "state", "users", "x", "y", "z", "{\"so so\",NULL}"});
    CHECK(std::holds_alternative<refusal>(answer));
    auto const healed = std::get<plan>(judged(ask("SELECT email FROM users"), *history));
    CHECK(healed.identifiers == std::vector<std::string>{"email", "mail", "users"});
}

TEST_CASE("an error at a name that did not change is not healed") {
    auto const history = versions(users);
    auto asked = ask("SELECT email, name FROM users");
    asked.error->position = 15;
    CHECK(result(judged(asked, *history)).find("did not change") != std::string::npos);
    asked.error->position = 8;
    CHECK(std::holds_alternative<plan>(judged(asked, *history)));
}

TEST_CASE("other encodings than UTF-8 are healed only where the text is ASCII") {
    auto const history = versions(users);
    for (auto const* encoding : {"UTF8", "utf-8", "UNICODE", "SQL_ASCII"}) {
        auto asked = ask("SELECT email FROM users WHERE name = 'ö'");
        session().client_encoding = encoding;
        CHECK(std::holds_alternative<plan>(judged(asked, *history)));
    }
    auto asked = ask("SELECT email FROM users WHERE name = '\xf6'");
    session().client_encoding = "LATIN1";
    CHECK(result(judged(asked, *history)).find("encoding") != std::string::npos);
    asked.sql = "SELECT email FROM users";
    CHECK(std::holds_alternative<plan>(judged(asked, *history)));
}

TEST_CASE("without standard_conforming_strings a backslash is refused") {
    auto const history = versions(users);
    auto asked = ask("SELECT email FROM users WHERE name = 'a\\'");
    CHECK(std::holds_alternative<plan>(judged(asked, *history)));
    session().standard_conforming_strings = false;
    CHECK(result(judged(asked, *history)).find("backslash") != std::string::npos);
    asked.sql = "SELECT email FROM users WHERE name = 'a'";
    CHECK(std::holds_alternative<plan>(judged(asked, *history)));
}

TEST_CASE("only errors about names are looked into") {
    auto const history = versions(users);
    auto asked = ask("SELECT email FROM users");
    asked.error->sqlstate = "42501";
    CHECK(std::holds_alternative<refusal>(judged(asked, *history)));
    asked.error->sqlstate = "42P01";
    asked.error->routine = "errorMissingRTE";
    CHECK(result(judged(asked, *history)).find("not drift") != std::string::npos);
}

TEST_CASE("without an earlier version, and across databases, there is no lineage") {
    CHECK(result(judged(ask("SELECT email FROM users"), *versions({"CREATE TABLE users (id int, mail text)"}))).find("no earlier") !=
          std::string::npos);
    testing::schema_script script;
    script.run("CREATE TABLE users (id int, email text)");
    auto history = std::make_shared<catalog::history const>(script.take());
    script.run("ALTER TABLE users RENAME COLUMN email TO mail");
    script.system_identifier = "8";
    history = catalog::history::with(history, script.take());
    CHECK(std::holds_alternative<refusal>(judged(ask("SELECT email FROM users"), *history)));
}

TEST_CASE("a prepared statement keeps the shape that its client was told") {
    auto const fails_if_prepared = [](std::string_view sql, catalog::history const& history) {
        auto asked = ask(sql);
        bool const healed = std::holds_alternative<plan>(judged(asked, history));
        asked.prepared = true;
        return healed && std::holds_alternative<refusal>(judged(asked, history));
    };
    auto const relabelled = versions({"CREATE TABLE users (id int, email text, age int)", "ALTER TABLE users RENAME COLUMN age TO years",
                                      "ALTER TABLE users RENAME COLUMN email TO mail"});
    CHECK(fails_if_prepared("SELECT * FROM users WHERE email = $1", *relabelled));
    CHECK(fails_if_prepared("UPDATE users SET email = $1 RETURNING users.*", *relabelled));
    CHECK_FALSE(fails_if_prepared("SELECT id, email FROM users", *relabelled));
    CHECK_FALSE(fails_if_prepared("SELECT count(*) FROM users WHERE email = $1", *relabelled));
    auto const widened = versions({"CREATE TABLE users (id int, email text, age int)", "ALTER TABLE users ALTER COLUMN age TYPE bigint",
                                   "ALTER TABLE users RENAME COLUMN email TO mail"});
    CHECK(fails_if_prepared("SELECT age + 1 FROM users WHERE email = $1", *widened));
    CHECK(fails_if_prepared("SELECT * FROM users WHERE email = $1", *widened));
    CHECK_FALSE(fails_if_prepared("SELECT id + 1 FROM users WHERE email = $1", *widened));
    auto const grown = versions({"CREATE TABLE users (id int, email text)", "ALTER TABLE users ADD COLUMN age int", "ALTER TABLE users RENAME COLUMN email TO mail"});
    CHECK(fails_if_prepared("SELECT * FROM users WHERE email = $1", *grown));
    auto asked = ask("SELECT * FROM users WHERE email = $1");
    asked.prepared = true;
    CHECK(result(judged(asked, *versions(users))) == "SELECT users.id, users.mail AS email, users.name, users.state FROM users WHERE mail = $1");
}

TEST_CASE("a statement that fits the schema is left alone") {
    CHECK(result(judged(ask("SELECT mail FROM users"), *versions(users))).find("not drift") != std::string::npos);
}

TEST_CASE("a reason never quotes a literal") {
    auto const history = versions(users);
    for (auto const* sql : {"SELECT email FROM users WHERE 'secret", "SELECT nope FROM users WHERE name = 'secret'", "SELECT to_regclass('secret'), email FROM users",
                            "SELECT email FROM users WHERE name = 'secret' FOR"}) {
        CHECK(result(judged(ask(sql), *history)).find("secret") == std::string::npos);
    }
}

TEST_CASE("a position in the healed text leads back to the original") {
    std::string_view const sql = "SELECT 'ö', email, name FROM users WHERE email > 'a' AND x";
    plan healed;
    healed.edits = {{13, 18, "electronic_mail AS email"}, {43, 48, "m"}};
    healed.sql = "SELECT 'ö', electronic_mail AS email, name FROM users WHERE m > 'a' AND x";
    auto const at = [&](std::string_view piece) {
        std::string_view const text = healed.sql;
        return static_cast<std::uint32_t>(text.find(piece)); // one character of two bytes is in front: 1-based
    };
    CHECK(original_position(healed, sql, 1) == 1);
    CHECK(original_position(healed, sql, 9) == 9);
    CHECK(original_position(healed, sql, at("electronic")) == 13);
    CHECK(original_position(healed, sql, at("mail AS")) == 13);
    CHECK(original_position(healed, sql, at(", name")) == 18);
    CHECK(original_position(healed, sql, at("WHERE m")) == sql.find("WHERE"));
    CHECK(original_position(healed, sql, at("m > ")) == sql.find("email >"));
    CHECK(original_position(healed, sql, at("x")) == sql.find('x', 20));
    CHECK(original_position(healed, sql, 5000) == 5000);
    CHECK(original_position(healed, sql, 0) == 0);
}

} // namespace pgmend::healing

TEST_CASE("what is never healed is told from its first word") {
    for (auto const* sql : {"DROP TABLE users", "alter table users add column x int", " /* c */ GRANT SELECT ON users TO ann;", "COMMENT ON TABLE users IS 'x'"})
        CHECK(pgmend::healing::is_never_healed(sql));
    for (auto const* sql : {"", ";", "SELECT 1", "CREATE VIEW v AS SELECT email FROM users", "DROP TABLE a; SELECT email FROM users", "\"drop\""})
        CHECK_FALSE(pgmend::healing::is_never_healed(sql));
}
