#include "session/frames.hpp"

#include "pgmend/session/heal_machine.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using session::heal_machine;
using step = session::heal_machine::step;

namespace {

std::string data_row(std::initializer_list<std::optional<std::string>> columns) {
    std::string body;
    base::append_u16(body, static_cast<std::uint16_t>(columns.size()));
    for (auto const& column : columns) {
        base::append_u32(body, column ? static_cast<std::uint32_t>(column->size()) : 0xffffffffu);
        if (column) body += *column;
    }
    return frame('D', body);
}

std::string description(std::string_view label, std::uint32_t table, std::uint32_t type) {
    auto body = "\0\1"s.append(label) + '\0';
    base::append_u32(body, table);
    base::append_u16(body, 3);
    base::append_u32(body, type);
    base::append_u16(body, 0xffff);
    base::append_u32(body, 0xffffffffu);
    base::append_u16(body, 0);
    return frame('T', body);
}

auto const probe_answer = frame('3') + frame('1') + frame('2') + data_row({"{pg_catalog,public}", "", "", "{scratch}", "{}"});
auto const probe_end = complete("SELECT 3") + frame('3') + frame('3') + ready();

step feed(heal_machine& machine, std::string const& frames) {
    std::string to_client;
    auto const last = test::feed(machine, frames, to_client);
    CHECK(to_client.empty());
    return last;
}

session::failed_request failed(std::string request, bool open = false) {
    session::failed_request out;
    out.request = std::move(request);
    out.error = missing_column();
    out.open = open;
    return out;
}

std::size_t own_answers(session::retry_request const& again) {
    return static_cast<std::size_t>(std::count_if(again.answers.begin(), again.answers.end(), [](auto const& it) { return it.own; }));
}

healing::plan plan_for(std::string sql) {
    healing::plan plan;
    healing::planned_statement healed;
    healed.end = static_cast<std::uint32_t>(sql.size());
    healed.columns = {{healing::expected_column{"email", 16384, 3, 25, -1}}};
    plan.healed.push_back(std::move(healed));
    plan.sql = std::move(sql);
    return plan;
}

auto const verified = frame('3') + frame('1') + frame('t', "\0\0"s) + description("email", 16384, 25) + frame('3') + ready();

} // namespace

TEST_CASE("a failed query is probed, planned, verified and sent again, edited") {
    auto const request = failed(query("SELECT email FROM users"));
    heal_machine machine{request, {}};
    REQUIRE(machine.possible());
    CHECK(machine.begin().starts_with(close_statement(own_name)));
    CHECK(feed(machine, probe_answer + probe_end) == step::probed);
    auto const question = machine.question();
    CHECK(question.sql == "SELECT email FROM users");
    CHECK(question.error->sqlstate == "42703");
    CHECK(question.error->routine == "errorMissingColumn");
    CHECK(question.error->position == 8u);
    CHECK_FALSE(question.prepared);
    CHECK(question.session.search_path == std::vector<std::string>{"pg_catalog", "public"});
    CHECK(question.session.temporary_relations == std::vector<std::string>{"scratch"});

    auto const sent = machine.verify(plan_for("SELECT email_address AS email FROM users"));
    CHECK(sent.find("SELECT email_address AS email FROM users") != std::string::npos);
    CHECK(feed(machine, verified) == step::verified);
    auto const again = machine.retry();
    CHECK(own_answers(again) == 0);
    CHECK(again.bytes == query("SELECT email_address AS email FROM users"));
}

TEST_CASE("texts behind the failed one are edited with it, and what all of them rest on is asked about in the same packet") {
    auto const rest = [](std::string_view write) {
        return bind("s") + execute() + parse("", "SELECT 1") + bind("") + execute() + parse("w", write) + bind("w") + execute() + bind("s") + execute() + sync_message();
    };
    auto const request = failed(parse("s", "SELECT email FROM users") + rest("DELETE FROM users WHERE email = $1"));
    heal_machine machine{request, {}};
    REQUIRE(machine.later_texts().size() == 2);
    CHECK(machine.later_texts()[1].message == 6);
    CHECK(machine.later_texts()[1].statement == "w");
    CHECK(feed(machine, probe_answer + probe_end) == step::probed);
    auto plan = plan_for("SELECT email_address AS email FROM users");
    plan.premise = {"{1}"};
    (void)machine.verify(std::move(plan));
    CHECK(feed(machine, frame('3') + frame('1') + frame('t', "\0\0"s) + description("email", 16384, 25) + frame('3') + frame('3') + frame('1') + frame('2') +
                            frame('D', "\0\0"s) + frame('C', "SELECT 1\0"s) + frame('3') + ready()) == step::verified);
    auto note = std::make_shared<session::answer_note>();
    auto other = plan_for("DELETE FROM users WHERE email_address = $1");
    other.premise = {"{2}"};
    note->healed = std::make_shared<healing::healed_text const>(healing::make_healed_text(std::move(other), "DELETE FROM users WHERE email = $1"));
    machine.edit_also(6, note);
    auto const again = machine.retry();
    auto const first = parse("s", "SELECT email_address AS email FROM users") + bind("s");
    REQUIRE(again.bytes.starts_with(first));
    REQUIRE(again.bytes.ends_with(rest("DELETE FROM users WHERE email_address = $1").substr(bind("s").size())));
    CHECK(again.bytes.find("{1}") < again.bytes.find("{2}"));
    CHECK(own_answers(again) == 8); // Close and Parse of the question, and two times Bind, Execute and Close
    REQUIRE(again.edited_also.size() == 1);
    CHECK(again.edited_also[0].message == 6);
    CHECK(again.answers.size() == 20);
    std::vector<std::size_t> noted;
    for (std::size_t i = 0; i < again.answers.size(); ++i) {
        if (again.answers[i].note == note) noted.push_back(i);
    }
    CHECK(noted == std::vector<std::size_t>{14, 15});
    CHECK(machine.as_it_was().bytes == request.request);
}

TEST_CASE("a schema of search_path that is gone keeps its place, one that may not be used has none") {
    auto const request = failed(query("SELECT email FROM users"));
    heal_machine machine{request, {}};
    auto const answer = frame('1') + frame('2') + data_row({"{pg_catalog,public}", R"("$user", Gone, secret, "Odd "" one", public, "")", "Ann", "{}", "{public,secret}"});
    CHECK(feed(machine, answer + probe_end) == step::probed);
    CHECK(machine.question().session.search_path == std::vector<std::string>{"pg_catalog", "Ann", "gone", "Odd \" one", "public"});
}

TEST_CASE("before the client's Sync the server is brought out of its error state first") {
    auto const begun = parse("s", "SELECT email FROM users") + frame('D', "Ss\0"s) + flush();
    auto const request = failed(begun, true);
    heal_machine machine{request, {}};
    CHECK(machine.begin().starts_with(sync_message()));
    CHECK(feed(machine, ready() + probe_answer + probe_end) == step::probed);
    (void)machine.verify(plan_for("SELECT email_address AS email FROM users"));
    CHECK(feed(machine, verified) == step::verified);
    CHECK(machine.retry().bytes == parse("s", "SELECT email_address AS email FROM users") + frame('D', "Ss\0"s) + flush());
}

TEST_CASE("a statement prepared before is prepared again under its name, with the types the client was told") {
    auto const asked = bind("s1") + execute() + sync_message();
    auto const request = failed(asked);
    heal_machine machine{request, {}};
    REQUIRE(machine.possible());
    CHECK(feed(machine, probe_answer + data_row({"SELECT email FROM users WHERE id = $1", "{23}"}) + probe_end) == step::probed);
    CHECK(machine.question().sql == "SELECT email FROM users WHERE id = $1");
    CHECK(machine.question().prepared);
    (void)machine.verify(plan_for("SELECT email_address AS email FROM users WHERE id = $1"));
    CHECK(feed(machine, verified) == step::verified);
    CHECK(machine.retry().bytes == prepare_anew("s1", "SELECT email_address AS email FROM users WHERE id = $1", {23}) + asked);
    CHECK(own_answers(machine.retry()) == 5);
}

TEST_CASE("a statement whose text the server does not know is not healed") {
    auto const request = failed(bind("s1") + sync_message());
    heal_machine machine{request, {}};
    CHECK(feed(machine, probe_answer + probe_end) == step::refused);
    auto const unnamed = failed(bind("") + sync_message());
    CHECK_FALSE(heal_machine{unnamed, {}}.possible());
    auto const portal = failed(execute() + sync_message());
    CHECK_FALSE(heal_machine{portal, {}}.possible());
}

TEST_CASE("what ran ahead of the failure is known where it is the same statement of an earlier request, and else ends the heal") {
    auto const names = [](std::initializer_list<std::string_view> of) {
        std::string out;
        for (auto const it : of) out += bind(it) + execute();
        auto made = failed(out + sync_message());
        made.failed = 2;
        return made;
    };
    auto const others = names({"s0", "s1"});
    CHECK_FALSE(heal_machine{others, {}}.possible());
    auto const same = names({"s1", "s1", "s1"});
    heal_machine machine{same, {}};
    REQUIRE(machine.possible());
    CHECK(machine.repeated().empty()); // its text is not known yet
    REQUIRE(feed(machine, probe_answer + data_row({"INSERT INTO states VALUES ($1)", "{23}"}) + probe_end) == step::probed);
    CHECK(machine.repeated() == std::vector<base::byte_view>{"INSERT INTO states VALUES ($1)"});
    heal_machine locks{same, {}}; // which would do nothing where it failed, but has been executed
    REQUIRE(feed(locks, probe_answer + data_row({"LOCK users", "{}"}) + probe_end) == step::probed);
    CHECK(locks.repeated().size() == 1);
}

TEST_CASE("values are bound otherwise to what the server was sent, not to what the client wrote") {
    std::string bound;
    wire::append_bind(bound, "", "", std::vector<base::byte_view>{"happy"});
    auto const asked = parse("", "SELECT feels FROM people WHERE feels = $1") + bound + execute() + sync_message();
    auto request = failed(asked);
    request.error = error({"C22P02", "Renum_in", "Wunnamed portal parameter $1 = '...'"});
    request.failed = request.first = 1;
    auto edited = plan_for("SELECT is_now AS feels FROM people WHERE is_now = $1");
    request.edits.push_back({0, std::make_shared<healing::healed_text const>(healing::make_healed_text(edited, "SELECT feels FROM people WHERE feels = $1"))});
    heal_machine machine{request, {}};
    REQUIRE(machine.possible());
    REQUIRE(machine.is_of_parameter());
    CHECK(machine.edited());
    REQUIRE(feed(machine, probe_answer + probe_end) == step::probed);
    CHECK(machine.describe().find(edited.sql) != std::string::npos);
    auto const types = "\0\1\0\0\x40\0"s;
    REQUIRE(feed(machine, frame('1') + frame('t', types) + frame('n') + frame('3') + ready()) == step::probed);
    auto values = machine.bound_values();
    REQUIRE(values == std::vector<healing::bound_value>{{16384, "happy", ""}});
    values[0].is = "glad";
    auto const again = machine.retry_with(plan_for("SELECT feels FROM people WHERE feels = $1"), values);
    std::string other;
    wire::append_bind(other, "", "", std::vector<base::byte_view>{"glad"});
    CHECK(again.bytes == other + execute() + sync_message()); // the statement is there
    CHECK_FALSE(again.edited);
}

TEST_CASE("a block may have been begun by a statement that an earlier request prepared") {
    auto const asked = bind("begins") + execute() + bind("s1") + execute() + sync_message();
    auto request = failed(asked);
    request.failed = 2;
    CHECK_FALSE(heal_machine{request, {}}.possible());
    request.begins = {"begins", "BEGIN READ ONLY"};
    CHECK_FALSE(heal_machine{request, {}}.possible()); // the server knows of no block
    request.opened = true;
    heal_machine machine{request, {}};
    REQUIRE(machine.possible());
    CHECK(machine.begin().find("ROLLBACK") != std::string::npos);
    CHECK(machine.block() == "BEGIN READ ONLY");
    REQUIRE(feed(machine, frame('3') + frame('1') + frame('2') + complete("ROLLBACK") + frame('3') + frame('3') + probe_answer +
                              data_row({"SELECT email FROM users", "{}"}) + probe_end) == step::probed);
    (void)machine.verify(plan_for("SELECT email_address AS email FROM users"));
    REQUIRE(feed(machine, verified) == step::verified);
    CHECK(machine.retry().bytes == prepare_anew("s1", "SELECT email_address AS email FROM users") + asked);
}

TEST_CASE("an error about what was sent edited is asked about at its place in the client's own text") {
    auto const sql = "SELECT email FROM users"s;
    auto request = failed(query(sql));
    healing::plan edited = plan_for("SELECT email_address AS email FROM users");
    edited.edits = {{7, 12, "email_address AS email"}};
    auto const at = [&](std::string const& text) { return std::to_string(text.find("users") + 1); };
    request.error = error({"C42P01", "P" + at(edited.sql), "RparserOpenTable"});
    CHECK(heal_machine{request, {}}.question().error->position > sql.size()); // as if it were the client's
    request.edits.push_back({0, std::make_shared<healing::healed_text const>(healing::make_healed_text(edited, sql))});
    CHECK(heal_machine{request, {}}.question().error->position == sql.find("users") + 1);
}

TEST_CASE("values of the unnamed statement that an earlier request prepared are bound otherwise, where its text is known") {
    std::string bound;
    wire::append_bind(bound, "", "", std::vector<base::byte_view>{"happy"});
    auto request = failed(bound + execute() + sync_message());
    request.error = error({"C22P02", "Renum_in", "Wunnamed portal parameter $1 = '...'"});
    CHECK_FALSE(heal_machine{request, {}}.possible());
    request.unnamed = "SELECT feels FROM people WHERE feels = $1";
    heal_machine machine{request, {}};
    REQUIRE(machine.possible());
    CHECK(machine.sql() == request.unnamed);
    REQUIRE(feed(machine, probe_answer + probe_end) == step::probed);
    CHECK(machine.describe() == frame('D', "S\0"s) + sync_message()); // what is there, whatever it was made of
    REQUIRE(feed(machine, frame('t', "\0\1\0\0\x40\0"s) + frame('n') + ready()) == step::probed);
    auto values = machine.bound_values();
    REQUIRE(values == std::vector<healing::bound_value>{{16384, "happy", ""}});
    values[0].is = "glad";
    std::string other;
    wire::append_bind(other, "", "", std::vector<base::byte_view>{"glad"});
    CHECK(machine.retry_with(plan_for(request.unnamed), values).bytes == other + execute() + sync_message());

    auto again = request; // its text may have been executed, and cannot be looked at
    again.request = bound + execute() + bound + execute() + sync_message();
    again.failed = 2;
    CHECK_FALSE(heal_machine{again, {}}.possible());
    auto other_error = request;
    other_error.error = missing_column();
    CHECK_FALSE(heal_machine{other_error, {}}.possible());
}

TEST_CASE("a block that the failed request began itself is left ahead of anything else, and begun again") {
    auto const ahead = parse("", "BEGIN") + bind("") + execute();
    auto const asked = parse("", "SELECT email FROM users") + bind("") + execute() + sync_message();
    auto request = failed(ahead + asked);
    request.failed = 3;
    request.first = 1;
    request.opened = true;
    auto const left = frame('3') + frame('1') + frame('2') + complete("ROLLBACK") + frame('3') + frame('3');
    {
        heal_machine machine{request, {}};
        REQUIRE(machine.possible());
        CHECK_FALSE(machine.needs_no_probe());
        CHECK(machine.begin().find("ROLLBACK") < machine.begin().find("search_path"));
        CHECK(machine.block() == "BEGIN");
        CHECK(machine.repeated() == std::vector<base::byte_view>{"BEGIN"});
        REQUIRE(feed(machine, left + probe_answer + probe_end) == step::probed);
        (void)machine.verify(plan_for("SELECT email_address AS email FROM users"));
        REQUIRE(feed(machine, verified) == step::verified);
        auto const again = machine.retry();
        CHECK(again.bytes == ahead + parse("", "SELECT email_address AS email FROM users") + bind("") + execute() + sync_message());
        CHECK(own_answers(again) == 1); // of the Parse ahead of what was executed
    }
    heal_machine machine{request, {}};
    (void)machine.begin();
    REQUIRE(feed(machine, left + probe_answer + probe_end) == step::probed);
    (void)machine.verify(plan_for("SELECT email_address AS email FROM users"));
    REQUIRE(feed(machine, frame('1') + missing_column() + ready()) == step::refused);
    CHECK(machine.must_abort_again()); // the server is in no block
    CHECK(machine.abort_again().find("BEGIN") != std::string::npos);
    request.opened = false;
    CHECK(heal_machine{request, {}}.needs_no_probe());
}

TEST_CASE("a plan is refused where PostgreSQL refuses it or would answer with another shape") {
    auto const request = failed(query("SELECT email FROM users"));
    for (auto const& answer : {
             frame('1') + frame('t', "\0\0"s) + description("email_address", 16384, 25) + frame('3') + ready(), // label
             frame('1') + frame('t', "\0\0"s) + description("email", 16385, 25) + frame('3') + ready(),         // table
             frame('1') + frame('t', "\0\0"s) + description("email", 16384, 1043) + frame('3') + ready(),       // type
             frame('1') + frame('t', "\0\0"s) + frame('T', "\0\0"s) + frame('3') + ready(),                     // count
             frame('1') + frame('t', "\0\0"s) + frame('n') + frame('3') + ready(),                              // no rows
             error({"C42501", "Mno rights"}) + ready(),
             frame('1') + ready(),
         }) {
        heal_machine machine{request, {}};
        (void)feed(machine, probe_answer + probe_end);
        (void)machine.verify(plan_for("SELECT email_address AS email FROM users"));
        CHECK(feed(machine, answer) == step::refused);
        CHECK_FALSE(machine.reason().empty());
    }
}

TEST_CASE("what the client shall hear meanwhile it hears, and nothing of the conversation") {
    auto const request = failed(query("SELECT email FROM users"));
    heal_machine machine{request, {}};
    std::string to_client;
    CHECK(feed(machine, frame('A', "news") + probe_answer + frame('N', "ours") + frame('S', "a\0b\0"s) + probe_end, to_client) == step::probed);
    CHECK(to_client == frame('A', "news") + frame('S', "a\0b\0"s));
}

TEST_CASE("a probe that fails, or that is not understood, ends the heal") {
    auto const request = failed(query("SELECT email FROM users"));
    heal_machine failed{request, {}};
    CHECK(feed(failed, error({"C42501"}) + ready()) == step::refused);
    heal_machine odd{request, {}};
    CHECK(feed(odd, frame('1') + data_row({"1"}) + ready()) == step::refused);
}

TEST_CASE("requests that are cut off or malformed are not healed") {
    for (auto const& bytes : {""s, "Q\0\0\0\x20SELECT"s, frame('Q', "no end"), frame('P', "s\0no end"), frame('F', "x")}) {
        auto const request = failed(bytes);
        CHECK_FALSE(heal_machine{request, {}}.possible());
    }
}

namespace {

catalog::snapshot const nothing_known{{}, {}};
auto const accepted = frame('3') + frame('1') + frame('t', "\0\0"s) + description("email", 16384, 25) + frame('3');

/// Without a description: the statement answers with no rows.
healing::plan write_for(std::string sql) {
    auto plan = plan_for(std::move(sql));
    plan.healed.front().columns.reset();
    plan.healed.front().writes = true;
    return plan;
}

} // namespace

TEST_CASE("the retry goes with the verification, in the same transaction") {
    auto const plan = plan_for("SELECT email_address AS email FROM users");
    auto const request = failed(query("SELECT email FROM users"));
    heal_machine machine{request, {}};
    (void)feed(machine, probe_answer + probe_end);
    REQUIRE(machine.may_retry_at_once(plan, nothing_known));
    session::retry_request again;
    auto const sent = machine.verify_and_retry(plan, again);
    CHECK(again.bytes == query(plan.sql));
    CHECK(sent.ends_with(again.bytes));
    CHECK(sent.find(sync_message()) == std::string::npos);
    CHECK(feed(machine, accepted) == step::verified);
}

TEST_CASE("before the client's Sync the server is asked to answer the verification") {
    auto const plan = plan_for("SELECT email_address AS email FROM users");
    auto const request = failed(parse("", "SELECT email FROM users") + bind("") + execute(), true);
    heal_machine machine{request, {}};
    (void)feed(machine, ready() + probe_answer + probe_end);
    REQUIRE(machine.may_retry_at_once(plan, nothing_known));
    session::retry_request again;
    CHECK(machine.verify_and_retry(plan, again).ends_with(flush() + again.bytes));
    CHECK(feed(machine, accepted) == step::verified);
}

TEST_CASE("a retry that went with a refused verification is ended") {
    auto const plan = plan_for("SELECT email_address AS email FROM users");
    session::retry_request again;
    SECTION("PostgreSQL refuses the text, and passes over the rest") {
        auto const request = failed(query("SELECT email FROM users"));
        heal_machine machine{request, {}};
        (void)feed(machine, probe_answer + probe_end);
        (void)machine.verify_and_retry(plan, again);
        CHECK(feed(machine, missing_column()) == step::refused);
        CHECK(machine.end_of_retry(again) == sync_message());
        CHECK(feed(machine, ready()) == step::refused);
        CHECK(machine.outdated());
    }
    SECTION("the answer would have another shape, and is thrown away") {
        auto const request = failed(query("SELECT email FROM users"));
        heal_machine machine{request, {}};
        (void)feed(machine, probe_answer + probe_end);
        (void)machine.verify_and_retry(plan, again);
        CHECK(feed(machine, frame('3') + frame('1') + frame('t', "\0\0"s) + description("email_address", 16384, 25) + frame('3')) == step::refused);
        CHECK(machine.end_of_retry(again) == sync_message());
        CHECK(feed(machine, description("email_address", 16384, 25) + data_row({"x"}) + complete("SELECT 1") + ready()) == step::need_more);
        CHECK(feed(machine, ready()) == step::refused);
        CHECK_FALSE(machine.outdated());
    }
    SECTION("what was prepared on the way is gone again") {
        auto const request = failed(parse("s", "SELECT email FROM users") + sync_message());
        heal_machine machine{request, {}};
        (void)feed(machine, probe_answer + probe_end);
        (void)machine.verify_and_retry(plan, again);
        CHECK(feed(machine, frame('3') + frame('1') + frame('t', "\0\0"s) + frame('n') + frame('3')) == step::refused);
        CHECK(machine.end_of_retry(again) == close_statement("s") + sync_message());
        CHECK(feed(machine, frame('1') + ready() + frame('3')) == step::need_more);
        CHECK(feed(machine, ready()) == step::refused);
    }
}

TEST_CASE("a retry waits for the verification where it could do something that the answer's shape does not allow") {
    auto const at_once = [](session::failed_request const& request, healing::plan const& plan) {
        heal_machine machine{request, {}};
        (void)feed(machine, probe_answer + data_row({"SELECT email FROM users", "{}"}) + probe_end);
        return machine.may_retry_at_once(plan, nothing_known);
    };
    auto const plan = plan_for("SELECT email_address AS email FROM users");
    auto const simple = failed(query("SELECT email FROM users"));
    CHECK(at_once(simple, plan));
    CHECK_FALSE(at_once(simple, plan_for("SELECT email_address AS email, nextval('s') FROM users")));
    CHECK_FALSE(at_once(simple, plan_for("UPDATE users SET email_address = '' RETURNING email_address AS email")));
    CHECK(at_once(simple, write_for("UPDATE users SET email_address = ''")));

    CHECK_FALSE(at_once(simple, write_for("CALL tidy(email_address)"))); // it may answer with rows all the same
    CHECK_FALSE(at_once(simple, write_for("WITH x AS (SELECT 1) UPDATE users SET email_address = ''")));

    auto several = plan;
    several.statements = 2;
    CHECK_FALSE(at_once(simple, several));
    auto loses = write_for("UPDATE users SET email_address = ''");
    loses.losses.emplace_back();
    CHECK_FALSE(at_once(simple, loses));
    auto guarded = simple;
    guarded.guarded = true;
    CHECK_FALSE(at_once(guarded, plan));

    auto const prepared = failed(bind("s1") + execute() + sync_message());
    CHECK_FALSE(at_once(prepared, plan)); // the client would be left with another statement
    CHECK(at_once(prepared, write_for("UPDATE users SET email_address = ''")));
    CHECK_FALSE(at_once(failed(parse("", "SELECT email FROM users") + bind("") + execute() + bind("") + execute() + sync_message()), plan));
    CHECK_FALSE(at_once(failed(parse("", "SELECT email FROM users") + parse("b", "DELETE FROM users") + bind("b") + execute() + sync_message()), plan));
}
