#include "pgmend/healing/likeness.hpp"
#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/learning/pattern_book.hpp"

#include <catch2/catch.hpp>

namespace pgmend::healing {
namespace {

struct world {
    std::shared_ptr<catalog::history const> history;
    session_view session;
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

    /// What PostgreSQL says of the column `missing`.
    verdict ask(std::string_view sql, std::string_view missing, std::string_view hint = "", std::string_view routine = "errorMissingColumn") {
        question asked{sql, session, {}, false, {}, false, {}, {}};
        asked.error = server_error{"42703", routine, static_cast<std::uint32_t>(sql.find(missing) + 1), {}, {}, {}, hint};
        return judge(asked, {history.get(), nullptr, &book, policy});
    }
};

constexpr std::string_view users = "CREATE TABLE users (id int, email_address text, full_name text, created_at timestamptz)";
constexpr std::string_view hint = "Perhaps you meant to reference the column \"users.email_address\".";

refusal refused(verdict const& answer) {
    REQUIRE(std::holds_alternative<refusal>(answer));
    return std::get<refusal>(answer);
}

} // namespace

TEST_CASE("the one column that a HINT names is proposed, under the old label, and forward drift stays what it is") {
    world w{users, "ALTER TABLE users ADD COLUMN age int"};
    auto const answer = refused(w.ask("SELECT mail FROM users WHERE mail = 'x'", "mail", hint));
    CHECK(answer.kind == refusal_kind::forward_drift);
    CHECK(answer.reason.find("column \"mail\": no version of this schema had it") != std::string::npos);
    REQUIRE(answer.proposals.size() == 1);
    CHECK(answer.proposals[0].what.sql == "SELECT email_address AS mail FROM users WHERE email_address = 'x'");
    CHECK(answer.proposals[0].what.evidence == evidence::hint);
    CHECK(answer.proposals[0].patterns == std::vector<std::string>{"hint column public.users.mail -> email_address"});
    CHECK(!answer.proposals[0].note.empty());
}

TEST_CASE("a HINT in another language counts, one that names two columns does not") {
    world w{users};
    auto const german = refused(w.ask("SELECT mail FROM users", "mail", "Vielleicht wurde beabsichtigt, auf die Spalte \"users.email_address\" zu verweisen."));
    CHECK(german.proposals.size() == 1);
    CHECK(german.kind == refusal_kind::no_history);
    auto const two = "Perhaps you meant to reference the column \"users.email_address\" or the column \"users.full_name\".";
    CHECK(refused(w.ask("SELECT mail FROM users", "mail", two)).proposals.empty());
}

TEST_CASE("one clearly closest name is proposed, a tie or a distant one is not") {
    world w{users};
    auto const close = refused(w.ask("SELECT u.email_adress FROM users u", "u.email_adress"));
    REQUIRE(close.proposals.size() == 1);
    CHECK(close.proposals[0].what.sql == "SELECT u.email_address AS email_adress FROM users u");
    CHECK(close.proposals[0].what.evidence == evidence::similarity);
    CHECK(refused(w.ask("SELECT mobile FROM users", "mobile")).proposals.empty());
    world tie{"CREATE TABLE t (created_at1 int, created_at2 int)"};
    CHECK(refused(tie.ask("SELECT created_at FROM t", "created_at")).proposals.empty());
}

TEST_CASE("a relation that no version had is taken for the closest one, where its columns fit") {
    world w{"CREATE TABLE customer_accounts (id int, name text); CREATE TABLE invoices (id int, total int); CREATE TABLE invoice_lines (id int)"};
    auto const ask = [&](std::string_view sql, std::string_view missing) {
        question asked{sql, w.session, {}, false, {}, false, {}, {}};
        asked.error = server_error{"42P01", "parserOpenTable", static_cast<std::uint32_t>(sql.find(missing) + 1), {}, {}, {}, {}};
        return judge(asked, {w.history.get(), nullptr, &w.book, w.policy});
    };
    auto const close = refused(ask("SELECT customer_account.name FROM customer_account WHERE id = 1", "customer_account WHERE"));
    REQUIRE(close.proposals.size() == 1);
    CHECK(close.proposals[0].what.sql == "SELECT customer_account.name FROM customer_accounts AS customer_account WHERE id = 1");
    CHECK(close.proposals[0].what.evidence == evidence::similarity);
    CHECK(close.proposals[0].note.starts_with("no version of this schema had the relation"));
    CHECK(refused(ask("SELECT nick FROM customer_account", "customer_account")).proposals.empty()); // it has no such column
    CHECK(refused(ask("SELECT id FROM invoice", "invoice")).proposals.size() <= 1);
    CHECK(refused(ask("SELECT id FROM vouchers", "vouchers")).proposals.empty());
    auto const write = refused(ask("DELETE FROM public.customer_account", "public"));
    REQUIRE(write.proposals.size() == 1);
    CHECK(write.proposals[0].what.sql == "DELETE FROM public.customer_accounts AS customer_account");
}

TEST_CASE("writes are proposed too, and never healed by a guess, whatever the policy says") {
    world w{users};
    CHECK(!w.policy.set_writes(evidence::similarity, action::heal));
    CHECK(!w.policy.set_writes(evidence::hint, action::heal));
    w.policy.set_reads(evidence::similarity, action::heal);
    auto const write = refused(w.ask("UPDATE users SET email_adress = 'x'", "email_adress", "", "transformUpdateTargetList"));
    REQUIRE(write.proposals.size() == 1);
    CHECK(write.proposals[0].what.sql == "UPDATE users SET email_address = 'x'");
    auto const into = refused(w.ask("INSERT INTO users (id, email_adress) VALUES (1, 'x')", "email_adress", "", "checkInsertTargets"));
    CHECK(into.proposals.size() == 1);
    auto const answer = w.ask("SELECT email_adress FROM users", "email_adress");
    REQUIRE(std::holds_alternative<plan>(answer)); // reads were asked for
    CHECK(std::get<plan>(answer).sql == "SELECT email_address AS email_adress FROM users");
}

TEST_CASE("policy off: no proposal, and the reason is the plain one") {
    world w{users};
    w.policy.set_reads(evidence::similarity, action::off);
    auto const answer = refused(w.ask("SELECT email_adress FROM users", "email_adress"));
    CHECK(answer.proposals.empty());
    CHECK(answer.kind == refusal_kind::no_history);
}

TEST_CASE("a dropped column is never taken for another one, whatever the HINT says") {
    // Of 307 dropped columns of real migrations PostgreSQL's HINT offered another one for 12, likeness for 8 and more.
    struct { std::string_view dropped, left; } const census[] = {
        {"email_adress", "email_address"}, {"full_names", "full_name"}, {"is_active", "is_activated"}, {"user_ids", "user_id"},
        {"last_login", "last_login_at"}, {"avatar_url", "avatar_uri"}, {"password_hash", "password_hash2"}, {"name", "names"},
        {"used_on", "used_one"}, {"created", "created_at"}, {"token", "tokens"}, {"price_cents", "price_cent"},
    };
    for (auto const& it : census) {
        INFO(it.dropped);
        auto const left = std::string{it.left};
        auto const gone = std::string{it.dropped};
        world w{"CREATE TABLE users (id int, " + gone + " text, " + left + " text)", "ALTER TABLE users DROP COLUMN " + gone};
        auto const sql = "SELECT " + gone + " FROM users";
        for (auto const& offered : {std::string{}, "Perhaps you meant to reference the column \"users." + left + "\"."}) {
            auto const answer = refused(w.ask(sql, gone, offered));
            for (auto const& proposal : answer.proposals) CHECK(proposal.what.sql.starts_with("SELECT (NULL::pg_catalog.text) AS " + gone));
            CHECK(answer.proposals.size() == 1); // a typed NULL, if somebody approves
        }
    }
}

TEST_CASE("a name that had two meanings, or a name that a new column has, is no case for a guess") {
    world w{"CREATE TABLE users (id int, mail text)", "ALTER TABLE users RENAME mail TO email", "ALTER TABLE users ADD COLUMN mails text"};
    auto const answer = w.ask("SELECT mail FROM users", "mail", "Perhaps you meant to reference the column \"users.mails\".");
    REQUIRE(std::holds_alternative<plan>(answer));
    CHECK(std::get<plan>(answer).sql == "SELECT email AS mail FROM users"); // lineage knows
}

TEST_CASE("likeness goes from nothing to one") {
    CHECK(likeness("email", "email") == Approx(1));
    CHECK(likeness("email", "quantity") < 0.2);
    CHECK(likeness("createdAt", "created_at") > likeness("createdAt", "updated_at"));
    CHECK(likeness("", "x") == 0);
}

} // namespace pgmend::healing
