#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <catch2/catch.hpp>

namespace pgmend::healing {
namespace {

struct world {
    std::shared_ptr<catalog::history const> history;
    session_view session;
    std::unique_ptr<rules::rule_set> rules;
    learning::pattern_book book;
    healing::policy policy;

    explicit world(std::initializer_list<std::string_view> ddl) {
        testing::schema_script script;
        for (auto const text : ddl) {
            script.run(text);
            history = history ? catalog::history::with(history, script.take()) : std::make_shared<catalog::history>(script.take());
        }
        session.search_path = {"pg_catalog", "public"};
        session.client_encoding = "UTF8";
    }

    void rule(rules::action does) {
        rules::rule made;
        made.name = "r";
        made.does = std::move(does);
        std::vector<rules::rule> all;
        all.push_back(std::move(made));
        rules = std::make_unique<rules::rule_set>(std::move(all), 1);
    }

    verdict ask(std::string_view sql, std::string_view sqlstate, std::string_view routine = "", std::vector<catalog::oid> types = {}) {
        question asked{sql, session, std::move(types), false, {}, false, {}, {}};
        if (!sqlstate.empty()) asked.error = server_error{sqlstate, routine, {}, {}, {}, {}, {}};
        return judge(asked, {history.get(), rules.get(), &book, policy});
    }
    std::string text(std::string_view sql, std::string_view sqlstate, std::string_view routine = "") {
        auto const answer = ask(sql, sqlstate, routine);
        if (auto const* healed = std::get_if<plan>(&answer)) return healed->sql;
        if (auto const* refused = std::get_if<refusal>(&answer)) {
            return refused->proposals.empty() ? std::string{name_of(refused->kind)} : "? " + refused->proposals.at(0).what.sql;
        }
        return "fits";
    }
};

rules::column_gone gone(std::optional<std::string> read, rules::column_gone::write_answer write) {
    return {{"", "users", "legacy"}, std::move(read), write};
}

} // namespace

TEST_CASE("a dropped column waits for approval, heals once it has it, and no more when it is suspended") {
    world w{"CREATE TABLE users (id int, email text, legacy int)", "ALTER TABLE users DROP COLUMN legacy; ALTER TABLE users RENAME email TO mail"};
    std::string_view const sql = "INSERT INTO users (id, legacy, email) VALUES ($1, $2, $3)";
    auto answer = w.ask(sql, "42703");
    auto const& waiting = std::get<refusal>(answer);
    CHECK(waiting.kind == refusal_kind::policy_propose);
    REQUIRE(waiting.proposals.size() == 1);
    auto const& proposed = waiting.proposals[0];
    CHECK(proposed.what.sql == "INSERT INTO users (id, mail) VALUES ($1, $3)");
    REQUIRE(proposed.patterns == std::vector<std::string>{"dropped column public.users.legacy: written value left out"});
    // The parameter keeps its number, and has a type though nothing in the text says so any more.
    CHECK(proposed.what.parameter_types == std::vector<catalog::oid>{0, 23, 0});
    REQUIRE(proposed.what.losses.size() == 1);
    CHECK(proposed.what.losses[0].column == "public.users.legacy");
    REQUIRE(proposed.what.losses[0].values.size() == 1);
    CHECK(proposed.what.losses[0].values[0].text == "$2");
    auto const id = w.book.propose("", proposed.patterns[0], proposed.what.evidence, proposed.note, {})->id;
    CHECK(w.text(sql, "42703").starts_with("? "));
    REQUIRE(w.book.approve(id, {}));
    answer = w.ask(sql, "42703");
    CHECK(std::get<plan>(answer).losses.size() == 1);
    REQUIRE(w.book.suspend(id, "", {}));
    CHECK(w.text(sql, "42703") == "suspended");
}

TEST_CASE("a rule says what a dropped column reads as, and what becomes of writes") {
    world w{"CREATE TABLE users (id int, legacy int)", "ALTER TABLE users DROP COLUMN legacy; ALTER TABLE users ADD COLUMN state text"};
    using write = rules::column_gone::write_answer;
    w.rule(gone("CASE WHEN state = 'old' THEN 1 END", write::discard));
    CHECK(w.text("SELECT id, legacy FROM users", "42703") ==
          "SELECT id, ((CASE WHEN state = 'old' THEN 1 END)::pg_catalog.int4) AS legacy FROM users");
    auto const answer = w.ask("UPDATE users SET id = 1, legacy = 2", "42703");
    CHECK(std::get<plan>(answer).sql == "UPDATE users SET id = 1");
    CHECK(std::get<plan>(answer).evidence == evidence::rule);
    CHECK(std::get<plan>(answer).losses.empty());
    w.rule(gone("1", write::keep_in_audit));
    auto const kept = w.ask("UPDATE users SET id = 1, legacy = 2", "42703");
    CHECK(std::get<plan>(kept).losses.size() == 1);
    w.rule(gone("1", write::refuse));
    CHECK(w.text("UPDATE users SET id = 1, legacy = 2", "42703") == "dropped");
    w.rule(gone("nope", write::discard));
    CHECK(w.text("SELECT legacy FROM users", "42703") == "unproven");
    w.rule(gone({}, write::discard));
    CHECK(w.text("SELECT legacy FROM users", "42703") == "dropped");
}

TEST_CASE("a required column gets the default of a rule, and of nothing else") {
    world w{"CREATE TABLE orders (id int, total int)", "ALTER TABLE orders ADD COLUMN region text NOT NULL"};
    CHECK(w.text("INSERT INTO orders (id) VALUES (1)", "23502", "ExecConstraints") == "not_drift");
    w.rule(rules::column_default{{"", "orders", "region"}, "'eu'"});
    CHECK(w.text("INSERT INTO orders (id) VALUES (1), (2)", "23502", "ExecConstraints") == "INSERT INTO orders (id, region) VALUES (1, ('eu')), (2, ('eu'))");
    CHECK(w.text("INSERT INTO orders VALUES (1, 2)", "") == "INSERT INTO orders (id, total, region) VALUES (1, 2, ('eu'))");
    CHECK(w.text("INSERT INTO orders (id, region) VALUES (1, 'us')", "") == "fits");
    CHECK(w.text("INSERT INTO orders (id) SELECT 1", "23502", "ExecConstraints") == "INSERT INTO orders (id, region) SELECT 1, ('eu')");
    CHECK(w.text("INSERT INTO orders (id) SELECT 1 UNION SELECT 2", "23502", "ExecConstraints") == "not_understood");
}

TEST_CASE("identity columns and conflict targets are proposed") {
    world w{"CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY, a int, b int, UNIQUE (a))",
            "ALTER TABLE t ALTER COLUMN id SET GENERATED ALWAYS; ALTER TABLE t DROP CONSTRAINT t_a_key; ALTER TABLE t ADD UNIQUE (a, b)"};
    CHECK(w.text("INSERT INTO t (id, a) VALUES (1, 2)", "428C9") == "? INSERT INTO t (id, a) OVERRIDING SYSTEM VALUE VALUES (1, 2)");
    CHECK(w.text("INSERT INTO t (a) VALUES (2)", "428C9") == "not_drift");
    CHECK(w.text("INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO NOTHING", "42P10") == "? INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a, b) DO NOTHING");
    CHECK(w.text("INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (b) DO NOTHING", "42P10") == "not_drift");
}

TEST_CASE("a prepared statement whose answer changed its shape is written out as it was") {
    world w{"CREATE TABLE t (id int, a text)", "ALTER TABLE t ADD COLUMN b int; ALTER TABLE t ALTER COLUMN id TYPE bigint"};
    question asked{"SELECT * FROM t", w.session, {}, true, server_error{"0A000", "RevalidateCachedQuery", {}, {}, {}, {}, {}}, true, {}, {}};
    auto const answer = judge(asked, {w.history.get(), nullptr, nullptr, {}});
    REQUIRE(std::holds_alternative<plan>(answer));
    CHECK(std::get<plan>(answer).sql == "SELECT t.id::pg_catalog.int4, t.a FROM t");
    CHECK(std::get<plan>(answer).healed.at(0).columns->size() == 2);
}

TEST_CASE("a prepared statement that keeps its columns has a name by which that is suspended") {
    world w{"CREATE TABLE t (id int, a text)", "ALTER TABLE t ADD COLUMN b int"};
    question asked{"SELECT * FROM t", w.session, {}, true, server_error{"0A000", "RevalidateCachedQuery", {}, {}, {}, {}, {}}, true, {}, {}};
    auto const answer = judge(asked, {w.history.get(), nullptr, nullptr, {}});
    REQUIRE(std::holds_alternative<plan>(answer));
    CHECK(std::get<plan>(answer).sql == "SELECT t.id, t.a FROM t");
    constexpr auto pattern = "columns of public.t: as when the statement was prepared";
    CHECK(std::get<plan>(answer).pattern == pattern);
    learning::pattern_book book;
    book.suspend(book.record("", pattern, learning::evidence::lineage, true, {})->id, "", {});
    CHECK(std::holds_alternative<refusal>(judge(asked, {w.history.get(), nullptr, &book, {}})));
}

TEST_CASE("a rule for a whole statement goes before everything else") {
    world w{"CREATE TABLE invoices (id int, net int, tax int, customer_id int)"};
    auto shape = rules::statement_shape::compile("SELECT id, total FROM invoices WHERE customer = $1");
    auto now = rules::replacement_text::compile("SELECT id, net + tax AS total FROM invoices WHERE customer_id = $1");
    REQUIRE((shape && now));
    w.rule(rules::statement_replaced{std::move(*shape), std::move(*now)});
    CHECK(w.text("select id, total from invoices where customer = 42 -- x", "42703") ==
          "SELECT id, net + tax AS total FROM invoices WHERE customer_id = 42 -- x");
    CHECK(w.text("SELECT id, total FROM invoices WHERE customer = $1", "") == "SELECT id, net + tax AS total FROM invoices WHERE customer_id = $1");
}

} // namespace pgmend::healing
