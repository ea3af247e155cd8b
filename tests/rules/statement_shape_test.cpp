#include "rules_made.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgmend::rules;

namespace {

/// The client's text after the replacement, or "no match".
std::string replaced(std::string const& statement, std::string const& now, std::string const& client) {
    auto const rule = replacing(statement, now);
    auto const done = replace(rule.statement, rule.now, scanned_text{client});
    return done ? done->sql : "no match";
}

bool matches(std::string const& statement, std::string const& client) {
    return statement_shape::compile(statement).value().match(scanned_text{client}).has_value();
}

std::string mistake(std::string const& statement) {
    auto const done = statement_shape::compile(statement);
    return done ? "none" : done.error().text;
}

std::string const old_report = "SELECT id, total FROM invoices WHERE customer = $1";
std::string const new_report = "SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = $1";

} // namespace

TEST_CASE("parameters and constants are carried over by number") {
    CHECK(replaced(old_report, new_report, "SELECT id, total FROM invoices WHERE customer = $1") == new_report);
    CHECK(replaced(old_report, new_report, "select ID,total from Invoices where customer=42") ==
          "SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = 42");
    CHECK(replaced(old_report, new_report, "SELECT id,total FROM invoices WHERE customer=-42") ==
          "SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = (-42)");
    CHECK(replaced("SELECT a FROM t WHERE b = $1 AND c = $2", "SELECT a FROM u WHERE c = $2 AND b = $1", "SELECT a FROM t WHERE b = $2 AND c = $1") ==
          "SELECT a FROM u WHERE c = $1 AND b = $2");
    CHECK(replaced("SELECT $2, $1", "SELECT $1, $2", "SELECT 'two', 'one'") == "SELECT 'one', 'two'");
    CHECK(replaced("SELECT $1", "SELECT $1, $1, $1", "SELECT 5") == "SELECT 5, 5, 5");
}

TEST_CASE("comments around the statement and a final semicolon stay; those inside do not matter") {
    CHECK(replaced("SELECT a", "SELECT b -- new", "/* tag='x;y' */ SELECT /* here */ a; -- done") == "/* tag='x;y' */ SELECT b; -- done");
    CHECK(replaced("SELECT a -- rule\n", "/* rule */ SELECT b", "SELECT\n\ta") == "SELECT b");
}

TEST_CASE("a parameter that is used twice must stand for the same text twice") {
    std::string const twice = "SELECT a FROM t WHERE b = $1 OR c = $1";
    CHECK(matches(twice, "SELECT a FROM t WHERE b = $3 OR c = $3"));
    CHECK(matches(twice, "SELECT a FROM t WHERE b = 'x' OR c = 'x'"));
    CHECK(!matches(twice, "SELECT a FROM t WHERE b = 'x' OR c = 'X'"));
    CHECK(!matches(twice, "SELECT a FROM t WHERE b = $1 OR c = $2"));
    CHECK(matches("SELECT $1, $2", "SELECT 1, 1"));
}

TEST_CASE("a constant in the rule matches itself only") {
    CHECK(matches("SELECT a FROM t WHERE s = 'paid'", "select a from t where s = 'paid'"));
    CHECK(!matches("SELECT a FROM t WHERE s = 'paid'", "SELECT a FROM t WHERE s = 'open'"));
    CHECK(!matches("SELECT a FROM t WHERE s = 'paid'", "SELECT a FROM t WHERE s = $1"));
    CHECK(!matches("SELECT a FROM t WHERE s = 1", "SELECT a FROM t WHERE s = 2"));
    CHECK(!matches("SELECT a FROM t WHERE s = true", "SELECT a FROM t WHERE s = false"));
}

TEST_CASE("what looks like a parameter inside a constant is none") {
    CHECK(replaced("SELECT '$1', $1", "SELECT $1, '$1'", "SELECT '$1', 'it''s $1'") == "SELECT 'it''s $1', '$1'");
    CHECK(!matches("SELECT '$1', $1", "SELECT 'a', 'b'"));
    CHECK(replaced("SELECT $1", "SELECT $1 /* $1 */ + 1", "SELECT $$a $1 b$$") == "SELECT $$a $1 b$$ /* $1 */ + 1");
    CHECK(replaced("SELECT $1", "SELECT $1, 1", "SELECT E'a\\'; DROP TABLE x; --'") == "SELECT E'a\\'; DROP TABLE x; --', 1");
    CHECK(replaced("SELECT $1", "SELECT $1, 1", "SELECT 'a'\n  ' b'") == "SELECT 'a'\n  ' b', 1");
}

TEST_CASE("a constant with a sign is one value, in parentheses where it goes") {
    CHECK(replaced("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = 0 -$1", "SELECT a FROM t WHERE b = -5") == "SELECT a FROM t WHERE b = 0 -(-5)");
    CHECK(replaced("SELECT a - $1", "SELECT b - $1", "SELECT a - 5") == "SELECT b - 5");
    CHECK(!matches("SELECT $1::int2", "SELECT -5::int2"));
    CHECK(!matches("SELECT $1", "SELECT -a"));
    CHECK(!matches("SELECT $1", "SELECT -'5'"));
}

TEST_CASE("NULL, TRUE and FALSE are constants") {
    CHECK(replaced("SELECT a FROM t WHERE b = $1", "SELECT a FROM u WHERE b = $1", "SELECT a FROM t WHERE b = null") == "SELECT a FROM u WHERE b = null");
    CHECK(matches("SELECT $1", "SELECT TRUE"));
    CHECK(!matches("SELECT $1", "SELECT \"true\""));
    CHECK(!matches("SELECT $1", "SELECT current_user"));
    CHECK(!matches("SELECT $1", "SELECT b"));
}

TEST_CASE("a parameter does not match more than one constant") {
    CHECK(!matches("SELECT a FROM t WHERE b IN ($1)", "SELECT a FROM t WHERE b IN (1, 2)"));
    CHECK(!matches("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = 1 OR true"));
    CHECK(!matches("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = 1 + 1"));
    CHECK(!matches("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = date '2026-01-01'"));
    CHECK(!matches("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b ="));
    CHECK(!matches("SELECT a FROM t WHERE b = $1", "SELECT a FROM t WHERE b = U&'x!0061' UESCAPE '!'"));
}

TEST_CASE("quoted and unquoted names are the same where they mean the same") {
    CHECK(matches("SELECT users.name FROM users", "SELECT \"users\".\"name\" FROM \"users\""));
    CHECK(matches("SELECT \"id\" FROM \"users\"", "SELECT ID FROM Users"));
    CHECK(!matches("SELECT id FROM users", "SELECT \"ID\" FROM users"));
    CHECK(!matches("SELECT id FROM \"Users\"", "SELECT id FROM Users"));
    CHECK(matches("SELECT id FROM \"Users\"", "SELECT id FROM \"Users\""));
    CHECK(!matches("SELECT interval '1' year", "SELECT interval '1' \"year\""));
    CHECK(!matches("SELECT a FROM t GROUP BY rollup (a)", "SELECT a FROM t GROUP BY \"rollup\" (a)"));
    CHECK(!matches("SELECT \"a\"\"b\" FROM t", "SELECT a FROM t"));
}

TEST_CASE("several statements match nothing, nor does a text that depends on settings") {
    CHECK(!matches("SELECT a", "SELECT a; SELECT a"));
    CHECK(!matches("SELECT a", "SELECT a; DROP TABLE t"));
    CHECK(matches("SELECT a;", "SELECT a;;"));
    CHECK(!matches("SELECT a", ""));
    CHECK(!matches("SELECT a", ";"));
    CHECK(!matches("SELECT $1", "SELECT 'a\\'"));
    CHECK(!matches("SELECT $1", "SELECT 'a"));
}

TEST_CASE("a field of a parameter keeps its meaning when the parameter becomes a constant") {
    CHECK(replaced("SELECT f($1)", "SELECT $1.x", "SELECT f(5)") == "SELECT (5).x");
    CHECK(replaced("SELECT f($1)", "SELECT $1.x", "SELECT f($4)") == "SELECT $4.x");
}

TEST_CASE("what is no statement is refused with the reason") {
    CHECK(mistake("SELECT a; SELECT b") == "it must be one statement");
    CHECK(mistake("-- nothing") == "there is no statement");
    CHECK(mistake("SELECT 'a") == "a quote or a comment is not closed");
    CHECK(mistake("SELECT a FROM t WHERE b = ?").ends_with("parameters are written $1, $2, …, not ?"));
    CHECK(mistake("SELEC a") == "the grammar of PostgreSQL 15 cannot read the text");
    CHECK(mistake("SELECT $0") == "parameters are $1 to $65535");
    CHECK(mistake("SELECT $99999999999999999999") == "parameters are $1 to $65535");
}

TEST_CASE("the edit names the statement's own bytes") {
    auto const rule = replacing("SELECT a", "SELECT b");
    auto const done = replace(rule.statement, rule.now, scanned_text{"/*x*/ SELECT a ;"});
    REQUIRE(done);
    CHECK(done->begin == 6);
    CHECK(done->end == 14);
    CHECK(done->statement == "SELECT b");
}
