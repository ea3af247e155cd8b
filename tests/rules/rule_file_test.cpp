#include "rules_made.hpp"

#include "pgmend/rules/rule_file.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <string>
#include <vector>

using namespace pgmend;
using namespace std::chrono_literals;

namespace {

rules::loaded load(std::string const& text) {
    std::array const sources{rules::source{"r.yaml", text}};
    return rules::load(sources, rules::who().now);
}

std::vector<std::string> messages(rules::loaded const& l) {
    std::vector<std::string> out;
    for (auto const& p : l.problems) out.push_back(yaml::format(p));
    return out;
}

using lines = std::vector<std::string>;

/// What is said about a list of rules, each on a line of its own from line 2 on.
lines about(std::string const& items) { return messages(load("rules:\n" + items)); }

/// The one rule of a text.
rules::rule one(std::string const& item) {
    auto l = load("rules:\n  - " + item);
    INFO(yaml::format(l.problems));
    REQUIRE(l.ok());
    REQUIRE(l.rules.size() == 1);
    return l.rules.front();
}

} // namespace

TEST_CASE("every form of a rule is read as it is written") {
    CHECK(one("{ name: a, column: public.users.email, now: email_address }").does == rules::action{rules::column_renamed{{"public", "users", "email"}, "email_address"}});
    CHECK(one("{ name: a, table: customers, now: crm.clients }").does == rules::action{rules::object_renamed{rules::object_kind::table, {"", "customers"}, {"crm", "clients"}}});
    CHECK(one("{ name: a, function: calc_total, now: billing.total }").does ==
          rules::action{rules::object_renamed{rules::object_kind::function, {"", "calc_total"}, {"billing", "total"}}});
    CHECK(one("{ name: a, type: s.t, now: u }").does == rules::action{rules::object_renamed{rules::object_kind::type, {"s", "t"}, {"", "u"}}});
    CHECK(one("{ name: a, sequence: s, now: app.s }").does == rules::action{rules::object_renamed{rules::object_kind::sequence, {"", "s"}, {"app", "s"}}});
    CHECK(one(R"x({ name: a, column: users.legacy_flag, gone: { read: "false", write: discard } })x").does ==
          rules::action{rules::column_gone{{"", "users", "legacy_flag"}, "false", rules::column_gone::write_answer::discard}});
    CHECK(one("{ name: a, column: users.legacy_flag, gone: { write: keep-in-audit } }").does ==
          rules::action{rules::column_gone{{"", "users", "legacy_flag"}, std::nullopt, rules::column_gone::write_answer::keep_in_audit}});
    CHECK(one(R"x({ name: a, column: orders.region, default: "'eu'" })x").does == rules::action{rules::column_default{{"", "orders", "region"}, "'eu'"}});
    CHECK(one("{ name: a, enum: mood.sad, now: unhappy }").does == rules::action{rules::label_renamed{{"", "mood"}, "sad", "unhappy"}});
    CHECK(one("{ name: a, table: users, star: [id, email, \"\\\"Created At\\\"\"] }").does == rules::action{rules::star_pinned{{"", "users"}, {"id", "email", "Created At"}}});
    CHECK(one("{ name: a, table: events, on_error: { split: rows, dead_letter: true } }").does == rules::action{rules::batch_split{{"", "events"}, true}});
    CHECK(std::get<rules::statement_fallback>(one("{ name: a, statement: SELECT count(*) FROM orders, fallback: { stale: 5m } }").does).stale == 5min);
    auto const fallback = [](std::string const& says) { return std::get<rules::statement_fallback>(one("{ name: a, statement: SELECT 1, fallback: { " + says + " } }").does); };
    CHECK(fallback("replica: true").replica);
    CHECK(fallback("replica: yes, stale: 1h").stale == 1h);
    CHECK_FALSE(fallback("error: true").replica);
    CHECK(fallback("error: true").stale == 0s);
    auto const replaced = one("name: old-report\n    statement: SELECT id, total FROM invoices WHERE customer = $1   # as it was\n"
                              "    replace: SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = $1");
    CHECK(std::get<rules::statement_replaced>(replaced.does).now.text() == "SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = $1");
    CHECK(replaced.name == "old-report");
    CHECK(replaced.where == rules::origin{"r.yaml", 2, 5});
}

TEST_CASE("every rule may have a mode, a condition, a last day and a comment") {
    auto const r = one("{ name: a, column: t.a, now: b, mode: observe, when: { database: shop, user: [app, web], application_name: ^old }, expires: 2026-12-31, comment: why }");
    CHECK(r.mode == rules::rule_mode::observe);
    CHECK(r.when.databases == std::vector<std::string>{"shop"});
    CHECK(r.when.users == std::vector<std::string>{"app", "web"});
    CHECK(r.when.application_name->expression() == "^old");
    CHECK(r.expires == std::chrono::year{2026} / 12 / 31);
    CHECK(r.comment == "why");
    CHECK(one("{ name: a, column: t.a, now: b, mode: off }").mode == rules::rule_mode::off);
}

TEST_CASE("names are folded as PostgreSQL folds them, labels are not") {
    CHECK(one("{ name: a, column: Users.EMail, now: Mail }").does == rules::action{rules::column_renamed{{"", "users", "email"}, "mail"}});
    CHECK(one("{ name: a, column: '\"Users\".\"E.Mail\"', now: '\"Mail\"' }").does == rules::action{rules::column_renamed{{"", "Users", "E.Mail"}, "Mail"}});
    CHECK(one("{ name: a, enum: app.Mood.Very Sad, now: Unhappy }").does == rules::action{rules::label_renamed{{"app", "mood"}, "Very Sad", "Unhappy"}});
    CHECK(one("{ name: a, enum: 'mood.\"a.b \"\"c\"\"\"', now: d.e }").does == rules::action{rules::label_renamed{{"", "mood"}, "a.b \"c\"", "d.e"}});
    CHECK(one("{ name: a, table: größe, now: \"gr\\u00f6sse\" }").does == rules::action{rules::object_renamed{rules::object_kind::table, {"", "größe"}, {"", "grösse"}}});
}

TEST_CASE("an unknown key of a rule is named with its place and what was probably meant") {
    CHECK(about("  - { name: a, colum: users.email, now: b }") ==
          lines{"r.yaml:2:5: error: the rule does not say what it is about: it needs column, table, enum, function, type, sequence or statement",
                R"x(r.yaml:2:16: error: unknown key "colum"; did you mean "column"?)x"});
    CHECK(about("  - { name: a, column: t.a, now: b, wen: {} }") == lines{R"x(r.yaml:2:37: error: unknown key "wen"; did you mean "when"?)x"});
    CHECK(about("  - { name: a, column: t.a, now: b, when: { databse: x } }") == lines{R"x(r.yaml:2:45: error: unknown key "databse"; did you mean "database"?)x"});
    CHECK(messages(load("rule: []")) == lines{R"x(r.yaml:1:1: error: unknown key "rule"; did you mean "rules"?)x", "r.yaml:1:1: error: rules is missing"});
}

TEST_CASE("a rule is about one thing and says one thing of it") {
    CHECK(about("  - { name: a, now: b }") == lines{"r.yaml:2:5: error: the rule does not say what it is about: it needs column, table, enum, function, type, sequence or statement"});
    CHECK(about("  - { name: a, column: t.a }") == lines{"r.yaml:2:5: error: the rule says nothing of its column: it needs now, gone or default"});
    CHECK(about("  - { name: a, column: t.a, table: t, now: b }") == lines{"r.yaml:2:29: error: column and table in one rule: a rule is about one thing"});
    CHECK(about("  - { name: a, column: t.a, now: b, gone: { read: x } }") == lines{"r.yaml:2:37: error: now and gone in one rule: write two rules"});
    CHECK(about("  - { name: a, column: t.a, replace: SELECT 1 }") == lines{"r.yaml:2:29: error: replace goes with statement, not with column"});
    CHECK(about("  - { name: a, enum: m.s, star: [x] }") == lines{"r.yaml:2:27: error: star goes with table, not with enum"});
    CHECK(about("  - { column: t.a, now: b }") == lines{"r.yaml:2:5: error: name is missing"});
}

TEST_CASE("values of the wrong kind or form are errors where they stand") {
    CHECK(about("  - just text") == lines{"r.yaml:2:5: error: a rule must be a mapping, not text"});
    CHECK(about("  - { name: a, column: [t, a], now: b }") == lines{"r.yaml:2:24: error: column must be a single value, not a list"});
    CHECK(about("  - { name: a, column: email, now: b }") == lines{R"x(r.yaml:2:24: error: column must be [schema.]table.column, not "email")x"});
    CHECK(about("  - { name: a, column: db.s.t.a, now: b }") ==
          lines{R"x(r.yaml:2:24: error: column must be [schema.]table.column (a database is named in when: { database: … }), not "db.s.t.a")x"});
    CHECK(about("  - { name: a, column: t.a, now: t.b }") ==
          lines{R"x(r.yaml:2:34: error: now must be one name, not "t.b": a column stays in its table, so that is named by its name alone)x"});
    CHECK(about("  - { name: a, column: t.a, now: A }") == lines{"r.yaml:2:29: error: now is the old name"});
    CHECK(about("  - { name: a, table: s.t, now: t }") == lines{"r.yaml:2:28: error: now is the old name"});
    CHECK(about("  - { name: a, table: t; DROP, now: u }") == lines{R"x(r.yaml:2:23: error: table must be [schema.]name, not "t; DROP")x"});
    CHECK(about("  - { name: a, function: \"f(int)\", now: g }") == lines{R"x(r.yaml:2:26: error: function must be a name, without arguments, not "f(int)")x"});
    CHECK(about("  - { name: a, enum: mood, now: x }") == lines{R"x(r.yaml:2:22: error: enum must be [schema.]type.label, not "mood")x"});
    CHECK(about("  - { name: a, table: t, star: id }") == lines{"r.yaml:2:32: error: star must be a list of names, not text"});
    CHECK(about("  - { name: a, table: t, star: [] }") == lines{"r.yaml:2:26: error: star is empty; it needs at least one column"});
    CHECK(about("  - { name: a, table: t, star: [id, ID] }") == lines{R"x(r.yaml:2:37: error: star has "id" twice)x"});
    CHECK(about("  - { name: a, column: t.a, gone: {} }") == lines{"r.yaml:2:29: error: gone is empty; it needs read, write or both"});
    CHECK(about("  - { name: a, column: t.a, gone: { write: keep_in_audit } }") == lines{});
    CHECK(about("  - { name: a, column: t.a, gone: { write: dicard } }") ==
          lines{R"x(r.yaml:2:44: error: gone.write must be discard or keep-in-audit, not "dicard"; did you mean "discard"?)x"});
    CHECK(about("  - { name: a b, column: t.a, now: b }") ==
          lines{R"x(r.yaml:2:13: error: name must be a word of at most 100 bytes, without blanks, quotes, commas and semicolons, not "a b")x"});
    CHECK(about("  - { name: a, column: t.a, now: b, mode: on }") == lines{R"x(r.yaml:2:43: error: mode must be off, observe or heal, not "on")x"});
    CHECK(about("  - { name: a, column: t." + std::string(64, 'x') + ", now: b }").at(0).find("longer than 63 bytes") != std::string::npos);
    CHECK(about("  - { name: a, column: t.a, now: }") == lines{"r.yaml:2:29: error: now has no value"});
}

TEST_CASE("conditions and dates are checked") {
    CHECK(about("  - { name: a, column: t.a, now: b, when: {} }") == lines{"r.yaml:2:37: error: when is empty; it needs database, user or application_name"});
    CHECK(about("  - { name: a, column: t.a, now: b, when: { user: [] } }") == lines{"r.yaml:2:51: error: when.user is empty: the rule would be for nobody"});
    CHECK(about("  - { name: a, column: t.a, now: b, when: { application_name: \"(\" } }").at(0).starts_with("r.yaml:2:63: error: when.application_name: not a regular expression: "));
    CHECK(about("  - { name: a, column: t.a, now: b, expires: soon }") == lines{R"x(r.yaml:2:46: error: expires must be a date such as 2027-01-31, not "soon")x"});
    CHECK(about("  - { name: a, column: t.a, now: b, expires: 2027-02-29 }").size() == 1);
    CHECK(about("  - { name: a, column: t.a, now: b, expires: 2026-05-31 }") == lines{"r.yaml:2:46: warning: the rule expired on 2026-05-31 and has no effect"});
    CHECK(about("  - { name: a, column: t.a, now: b, expires: 2026-06-01 }") == lines{});
}

TEST_CASE("an expression must be one, and stay within its parentheses") {
    auto const said = [](std::string const& expression, std::string const& key = "gone") {
        std::string const value = "\"" + expression + "\"";
        auto const l = about("  - { name: a, column: t.a, " + (key == "gone" ? "gone: { read: " + value + " }" : "default: " + value) + " }");
        return l.empty() ? std::string{"fine"} : l.front().substr(l.front().find("error: ") + 7);
    };
    CHECK(said("NULL") == "fine");
    CHECK(said("first_name || ' ' || last_name") == "fine");
    CHECK(said("(SELECT max(id) FROM u WHERE u.t = t.id)") == "fine");
    CHECK(said("'a;b--c'") == "fine");
    CHECK(said("1) FROM secrets; --") == "gone.read must hold no comment");
    CHECK(said("1) FROM (SELECT 1") == "gone.read must be one expression: it closes a bracket that it did not open");
    CHECK(said("1; DROP TABLE t") == "gone.read must be one expression: it holds a semicolon");
    CHECK(said("1 -- x") == "gone.read must hold no comment");
    CHECK(said("1, 2") == "gone.read must be one expression, not a list");
    CHECK(said("1 AS x") == "gone.read is no SQL expression: the grammar of PostgreSQL 15 cannot read the text");
    CHECK(said("1 FROM t") == "gone.read is no SQL expression: the grammar of PostgreSQL 15 cannot read the text");
    CHECK(said("") == "gone.read is empty");
    CHECK(said("'x") == "gone.read has a quote or a comment that is not closed");
    CHECK(said("$1") == "gone.read must hold no parameter: there is nothing it could stand for");
    CHECK(said("count(*)") == "gone.read must be a value of one row: an aggregate, window or set-returning function is none");
    CHECK(said("t.*") == "gone.read must be one value, not all columns");
    CHECK(said("(WITH x AS (DELETE FROM t RETURNING 1) SELECT 1)") == "gone.read must not write");
    CHECK(said("DEFAULT", "default") == "default must be a value: DEFAULT is none");
    CHECK(said("now() + interval '1 day'", "default") == "fine");
    CHECK(said("eu", "default") == "default names a column, and there is none to take it from; text is written \"'eu'\"");
    CHECK(said("upper(region)", "default") == "default names a column, and there is none to take it from");
    CHECK(about("  - { name: a, column: t.a, gone: { read: NULL } }") == lines{"r.yaml:2:37: error: gone.read has no value; SQL's NULL is written in quotes: read: \"NULL\""});
}

TEST_CASE("a replacement has the parameters of its statement, no more and no less") {
    CHECK(about("  - { name: a, statement: SELECT $1, replace: \"SELECT $1, $2\" }") == lines{"r.yaml:2:47: error: replace has $2, which statement does not have"});
    CHECK(about("  - { name: a, statement: \"SELECT a WHERE b = $1\", replace: SELECT 1 }") ==
          lines{"r.yaml:2:61: error: replace does not have $1, which statement has: every parameter must be carried over"});
    CHECK(about("  - { name: a, statement: SELEC 1, replace: SELECT 1 }") == lines{"r.yaml:2:27: error: statement: the grammar of PostgreSQL 15 cannot read the text"});
    CHECK(about("  - { name: a, statement: SELECT 1; SELECT 2, replace: SELECT 1 }") == lines{"r.yaml:2:27: error: statement: it must be one statement"});
    CHECK(about("  - { name: a, statement: SELECT 1, replace: select  1 }") == lines{"r.yaml:2:46: warning: replace is what statement is already: it changes nothing"});
}

TEST_CASE("parameters of statement rules may have names, which are carried over") {
    auto const made = [](std::string const& statement, std::string const& replace) {
        auto const r = one("name: a\n    statement: " + statement + "\n    replace: " + replace);
        auto const& does = std::get<rules::statement_replaced>(r.does);
        return lines{does.statement.text(), does.now.text()};
    };
    CHECK(made("SELECT a FROM t WHERE b = :customer AND c>:From", "SELECT a FROM u WHERE d > :from AND :Customer IN (b)") ==
          lines{"SELECT a FROM t WHERE b = $1 AND c>$2", "SELECT a FROM u WHERE d > $2 AND $1 IN (b)"});
    // Not every colon begins one.
    CHECK(made("SELECT x[1:n], x[:m], ':a', \":b\", c::text, ARRAY[:one, :two], y[:one] FROM t LIMIT:one", "SELECT :one, :two::int") ==
          lines{"SELECT x[1:n], x[:m], ':a', \":b\", c::text, ARRAY[$1, $2], y[:one] FROM t LIMIT $1", "SELECT $1, $2::int"});
    CHECK(about("  - { name: a, statement: \"SELECT a WHERE b = :b\", replace: SELECT 1 }") ==
          lines{"r.yaml:2:61: error: replace does not have :b, which statement has: every parameter must be carried over"});
    CHECK(about("  - { name: a, statement: \"SELECT :b\", replace: \"SELECT :b, :c\" }") == lines{"r.yaml:2:49: error: replace has :c, which statement does not have"});
    CHECK(about("  - { name: a, statement: \"SELECT :b\", replace: \"SELECT $1\" }") ==
          lines{"r.yaml:2:49: error: parameters are written $1, $2, … or :name; not both in one rule"});
    CHECK(about("  - { name: a, statement: \"SELECT :b, $1\", fallback: { stale: 5m } }") ==
          lines{"r.yaml:2:27: error: parameters are written $1, $2, … or :name; not both in one rule"});
}

TEST_CASE("a name used twice is an error, across files too") {
    CHECK(about("  - { name: a, column: t.a, now: b }\n  - { name: a, column: t.c, now: d }") == lines{R"x(r.yaml:3:13: error: duplicate rule name "a"; it is already in line 2)x"});
    std::array const sources{rules::source{"1.yaml", "rules:\n  - { name: a, column: t.a, now: b }"}, rules::source{"2.yaml", "rules: [ { name: a, column: t.c, now: d } ]"}};
    CHECK(messages(rules::load(sources, {})) == lines{R"x(2.yaml:1:18: error: duplicate rule name "a"; it is already in 1.yaml:2)x"});
}

TEST_CASE("two rules that say different things of one name contradict each other") {
    auto const pair = [](std::string const& x, std::string const& y) { return about("  - { name: x, " + x + " }\n  - { name: y, " + y + " }"); };
    CHECK(pair("column: t.a, now: b", "column: t.a, now: c") == lines{R"x(r.yaml:3:29: error: contradicts rule "x" (line 2))x"});
    CHECK(pair("column: t.a, now: b", "column: t.a, gone: { read: '1' }") == lines{R"x(r.yaml:3:29: error: contradicts rule "x" (line 2))x"});
    CHECK(pair("column: t.a, gone: { read: '1' }", "column: t.a, default: '1'") == lines{R"x(r.yaml:2:29: error: contradicts rule "y" (line 3), which gives the column a default)x"});
    CHECK(pair("column: t.a, now: b", "column: t.a, now: b") == lines{R"x(r.yaml:3:24: warning: says what rule "x" (line 2) says already)x"});
    CHECK(pair("statement: SELECT a FROM t, replace: SELECT 1", "statement: select A from t, replace: SELECT 2").size() == 1);
    CHECK(pair("statement: \"SELECT a FROM t WHERE b = $1\", replace: \"SELECT $1\"", "statement: SELECT a FROM t WHERE b = 5, replace: SELECT 2").size() <= 1);
    // These are decided by precedence, by their conditions, or have no effect.
    CHECK(pair("column: t.a, now: b", "column: s.t.a, now: c") == lines{});
    CHECK(pair("column: t.a, now: b", "column: t.a, now: c, when: { user: u }") == lines{});
    CHECK(pair("column: t.a, now: b, when: { user: u }", "column: t.a, now: c, when: { user: [v, w] }") == lines{});
    CHECK(pair("column: t.a, now: b, when: { application_name: ^v1 }", "column: t.a, now: c, when: { application_name: ^v2 }") == lines{});
    CHECK(pair("column: t.a, now: b, when: { application_name: ^v1$ }", "column: t.a, now: c, when: { application_name: ^v10 }") == lines{});
    CHECK(pair("column: t.a, now: b", "column: t.a, now: c, mode: off") == lines{});
    CHECK(pair("table: t, now: b", "function: t, now: c") == lines{});
    CHECK(pair("column: t.a, now: b, when: { application_name: ^v1 }", "column: t.a, now: c, when: { application_name: ^v10 }").size() == 1);
    CHECK(pair("column: t.a, now: b, when: { application_name: v1 }", "column: t.a, now: c, when: { application_name: v2 }") ==
          lines{R"x(r.yaml:3:29: warning: may contradict rule "x" (line 2): where both apply, that one wins)x"});
}

TEST_CASE("renamings that go in a circle are an error, unless they are for the old code only") {
    CHECK(about("  - { name: x, column: t.a, now: b }\n  - { name: y, column: t.b, now: a }") ==
          lines{"r.yaml:2:29: error: the rules x -> y -> x go in a circle; give each a when that holds for the old code only"});
    CHECK(about("  - { name: x, table: a, now: b }\n  - { name: y, table: b, now: c }\n  - { name: z, table: c, now: a }").size() == 1);
    CHECK(about("  - { name: x, column: t.a, now: b, when: { user: old } }\n  - { name: y, column: t.b, now: a, when: { user: old } }") == lines{});
    CHECK(about("  - { name: x, column: t.a, now: b }\n  - { name: y, column: u.b, now: a }") == lines{});
    CHECK(about("  - { name: x, table: s.a, now: b }\n  - { name: y, table: o.b, now: a }") == lines{});
}

TEST_CASE("a new name that is itself old is warned about") {
    CHECK(about("  - { name: x, column: t.a, now: b }\n  - { name: y, column: t.b, now: c }") ==
          lines{R"x(r.yaml:2:29: warning: what it is now is what rule "y" (line 3) calls an old name; rules are not followed one after the other: write what it is called today)x"});
}

TEST_CASE("a fallback says something, and one thing") {
    auto const says = [](std::string const& what) { return about("  - { name: a, statement: SELECT 1, fallback: { " + what + " } }"); };
    CHECK(about("  - { name: a, statement: DELETE FROM t, fallback: { stale: 5m } }") ==
          lines{"r.yaml:2:27: warning: a fallback answers reads only: this statement never gets one"});
    CHECK(about("  - { name: a, statement: DELETE FROM t, fallback: { error: true } }").empty());
    CHECK(says("replica: maybe") == lines{R"x(r.yaml:2:58: error: fallback.replica must be true or false, not "maybe")x"});
    CHECK(says("replica: false") == lines{"r.yaml:2:37: error: fallback says nothing; it needs stale, replica or error"});
    CHECK(says("error: true, stale: 5m") == lines{"r.yaml:2:37: error: fallback.error goes with nothing else"});
    CHECK(says("error: true") == lines{});
}

TEST_CASE("what this version does not do is said") {
    CHECK(about("  - { name: a, statement: SELECT 1, fallback: { stale: 5 } }") ==
          lines{R"x(r.yaml:2:56: error: fallback.stale must be a duration such as 5m (ms, s, m, h), not "5")x"});
}

TEST_CASE("an empty file is an error: an editor may empty a file before it writes it") {
    CHECK(messages(load("")) == lines{"r.yaml: error: the file is empty; a file without rules says \"rules: []\""});
    CHECK(messages(load("# nothing\n")).size() == 1);
    CHECK(messages(load("rules:")) == lines{"r.yaml:1:1: error: rules has no value"});
    CHECK(messages(load("{}")) == lines{"r.yaml:1:1: error: rules is missing; a file without rules says \"rules: []\""});
    CHECK(messages(load("rules: []")) == lines{});
    CHECK(messages(load("- a")) == lines{"r.yaml:1:1: error: the file must be a mapping with the key rules, not a list"});
}

TEST_CASE("every beginning of a rule file is read or refused, and does no harm") {
    std::string const text = "rules:\n  - { name: a, column: t.a, now: b, when: { user: [x], application_name: \"^y\" } }\n  - name: b\n    statement: SELECT 'x' WHERE a = $1 # c\n"
                             "    replace: |\n      SELECT 'y'\n      WHERE b = $1\n  - {name: c, table: u, star: [id, \"\\\"B\\\"\"]}\n";
    for (std::size_t n = 0; n <= text.size(); ++n) {
        auto const l = load(text.substr(0, n));
        CHECK((!l.problems.empty() || !l.rules.empty()));
    }
    CHECK(load(text).rules.size() == 3);
}

TEST_CASE("hostile files end quickly, with one clear error") {
    CHECK(messages(load(std::string(17 * 1024 * 1024, ' '))) == lines{"r.yaml: error: larger than 16MiB; this cannot be a rule file"});
    CHECK(messages(load("rules: " + std::string(100000, '['))).at(0).ends_with(": error: more than 12 levels deep"));
    std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
    for (char c = 'b'; c < 'k'; ++c) {
        bomb += std::string{c} + ": &" + c + " [";
        for (int i = 0; i < 10; ++i) bomb += std::string{i > 0 ? "," : ""} + "*" + static_cast<char>(c - 1);
        bomb += "]\n";
    }
    CHECK(messages(load(bomb + "rules: *j\n")).at(0).find("aliases written out") != std::string::npos);
    CHECK(messages(load("rules:\n  - { name: a, column: t.a, gone: { read: \"" + std::string(70000, '(') + "\" } }")).size() == 1);
    CHECK(messages(load("rules:\n  - { name: a, column: t.a, gone: { read: \"1" + std::string(50000, '+') + "1\" } }")).size() <= 1);
}

TEST_CASE("ten thousand rules load in a moment, and are still found") {
    std::string text = "rules:\n";
    for (int i = 0; i < 10000; ++i) {
        auto const n = std::to_string(i);
        if (i % 4 == 0) text += "  - { name: c" + n + ", column: public.t" + n + ".old, now: new }\n";
        if (i % 4 == 1) text += "  - { name: t" + n + ", table: t" + n + ", now: s.u" + n + ", when: { user: app } }\n";
        if (i % 4 == 2) text += "  - { name: s" + n + ", statement: SELECT a FROM t" + n + " WHERE b = $1, replace: SELECT b FROM t" + n + " WHERE c = $1 }\n";
        if (i % 4 == 3) text += "  - { name: d" + n + ", column: t" + n + ".c, default: \"'x'\" }\n";
    }
    auto const begin = std::chrono::steady_clock::now();
    auto l = load(text);
    auto const took = std::chrono::steady_clock::now() - begin;
    CHECK(l.problems.empty());
    rules::rule_set const set{std::move(l.rules), 1};
    CHECK(set.column("public", "t4000", "old", rules::who())->name == "c4000");
    CHECK(set.replacement(rules::scanned_text{"SELECT a FROM t9998 WHERE b = 1"}, rules::who())->by->name == "s9998");
    CHECK(took < 20s); // a debug build with sanitizers on a busy machine; a release build takes well under a second
}
