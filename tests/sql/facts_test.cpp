#include "pgmend/sql/facts.hpp"

#include <catch2/catch.hpp>

#include <random>

namespace pgmend::sql {
namespace {

using kind = statement_kind;

kind kind_of(std::string_view text) { return classify(text).kind(); }

bool changes(std::string_view text) { return classify(text).changes_session_meaning(); }

} // namespace

TEST_CASE("a name is found wherever it can stand") {
    name_set const names{{"email", "Users", "very sad", "a-b", "größe", "order$x", "12th", "o'clock"}};
    for (std::string_view const text : {
             "SELECT email FROM t", "SELECT EMAIL FROM t", "SELECT t.email, 1", "SELECT \"email\"", "SELECT \"Users\".id", "email",
             "SELECT 'email'::regclass", "SELECT 'public.email'", "SELECT '\"email\"'", "SELECT E'email'", "SELECT $$ select email $$",
             "SELECT $x$email$x$", "SELECT U&\"em\\0061il\"", "SELECT U&\"em!0061il\" UESCAPE '!'", "SELECT E'em\\x61il'",
             "SELECT E'\\email'", "SELECT 'em'\n  'ail'", "SELECT 'em' -- so\n 'ail'", "SELECT 'very sad'", "SELECT 'Very Sad'", "SELECT \"a-b\"",
             "SELECT größe FROM t", "SELECT order$x", "SELECT \"12th\"", "SELECT 'o''clock'", "SELECT $1email", "SELECT 5email",
             "SELECT a/*email*/.email", "SELECT '/*', email", "SELECT \"--\", email", "SELECT '' , email", "SELECT a --\n,email",
             "SELECT 1 WHERE a LIKE'\\' OR email = ''", "SELECT 'it''s email'", "INSERT INTO t(a,email)values(1,2)", "SELECT a-email",
             "SELECT email::text", "SELECT '{\"email\": 1}'", "SELECT '$.email'"}) {
        INFO(text);
        CHECK(mentions(text, names));
    }
    for (std::string_view const text : {
             "SELECT emails FROM t", "SELECT e_mail", "SELECT -- email\n 1", "SELECT /* email */ 1", "SELECT /* /* email */ email */ 1", "",
             "SELECT 'very mad'", "SELECT \"a\", b", "SELECT a_b", "SELECT 'a' 'b'", "SELECT email1", "SELECT $1 FROM t WHERE a = 5", "SELECT order$",
             "SELECT E'a\\nb'", "SELECT '\\d+'", "SELECT $$ a $$, $b$ $b$"}) {
        INFO(text);
        CHECK_FALSE(mentions(text, names));
    }
    CHECK_FALSE(mentions("SELECT email", name_set{}));
    CHECK(name_set{}.empty());
}

TEST_CASE("names that are cut, or have no letters, are found too") {
    std::string const longest(63, 'x');
    CHECK(mentions("SELECT " + longest + "y FROM t", name_set{{longest}}));
    CHECK_FALSE(mentions("SELECT " + longest + "y FROM t", name_set{{std::string(59, 'x')}}));
    CHECK(mentions("SELECT '' FROM t", name_set{{""}}));
    CHECK(mentions("SELECT '+/-'", name_set{{"+/-"}}));
    CHECK_FALSE(mentions("SELECT '+'", name_set{{"+/-"}}));
}

TEST_CASE("many names share their words") {
    std::vector<std::string> all;
    for (int i = 0; i < 3000; ++i) all.push_back("column_" + std::to_string(i));
    all.emplace_back("my column_7");
    name_set const names{all};
    CHECK(names.size() == 3001);
    for (int i = 0; i < 3000; ++i) REQUIRE(mentions("select t.column_" + std::to_string(i) + " from t", names));
    CHECK_FALSE(mentions("select t.column_3000 from t", names));
}

TEST_CASE("a mention is found at every place of every text") {
    std::mt19937 random{20261124};
    static constexpr std::string_view pieces[] = {"select ", "'a''b' ", "\"x\"\"y\" ", "-- c\n", "/* d */ ", "$$ e $$ ", "$q$ ' $q$ ", "1.5e3 ",
                                                  "E'\\'' ", "a.b ", "$1 ", "<= ", "; ", "U&'f' ", "(", ") ", "é "};
    name_set const names{{"wanted", "other"}};
    for (int round = 0; round < 3000; ++round) {
        std::string before;
        std::string after;
        for (int i = 0; i < 6; ++i) before += pieces[random() % std::size(pieces)];
        for (int i = 0; i < 6; ++i) after += pieces[random() % std::size(pieces)];
        INFO(before << '|' << after);
        REQUIRE(mentions(before + "wanted " + after, names));
        REQUIRE(mentions(before + "'wanted' " + after, names));
        REQUIRE(mentions(before + "\"wanted\" " + after, names));
        REQUIRE_FALSE(mentions(before + after, names));
    }
}

TEST_CASE("a mention is found at every distance from the beginning") {
    name_set const names{{"wanted", "in two"}};
    static constexpr std::string_view forms[] = {"wanted", "\"wanted\"", "'wanted'", "'in two'", "E'wan\\x74ed'", "U&\"wan\\0074ed\"", "'wan'\n'ted'", "'wan'\r\n\n 'ted'",
                                                 "'wan' -- so\n'ted'", "$1wanted", "12wanted", "$a$wanted$a$", "$$a wanted$$", "'' wanted", "wan/**/ted,wanted"};
    static constexpr std::string_view others[] = {"wante", "'wan' 'x'", "'wan'\n, 'ted'", "-- wanted\n", "/* wanted */", "$1", "12", "wanted_", "in two", "intwo"};
    for (std::size_t distance = 0; distance < 140; ++distance) {
        auto const before = std::string(distance, ' ');
        for (auto const form : forms) {
            INFO(distance << ' ' << form);
            REQUIRE(mentions(before + std::string{form}, names));
            REQUIRE(mentions(before + std::string{form} + " from t", names));
        }
        for (auto const other : others) {
            INFO(distance << ' ' << other);
            bool const all_of_it = other == "in two"; // however it is written: one too many
            REQUIRE(mentions(before + std::string{other} + " from t", names) == all_of_it);
        }
    }
}

TEST_CASE("each kind of statement is told by its first words") {
    CHECK(kind_of("") == kind::empty);
    CHECK(kind_of(" ; -- x") == kind::empty);
    CHECK(kind_of("select 1") == kind::select);
    CHECK(kind_of("((SELECT 1))") == kind::select);
    CHECK(kind_of("/* a */ InSert into t values (1)") == kind::insert);
    CHECK(kind_of("START TRANSACTION") == kind::begin);
    CHECK(kind_of("END") == kind::commit);
    CHECK(kind_of("ABORT") == kind::rollback);
    CHECK(kind_of("ROLLBACK TO SAVEPOINT a") == kind::rollback_to);
    CHECK(kind_of("ROLLBACK WORK TO a") == kind::rollback_to);
    CHECK(kind_of("ROLLBACK PREPARED 'x'") == kind::finish_prepared);
    CHECK(kind_of("COMMIT PREPARED 'x'") == kind::finish_prepared);
    CHECK(kind_of("PREPARE TRANSACTION 'x'") == kind::prepare_transaction);
    CHECK(kind_of("PREPARE p AS SELECT 1") == kind::prepare);
    CHECK(kind_of("SET LOCAL search_path = a") == kind::set_local);
    CHECK(kind_of("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY") == kind::set_transaction);
    CHECK(kind_of("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE") == kind::set_transaction);
    CHECK(kind_of("VACUUM t") == kind::vacuum_like);
    CHECK(kind_of("'x'") == kind::other);
    CHECK(kind_of("frobnicate") == kind::other);
    auto const chained = classify("COMMIT AND CHAIN; ROLLBACK AND NO CHAIN");
    REQUIRE(chained.statements.size() == 2);
    CHECK(chained.statements[0].chain);
    CHECK_FALSE(chained.statements[1].chain);
    CHECK(chained.controls_transaction());
}

TEST_CASE("statements are told apart as the server does it") {
    auto const count = [](std::string_view text) { return classify(text).statements.size(); };
    CHECK(count("SELECT ';'; SELECT \";\" ;; -- ;\n") == 2);
    CHECK(count("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3") == 2);
    CHECK(count("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3") == 2);
    CHECK(count("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; SELECT 2 $$ LANGUAGE sql") == 1);
    CHECK(count("BEGIN; SELECT 1; END") == 3);
    CHECK(classify("SELECT 1; SELECT 'x").complete == false);
    auto const text = std::string_view{"  SELECT 1 ; /* a */ SELECT 2 -- b"};
    auto const facts = classify(text);
    REQUIRE(facts.statements.size() == 2);
    CHECK(text.substr(facts.statements[1].text.begin, facts.statements[1].text.end - facts.statements[1].text.begin) == "SELECT 2");
}

TEST_CASE("what may change the meaning of names is told, what surely does not is not") {
    for (std::string_view const text :
         {"SET search_path = a", "SET LOCAL search_path TO a", "SET SESSION search_path = a", "SET \"search_path\" = a", "SET ROLE x", "RESET ROLE",
          "RESET ALL", "SET SESSION AUTHORIZATION x", "DISCARD ALL", "SELECT set_config('search_path', 'a', false)",
          "SELECT pg_catalog.\"set_config\"($1, $2, $3)", "CREATE TEMP TABLE t (a int)", "CREATE TABLE t ()", "ALTER TABLE t RENAME TO u", "DROP VIEW v",
          "SELECT 1 INTO t", "WITH x AS (SELECT 1) SELECT * INTO t FROM x", "DO $$ $$", "CALL p()", "EXECUTE p", "SET SCHEMA 'x'",
          "SELECT 1; SET search_path = b", "SELECT 'x", "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "EXPLAIN ANALYZE EXECUTE p", "SET x = 1",
          "SELECT 'a\\' FROM t"}) {
        INFO(text);
        CHECK(changes(text));
    }
    for (std::string_view const text :
         {"SELECT 1", "INSERT INTO t VALUES (1)", "WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM x", "SET statement_timeout = 5",
          "SET TIME ZONE 'UTC'", "SET LOCAL lock_timeout = 5", "RESET datestyle", "SET app.tenant = '7'", "BEGIN", "COMMIT", "LISTEN a", "SHOW search_path",
          "SELECT search_path FROM t", "VACUUM t", "COPY t FROM STDIN", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET enable_seqscan = off",
          "SELECT * FROM set_configs('a')", "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING", ""}) {
        INFO(text);
        CHECK_FALSE(changes(text));
    }
}

TEST_CASE("a plain statement is told by a quick look, and never more than the full one would say") {
    auto const agrees = [](std::string const& text) {
        auto const quick = plain_statement(text);
        if (quick == kind::empty) return true;
        auto const full = classify(text);
        bool const one = full.statements.size() == 1 && full.kind() == quick;
        return !full.complete || (one && !full.changes_session_meaning() && !full.controls_transaction()); // no server takes an open quote
    };
    for (std::string_view const text :
         {"SELECT 1", "  select\n* from t where a = 'it''s' ;  ", "-- name: GetUser :one\nSELECT * FROM users WHERE id = $1;", "/* a */ UPDATE t SET a = $2",
          "INSERT INTO t VALUES (1)", "WITH x AS (SELECT 1) DELETE FROM t", "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING", "VALUES (1)",
          "SELECT 1 /*action='show',route='%2Fusers'*/", "SELECT a - b, c / d, 'x' || \"Y\" FROM t"}) {
        INFO(text);
        CHECK(plain_statement(text) != kind::empty);
        CHECK(agrees(std::string{text}));
    }
    for (std::string_view const text :
         {"", "BEGIN", "SELECT 1; SELECT 2", "SELECT 1 INTO t", "SELECT * INTO t FROM u", "SELECT set_config('a', 'b', true)", "SELECT SET_CONFIG('a', 'b', true)",
          "SELECT 'a\\'", "SELECT $$;$$", "SELECT 1 -- x", "SELECT U&\"set\\005fconfig\"(1)", "selectx", "SET a = 1", "SELECT 1; COMMIT", "EXPLAIN SELECT 1",
          "SELECT '/* ' /* */", "(SELECT 1)"}) {
        INFO(text);
        CHECK(plain_statement(text) == kind::empty);
    }
    // Any piece put into any place of a long text.
    std::string const base = "SELECT id, email, name FROM users WHERE id = $1 AND name = 'x' ORDER BY created_at, id LIMIT 10 OFFSET 20";
    for (auto const* piece : {";", "--", "/*", "*/", "'", "\"", "$a$", "$", "\\", " into ", "INTO", " set_config(", "SET_CONFIG", "U&\"a\"(", "; COMMIT;", "\n", "e'"}) {
        for (std::size_t at = 0; at <= base.size(); ++at) {
            auto text = base;
            text.insert(at, piece);
            if (!agrees(text)) FAIL(text);
        }
    }
}

TEST_CASE("words before brackets are kept as functions that may be called") {
    auto const facts = classify("SELECT count(*), shop.total (a), \"F\"(1) FROM generate_series(1, 2)");
    REQUIRE(facts.statements.size() == 1);
    CHECK(facts.statements[0].functions == std::vector<std::string_view>{"count", "total", "\"F\"", "generate_series"});
}

} // namespace pgmend::sql
