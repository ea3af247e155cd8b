#include "pgmend/healing/healed_text.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/healing/shown_text.hpp"

#include <catch2/catch.hpp>

namespace pgmend::healing {

TEST_CASE("constants of every kind are masked, names and parameters are not") {
    CHECK(normalized("SELECT 'a', E'b\\'c', $$d$$, $x$e$x$, B'0', X'1', U&'f', N'g', 1, 2.5, .5, 1e3, $1, \"h\", t1 FROM t2023") ==
          "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, $1, \"h\", t1 FROM t2023");
    CHECK(normalized("CREATE ROLE r PASSWORD 'secret'") == "CREATE ROLE r PASSWORD ?");
    CHECK(normalized("ALTER SUBSCRIPTION s CONNECTION 'password=x'") == "ALTER SUBSCRIPTION s CONNECTION ?");
    CHECK(normalized("SELECT -1, 0x1F, 1_000") == "SELECT -?, ?, ?");
}

TEST_CASE("comments vanish and white space is one blank") {
    CHECK(normalized("  SELECT /* 'secret' */ a  -- secret\n\tFROM t ") == "SELECT a FROM t");
    CHECK(normalized("a/* x */b") == "a b");
}

TEST_CASE("what cannot be scanned for certain is not shown at all") {
    for (auto const* text : {"SELECT 'secret", "SELECT /* secret", "SELECT $$secret", "SELECT \"secret", "SELECT 'a\\', 'secret'"}) {
        CHECK(normalized(text) == "(unscannable statement)");
    }
}

TEST_CASE("a long statement is cut at a character") {
    CHECK(normalized("SELECT aöb", 9) == "SELECT a");
    CHECK(normalized("SELECT aöb", 10) == "SELECT aö");
    CHECK(normalized("SELECT 'secret", 5) == "(unsc");
    CHECK(normalized("SELECT a", 0).empty());
}

TEST_CASE("a fingerprint does not depend on constants, comments, case and white space") {
    CHECK(fingerprint("SELECT a FROM t WHERE x = 1").size() == 16);
    CHECK(fingerprint("SELECT a FROM t WHERE x = 1") == fingerprint("select A\nfrom t where x='y' -- c"));
    CHECK(fingerprint("SELECT a") != fingerprint("SELECT b"));
    CHECK(fingerprint("SELECT a, b") != fingerprint("SELECT b, a"));
    CHECK(fingerprint("SELECT \"A\"") != fingerprint("SELECT \"a\""));
    CHECK(fingerprint("SELECT orders_2023") != fingerprint("SELECT orders_2024"));
}

TEST_CASE("in full form a statement is shown as it is") {
    auto const full = [](std::string_view sql) { return shown_text(sql, statement_form::full); };
    for (std::string const text : {"SELECT 'a', 1  FROM t -- x", "insert into t values ('b')", "WITH x AS (SELECT 1) UPDATE t SET a = 'b'", "(SELECT 'a') UNION (SELECT 'b')",
                                   "CREATE OR REPLACE VIEW v AS SELECT 'a'", "SELECT 1; SELECT 'a';", "COPY t FROM '/x'", "EXPLAIN SELECT 'a'", "SELECT 'https://a.example/'"})
        CHECK(full(text) == text);
    CHECK(shown_text("SELECT 'a'", statement_form::normalized) == "SELECT ?");
    CHECK(shown_text("SELECT 'aöb'", statement_form::full, 10) == "SELECT 'a");
    CHECK(shown_text("SELECT 'aöb'", statement_form::full, 11) == "SELECT 'aö");
}

TEST_CASE("literals that are names of the schema are shown where they are what a heal is about") {
    plan made;
    made.sql = "SELECT nextval('keys'), 'unhappy', E'ids', 'other ids', 'email'";
    made.renamings = {{renaming::kind_type::relation, "public.ids", "public.keys"},
                      {renaming::kind_type::enum_label, "public.mood.sad", "public.mood.unhappy"},
                      {renaming::kind_type::column, "public.users.email", "public.users.mail"}};
    auto const text = make_healed_text(made, "SELECT nextval('ids'), 'sad', E'ids', 'other ids', 'email'");
    CHECK(text.before == "SELECT nextval('ids'), 'sad', ?, ?, ?");
    CHECK(text.after == "SELECT nextval('keys'), 'unhappy', ?, ?, ?");
}

TEST_CASE("passwords are never shown") {
    for (std::string const text : {"ALTER ROLE r PASSWORD 'hunter2'", "create user u encrypted password 'hunter2'", "CREATE SUBSCRIPTION s CONNECTION 'hunter2' PUBLICATION p",
                                   "ALTER SUBSCRIPTION s CONNECTION 'hunter2'", "SELECT 1; ALTER ROLE r PASSWORD 'hunter2'", "CREATE SERVER s FOREIGN DATA WRAPPER f OPTIONS (x 'hunter2')",
                                   "CREATE USER MAPPING FOR u SERVER s OPTIONS (x 'hunter2')", "SET my.thing = 'hunter2'", "DO $$hunter2$$", "SELECT crypt('hunter2', 'x')",
                                   "SELECT dblink('password=hunter2')", "SELECT dblink('postgres://u:hunter2@h/d')", "UPDATE users SET passwd = 'hunter2'", "COPY t FROM PROGRAM 'hunter2'",
                                   "CREATE FUNCTION f() RETURNS text AS 'hunter2' LANGUAGE sql", "SELECT 'hunter2", "SELECT 'x\\', 'hunter2'", "ALTR ROLE 'hunter2'",
                                   "SELECT /* Password is hunter2 */ 1", "COMMENT ON TABLE t IS 'hunter2'"}) {
        INFO(text);
        CHECK(shown_text(text, statement_form::full).find("hunter2") == std::string::npos);
    }
}

} // namespace pgmend::healing
