#include "pgmend/session/statement_check.hpp"

#include "healing/schema_script.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::string_literals;
using session::advice;
using session::statement_check;
using kind = session::advice::kind_type;

namespace {

/// One session in a database whose schema moves on.
struct fixture {
    explicit fixture(healing::settings with = {}) {
        script.run("CREATE TABLE users (id int, email text); CREATE TABLE orders (id int, note text); CREATE TABLE pair (a text, b text)");
        publish();
        judge->configure(with, std::make_shared<rules::rule_set const>(), std::make_shared<learning::pattern_book const>());
    }

    void migrate(char const* ddl) {
        script.run(ddl);
        publish();
    }
    void publish() {
        history = catalog::history::with(history, script.take());
        source->publish(history);
    }
    advice look(std::string_view sql, bool in_transaction = false) {
        if (!in_transaction) check.request_begins();
        if (!check.active(in_transaction)) return {};
        return check.look(sql, nullptr, {}, in_transaction, session::company::unknown);
    }
    static healing::session_view view(std::vector<std::string> path = {"pg_catalog", "app", "public"}) {
        healing::session_view out;
        out.search_path = std::move(path);
        out.client_encoding = "UTF8";
        out.role = "app";
        return out;
    }
    /// As the driver does: probes and verifies until the text may be sent.
    advice ask(std::string_view sql, std::optional<std::string> refusal = {}) {
        bool confirmed = false;
        for (int i = 0; i < 4; ++i) {
            auto need = check.consider(sql, {}, confirmed);
            if (need.given) return *need.given;
            if (need.probe) {
                check.learn(view());
                ++probes;
            }
            if (need.confirm) {
                ++confirmations;
                if (accepted) return check.pass(sql);
                check.confirmed(sql, {}, "42703");
                confirmed = true;
            }
            if (need.verify) {
                check.verified(sql, {}, refusal);
                ++verifications;
            }
        }
        return check.pass(sql);
    }

    healing::testing::schema_script script;
    std::shared_ptr<catalog::history const> history;
    std::shared_ptr<base::published<catalog::history>> source = std::make_shared<base::published<catalog::history>>(nullptr);
    std::shared_ptr<session::database_judge> judge = std::make_shared<session::database_judge>(source);
    statement_check check{judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{std::chrono::hours{500000}}; }, [this] { return now; }};
    base::time_point now{std::chrono::hours{1}};
    bool accepted = false; ///< PostgreSQL has come to accept the original
    int confirmations = 0;
    int probes = 0;
    int verifications = 0;
};

constexpr auto drifted = "SELECT email FROM users";

} // namespace

TEST_CASE("where nothing has drifted nothing is looked at, but in transaction blocks") {
    fixture f;
    CHECK_FALSE(f.check.active(false));
    CHECK(f.check.active(true));
    healing::settings off;
    off.healing_mode = healing::mode::off;
    CHECK_FALSE(fixture{off}.check.active(true));
}

TEST_CASE("a text that mentions what has drifted is asked about, then edited without a question") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    CHECK(f.look("SELECT note FROM orders").what == kind::pass);
    REQUIRE(f.look(drifted).what == kind::ask);
    auto const given = f.ask(drifted);
    REQUIRE(given.what == kind::edit);
    CHECK(given.note->healed->plan.sql == "SELECT email_address AS email FROM users");
    CHECK(f.probes == 1);
    CHECK(f.verifications == 1);
    CHECK(f.look(drifted).what == kind::edit);
    CHECK(f.look("SELECT id, email FROM users").what == kind::ask);
}

TEST_CASE("the first heal of a text in another session takes one question, for its view") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look(drifted);
    (void)f.ask(drifted);
    statement_check other{f.judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{}; }, [] { return base::time_point{std::chrono::hours{1}}; }};
    REQUIRE(other.active(false));
    REQUIRE(other.look(drifted, nullptr, {}, false, session::company::unknown).what == kind::ask);
    auto const need = other.consider(drifted, {}, false);
    CHECK(need.probe);
    CHECK(need.verify == nullptr); // PostgreSQL has accepted it under the usual view
    other.learn(fixture::view());
    CHECK(other.consider(drifted, {}, false).given->what == kind::edit);
}

TEST_CASE("a session with another search path gets another answer") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look(drifted);
    (void)f.ask(drifted);
    statement_check other{f.judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{}; }, [] { return base::time_point{std::chrono::hours{1}}; }};
    REQUIRE(other.look(drifted, nullptr, {}, false, session::company::unknown).what == kind::ask);
    CHECK(other.consider(drifted, {}, false).probe);
    other.learn(fixture::view({"pg_catalog", "elsewhere"}));
    CHECK(other.consider(drifted, {}, false).given->what == kind::pass);
}

TEST_CASE("what may change the meaning of names makes the session's view unknown") {
    for (auto const* sql : {"SET search_path = elsewhere", "CREATE TEMP TABLE users (id int)", "SELECT set_config('search_path', 'x', false)",
                            "RESET ALL", "DISCARD ALL", "SET ROLE other", "DO $$ BEGIN END $$"}) {
        INFO(sql);
        fixture f;
        f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
        (void)f.look(drifted);
        (void)f.ask(drifted);
        CHECK(f.look(drifted).what == kind::edit);
        if (f.look(sql).what == kind::ask) (void)f.ask(sql);
        CHECK(f.look(drifted).what == kind::ask);
        f.check.settled('I');
        CHECK(f.look(drifted).what == kind::ask);
    }
}

TEST_CASE("what was found out inside a transaction that changed the session does not outlive it") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look("BEGIN");
    (void)f.look("SET LOCAL search_path = public");
    f.check.settled('T');
    (void)f.look(drifted, true);
    (void)f.ask(drifted);
    CHECK(f.look(drifted, true).what == kind::edit);
    f.check.settled('T');
    CHECK(f.look(drifted, true).what == kind::ask);
    (void)f.look("ROLLBACK", true);
    f.check.settled('I');
    CHECK(f.look(drifted).what == kind::ask);
}

TEST_CASE("a heal that PostgreSQL refuses is not tried again on this version") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look(drifted);
    CHECK(f.ask(drifted, "no rights").what == kind::pass);
    CHECK(f.look(drifted).what == kind::pass);
    auto const again = f.look(drifted); // the log hears of it when it has failed
    REQUIRE((again.note && again.note->refusal));
    CHECK(again.note->refusal->reason == "no rights");
    CHECK(again.note->refused_sql == drifted);
    CHECK_FALSE(f.check.has_remarks());
    f.migrate("ALTER TABLE users RENAME COLUMN email_address TO mail");
    CHECK(f.look(drifted).what == kind::ask);
}

TEST_CASE("a new version outdates exactly the heals that rest on what changed") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look(drifted);
    (void)f.ask(drifted);
    f.migrate("ALTER TABLE orders RENAME COLUMN note TO remark");
    CHECK(f.look(drifted).what == kind::edit);
    f.migrate("ALTER TABLE users RENAME COLUMN email_address TO mail");
    REQUIRE(f.look(drifted).what == kind::ask);
    CHECK(f.ask(drifted).note->healed->plan.sql == "SELECT mail AS email FROM users");
}

TEST_CASE("inside a transaction block a statement is guarded until one like it has worked") {
    fixture f;
    auto const first = f.look("SELECT note FROM orders WHERE id = 1", true);
    CHECK(first.guard);
    f.check.worked(first.token);
    CHECK_FALSE(f.look("SELECT note FROM orders WHERE id = 2", true).guard);
    CHECK(f.look("SELECT id FROM orders WHERE id = 2", true).guard);
    CHECK_FALSE(f.look("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", true).guard);
    CHECK_FALSE(f.look("SAVEPOINT a", true).guard);
    f.migrate("ALTER TABLE orders RENAME COLUMN note TO remark");
    CHECK(f.look("SELECT id FROM users WHERE id = 1", true).guard); // another version
    healing::settings off;
    off.guard = healing::transaction_guard::off;
    CHECK_FALSE(fixture{off}.look("SELECT note FROM orders", true).guard);
}

TEST_CASE("a prepared statement is guarded by what it was prepared from, one that is not known may do anything") {
    fixture f;
    base::byte_view const name = "s1";
    REQUIRE(f.check.active(true));
    (void)f.check.look("SELECT note FROM orders", &name, {}, true, session::company::unknown);
    auto const bind = f.check.look_at_bind("s1", true, session::company::unknown);
    CHECK(bind.guard);
    CHECK_FALSE(bind.ends_transaction);
    f.check.worked(bind.token);
    CHECK_FALSE(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    CHECK(f.check.look_at_bind("unknown", true, session::company::unknown).ends_transaction);
}

TEST_CASE("a block is begun by a BEGIN that was prepared before, too") {
    fixture f;
    f.check.prepared_unseen("BEGIN", "begins");
    f.check.prepared_unseen("COMMIT", "ends");
    f.migrate("ALTER TABLE orders RENAME COLUMN note TO remark");
    REQUIRE(f.check.active(false));
    f.check.prepared_unseen("BEGIN; SELECT 1", "more");
    CHECK(f.check.begins("begins") == "BEGIN");
    for (auto const* other : {"ends", "more", "unknown"}) CHECK(f.check.begins(other).empty());
    (void)f.check.look_at_bind("begins", false, session::company::alone);
    CHECK(f.check.begun());
    (void)f.check.look_at_bind("ends", false, session::company::unknown);
    CHECK_FALSE(f.check.begun());
}

TEST_CASE("a statement that was prepared while nothing was looked at is guarded in a block, and again after each change") {
    fixture f;
    REQUIRE_FALSE(f.check.active(false));
    f.check.prepared_unseen("SELECT note FROM orders", "s1");
    f.check.prepared_unseen("COMMIT", "end");
    auto const bind = f.check.look_at_bind("s1", true, session::company::unknown);
    CHECK(bind.guard);
    CHECK_FALSE(bind.ends_transaction);
    f.check.worked(bind.token);
    CHECK_FALSE(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    f.migrate("ALTER TABLE orders RENAME COLUMN note TO remark");
    REQUIRE(f.check.active(true));
    CHECK(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    CHECK_FALSE(f.check.look_at_bind("end", true, session::company::unknown).guard);
    CHECK(f.check.look_at_bind("end", true, session::company::unknown).ends_transaction);
    f.check.closed("s1");
    CHECK_FALSE(f.check.look_at_bind("s1", true, session::company::unknown).guard);
}

TEST_CASE("values that may be labels which were renamed are known by their names, in arrays and in binary form, too") {
    fixture f;
    f.migrate("CREATE TYPE mood AS ENUM ('happy', 'sad', 'so so'); CREATE TYPE state AS ENUM ('sad')");
    CHECK_FALSE(f.check.has_old_labels());
    f.migrate("ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'");
    REQUIRE(f.check.active(true));
    REQUIRE(f.check.has_old_labels());
    auto const may = [&](std::vector<base::byte_view> const& values) {
        std::string frame;
        wire::append_bind(frame, "", "s", values);
        return f.check.may_have_old_label(base::byte_view{frame}.substr(5));
    };
    auto const binary = "\0\0\0\1\0\0\0\0\0\0\x40\0\0\0\0\2\0\0\0\1\0\0\0\3sad\0\0\0\5happy"s;
    CHECK(may({"happy"}));
    CHECK(may({"1", "sad", "happy"}));
    CHECK(may({R"({sad,"happy"})"}));
    CHECK(may({" {happy}"}));
    CHECK(may({binary}));
    CHECK_FALSE(may({}));
    CHECK_FALSE(may({"glad", "sad", "{glad,sad}", "{}", "", "unhappy", R"({"happy": 1})", "[happy]", binary.substr(0, 24), std::string(100000, 'x')}));
    CHECK_FALSE(f.check.may_have_old_label("not well-formed"));
    f.migrate("ALTER TYPE mood RENAME VALUE 'sad' TO 'happy'"); // the old name exists again
    REQUIRE(f.check.active(true));
    CHECK_FALSE(may({"happy"}));
    CHECK(may({"sad"}));
}

TEST_CASE("a text that was seen to work may be guarded all the same, where it is of rows and in a block") {
    fixture f;
    base::byte_view const name = "s1";
    REQUIRE(f.check.active(true));
    auto const first = f.check.look("SELECT note FROM orders WHERE id = $1", &name, {}, true, session::company::unknown);
    CHECK(first.guardable);
    f.check.worked(first.token);
    auto const bound = f.check.look_at_bind("s1", true, session::company::unknown);
    CHECK(bound.guardable);
    CHECK(bound.guard); // it may have been prepared before the change
    f.check.worked(bound.token);
    CHECK_FALSE(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    f.migrate("ALTER TABLE orders ADD COLUMN other text");
    REQUIRE(f.check.active(true));
    base::byte_view const later = "s2"; // of another session, say
    f.check.worked(f.check.look("SELECT note FROM orders WHERE id = $1", &later, {}, true, session::company::unknown).token);
    f.check.worked(f.check.look_at_bind("s2", true, session::company::unknown).token);
    CHECK(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    f.check.worked(f.check.look_at_bind("s1", true, session::company::unknown).token);
    CHECK_FALSE(f.check.look_at_bind("s1", true, session::company::unknown).guard);
    CHECK_FALSE(f.check.look_at_bind("s1", false, session::company::unknown).guardable);
    CHECK_FALSE(f.check.look_at_bind("unknown", true, session::company::unknown).guardable);
    CHECK_FALSE(f.look("COMMIT", true).guardable);
    healing::settings off;
    off.guard = healing::transaction_guard::off;
    CHECK_FALSE(fixture{off}.look("SELECT note FROM orders", true).guardable);
}

TEST_CASE("mode observe edits nothing, and says once what it would have done") {
    healing::settings observe;
    observe.healing_mode = healing::mode::observe;
    fixture f{observe};
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    REQUIRE(f.look(drifted).what == kind::ask);
    CHECK(f.ask(drifted).what == kind::pass);
    CHECK(f.look(drifted).what == kind::pass);
    auto const remarks = f.check.take_remarks();
    REQUIRE(remarks.size() == 1);
    CHECK(remarks[0].kind == statement_check::remark::kind_type::observed);
}

TEST_CASE("names that were swapped are reported, and a write to them is blocked where that is wanted") {
    for (bool const block : {false, true}) {
        healing::settings with;
        with.silent = block ? healing::silent_answer::block_writes : healing::silent_answer::report;
        fixture f{with};
        f.migrate("ALTER TABLE pair RENAME COLUMN a TO c");
        f.migrate("ALTER TABLE pair RENAME COLUMN b TO a");
        f.migrate("ALTER TABLE pair RENAME COLUMN c TO b");
        constexpr auto write = "UPDATE pair SET a = 'x'";
        REQUIRE(f.look(write).what == kind::ask);
        auto const given = f.ask(write);
        CHECK(given.what == (block ? kind::block : kind::pass));
        if (block) CHECK_FALSE(given.note->error.empty());
        CHECK_FALSE(f.check.take_remarks().empty());
        constexpr auto read = "SELECT a FROM pair";
        (void)f.look(read);
        CHECK(f.ask(read).what == kind::pass);
    }
}

TEST_CASE("a text that fits passes on the usual view of the user, without a question to the server") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    (void)f.look(drifted);
    (void)f.ask(drifted);
    statement_check other{f.judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{}; }, [] { return base::time_point{std::chrono::hours{1}}; }};
    constexpr auto current = "SELECT email_address FROM users";
    REQUIRE(other.look(current, nullptr, {}, false, session::company::unknown).what == kind::ask);
    auto const need = other.consider(current, {}, false);
    REQUIRE(need.given);
    CHECK(need.given->what == kind::pass);
}

TEST_CASE("a healed read asks from time to time whether the original is still refused, a write each time") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME COLUMN email TO email_address");
    CHECK(f.look(drifted).what == kind::ask);
    CHECK(f.ask(drifted).what == kind::edit);
    CHECK(f.confirmations == 1);
    CHECK(f.look(drifted).what == kind::edit);
    f.now += std::chrono::milliseconds{99};
    CHECK(f.look(drifted).what == kind::edit);
    f.now += std::chrono::milliseconds{1};
    CHECK(f.look(drifted).what == kind::ask);
    CHECK(f.ask(drifted).what == kind::edit);
    CHECK(f.confirmations == 2);
    CHECK(f.verifications == 1);

    constexpr auto write = "UPDATE users SET email = 'x'";
    for (int i = 0; i < 2; ++i) {
        CHECK(f.look(write).what == kind::ask);
        CHECK(f.ask(write).what == kind::edit);
    }
    CHECK(f.confirmations == 4);
    f.accepted = true; // somebody has added a column of that name, and pgmend has not seen it yet
    CHECK(f.look(write).what == kind::ask);
    CHECK(f.ask(write).what == kind::pass);
}

TEST_CASE("a prepared heal that is no longer allowed is taken back before the next Bind, and given again once it is") {
    fixture f;
    f.migrate("ALTER TABLE users RENAME email TO email_address");
    base::byte_view const name = "s1";
    REQUIRE(f.check.active(false));
    (void)f.check.look(drifted, &name, {}, false, session::company::unknown);
    REQUIRE(f.ask(drifted).what == kind::edit);
    CHECK_FALSE(f.check.look_at_bind(name, false, session::company::unknown).prepare);
    auto off = healing::settings{};
    off.healing_mode = healing::mode::off;
    f.judge->configure(off, std::make_shared<rules::rule_set const>(), std::make_shared<learning::pattern_book const>());
    REQUIRE(f.check.active(false));
    for (int i = 0; i < 2; ++i) { // the server has refused it, so it is not there
        auto const bind = f.check.look_at_bind(name, false, session::company::unknown);
        REQUIRE(bind.prepare);
        CHECK(bind.prepare->sql == drifted);
        CHECK_FALSE(bind.note);
    }
    f.judge->configure({}, std::make_shared<rules::rule_set const>(), std::make_shared<learning::pattern_book const>());
    auto const bind = f.check.look_at_bind(name, false, session::company::unknown);
    REQUIRE(bind.prepare);
    CHECK(bind.prepare->sql == "SELECT email_address AS email FROM users");
    REQUIRE(bind.note);
    CHECK_FALSE(f.check.look_at_bind(name, false, session::company::unknown).prepare);
    // Prepared anew under the same name by the client: nothing is left of it.
    (void)f.check.look("SELECT note FROM orders", &name, {}, false, session::company::unknown);
    CHECK_FALSE(f.check.look_at_bind(name, false, session::company::unknown).note);
}

TEST_CASE("texts that no rule is for are not kept before they come again") {
    fixture f;
    rules::statement_replaced const does{rules::statement_shape::compile("SELECT id FROM invoices WHERE customer = $1").value(),
                                         rules::replacement_text::compile("SELECT id FROM orders WHERE id = $1").value()};
    rules::rule made;
    made.name = "r";
    made.does = does;
    f.judge->configure({}, std::make_shared<rules::rule_set const>(std::vector{made}, 1), std::make_shared<learning::pattern_book const>());
    for (int i = 0; i < 100; ++i) CHECK(f.look("SELECT note FROM orders WHERE id = " + std::to_string(i)).what == kind::pass);
    CHECK(f.judge->cache().size() == 0);
    CHECK(f.look("SELECT note FROM orders WHERE id = 99").what == kind::pass);
    CHECK(f.judge->cache().size() == 1);
    CHECK(f.look("SET search_path = a").controls_transaction == false);
    CHECK(f.judge->cache().size() == 2); // it leaves the session as it was not
    CHECK(f.look("SELECT id FROM Invoices WHERE customer = 5").what == kind::ask);
    CHECK(f.look("SELECT id, customer FROM \"invoices\"").what == kind::pass);
}

TEST_CASE("of a text that is too long to be looked at the beginning tells whether it is a batch that a rule is for") {
    fixture f;
    rules::rule made;
    made.name = "bulk";
    made.does = rules::batch_split{{"", "orders"}, true};
    f.judge->configure({}, std::make_shared<rules::rule_set const>(std::vector{made}, 1), std::make_shared<learning::pattern_book const>());
    base::byte_view const named = "s";
    REQUIRE(f.check.active(true));
    auto given = f.check.look_at_beginning("INSERT INTO orders VALUES (1, 'a", nullptr, true);
    CHECK(given.splits);
    CHECK(given.guard);
    CHECK(given.controls_transaction); // more may stand behind it
    given = f.check.look_at_beginning("/* x */ insert into public.\"orders\" VALUES (1, 'a", &named, true);
    CHECK(given.guard);
    CHECK_FALSE(given.controls_transaction);
    CHECK(f.check.splits("s"));
    CHECK(f.check.look_at_bind("s", true, session::company::unknown).guard);
    CHECK(f.check.look_at_bind("s", false, session::company::unknown).splits);
    for (auto const* text : {"INSERT INTO users VALUES (1, 'a", "UPDATE orders SET note = 'a", "INSERT INTO other.users VALUES (", ""}) {
        given = f.check.look_at_beginning(text, nullptr, true);
        CHECK_FALSE(given.splits);
        CHECK_FALSE(given.guard);
        CHECK(given.ends_transaction);
    }
}
