#include "session/frames.hpp"

#include "pgmend/session/heal_machine.hpp"
#include "pgmend/session/relay_machine.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using session::relay_machine;

namespace {

/// A session without sockets: carries what is not consumed, collects what is forwarded. Each side's bytes come in pieces
/// of at most `piece` bytes.
struct relay {
    explicit relay(bool heals = true, std::size_t piece_bytes = 1u << 20) : machine{{heals, 65536}}, piece{piece_bytes} {}

    void client(std::string_view bytes) {
        for (std::size_t at = 0; at < bytes.size(); at += piece) feed(bytes.substr(at, piece), client_carry, to_server, true);
    }
    void server(std::string_view bytes) {
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            if (machine.holding()) server_carry += bytes.substr(at, piece);
            else feed(bytes.substr(at, piece), server_carry, to_client, false);
        }
    }
    void resume() { feed({}, server_carry, to_client, false); }

    std::string take_client() { return std::exchange(to_client, {}); }
    std::string take_server() { return std::exchange(to_server, {}); }

    relay_machine machine;
    std::size_t piece;
    std::string client_carry, server_carry, to_server, to_client;

  private:
    void feed(std::string_view bytes, std::string& carry, std::string& out, bool from_client) {
        std::string const input = std::exchange(carry, {}) + std::string{bytes};
        std::string_view rest = input;
        for (bool again = true; again && !machine.holding();) {
            auto const step = from_client ? machine.on_client(rest) : machine.on_server(rest);
            rest.remove_prefix(step.consumed);
            out += step.forward;
            again = step.again;
        }
        carry = rest;
    }
};

healing::plan renamed(std::string sql) {
    healing::plan plan;
    plan.sql = std::move(sql);
    plan.edits = {{7, 12, "email_address AS email"}};
    return plan;
}

/// The held request is sent again, edited; `own`: messages of pgmend's own ahead of it.
void retry(relay& r, std::vector<session::request_kind> own = {}, std::string notice = {}) {
    auto const& held = r.machine.held();
    session::retry_request again;
    for (auto const kind : own) again.answers.push_back({kind, true, {}});
    for (auto i = held.first;; ++i) {
        auto const message = session::message_at(held.request, i);
        if (message.empty()) break;
        static std::map<char, session::request_kind> const kinds{
            {'Q', session::request_kind::query}, {'P', session::request_kind::parse},   {'B', session::request_kind::bind},
            {'D', session::request_kind::describe}, {'E', session::request_kind::execute}, {'C', session::request_kind::close},
            {'S', session::request_kind::sync}};
        again.answers.push_back({kinds.at(message[0]), false, {}});
    }
    again.first = held.first;
    again.decisive = held.failed;
    if (held.request.starts_with('P')) again.edited = held.failed;
    again.text = std::make_shared<session::healed_text>(healing::make_healed_text(renamed("SELECT email_address AS email"), "SELECT email"));
    r.to_client += r.machine.begin_retry(again, std::move(notice));
    r.resume();
}

auto const row = frame('T', "\0\0"s) + frame('D', "\0\0"s) + complete("SELECT 1");

} // namespace

TEST_CASE("whatever both sides send arrives unchanged, in pieces of every size") {
    std::string const requests = query("SELECT 1") + parse("s", "SELECT 2") + bind("s") + execute() + sync_message() + flush() +
                                 query("COPY t FROM STDIN") + frame('d', std::string(9000, 'x')) + frame('c') +
                                 frame('F', "function call") + query(std::string(70000, 'q')) + frame('X');
    std::string const answers = row + ready() + frame('1') + frame('2') + frame('D', std::string(20000, 'd')) + complete("SELECT 1") +
                                ready('T') + frame('N', "notice") + frame('A', "notify") + frame('S', "a\0b\0"s) +
                                error({"C42703", "P1"}) + frame('G', "\0\0\0"s) + ready('E') + frame('V') + ready();
    for (std::size_t piece = 1; piece < 40; ++piece) {
        relay r{true, piece};
        r.client(requests);
        CHECK(r.take_server() == requests);
        r.server(answers);
        CHECK(r.take_client() == answers);
    }
}

TEST_CASE("a frame of the server's is forwarded whole or not at all, so that an error fits behind it") {
    relay r;
    r.client(query("SELECT 1"));
    r.server(frame('D', std::string(100, 'x')).substr(0, 50));
    CHECK(r.take_client().empty());
    CHECK(r.machine.client_at_boundary());
    relay large;
    large.client(query("SELECT 1"));
    large.server(frame('D', std::string(100000, 'x')).substr(0, 50));
    CHECK(large.take_client().size() == 50);
    CHECK_FALSE(large.machine.client_at_boundary());
}

TEST_CASE("bytes that are not the protocol go to the server, which says so itself") {
    for (auto const& bytes : {"\x7f"s, "GET / HTTP/1.1\r\n"s, "Q\0\0\0\3"s, "Q\xff\xff\xff\xff"s}) {
        relay r;
        r.client(bytes);
        CHECK(r.take_server() == bytes);
    }
}

TEST_CASE("a server whose frames have impossible lengths is noticed") {
    relay r;
    r.server("Z\0\0\0\1I"s);
    CHECK(r.machine.server_broken());
    CHECK(r.take_client().empty());
}

TEST_CASE("a session is idle between requests, outside transactions, and not before a request's end") {
    relay r;
    CHECK(r.machine.idle());
    r.client(query("BEGIN"));
    CHECK_FALSE(r.machine.idle());
    r.server(complete("BEGIN") + ready('T'));
    CHECK_FALSE(r.machine.idle());
    r.client(query("COMMIT"));
    r.server(complete("COMMIT") + ready('I'));
    CHECK(r.machine.idle());
    r.client(parse("", "SELECT 1"));
    CHECK_FALSE(r.machine.idle());
    r.client(sync_message());
    CHECK_FALSE(r.machine.idle());
    r.server(frame('1') + ready());
    CHECK(r.machine.idle());
}

TEST_CASE("two requests on their way need two answers") {
    relay r;
    r.client(query("SELECT 1") + query("SELECT 2"));
    r.server(row + ready());
    CHECK_FALSE(r.machine.idle());
    r.server(row + ready());
    CHECK(r.machine.idle());
}

TEST_CASE("the Sync that libpq sends ahead of copy data is ignored by the server and has no answer") {
    relay r;
    r.client(parse("", "COPY t FROM STDIN") + bind("") + execute() + sync_message());
    r.server(frame('1') + frame('2') + frame('G', "\0\0\0"s));
    r.client(frame('d', "1\n") + frame('c') + sync_message());
    r.server(complete("COPY 1") + ready());
    CHECK(r.machine.idle());
}

TEST_CASE("an error of the statement's analysis is held until its ReadyForQuery, in pieces of every size") {
    auto const request = query("SELECT email");
    for (std::size_t piece = 1; piece < 20; ++piece) {
        relay r{true, piece};
        r.client(request);
        r.server(missing_column());
        CHECK_FALSE(r.machine.holding());
        r.server(ready());
        REQUIRE(r.machine.holding());
        CHECK(r.take_client().empty());
        CHECK(r.machine.held().request == request);
        CHECK(r.machine.held().error == missing_column());
        CHECK_FALSE(r.machine.held().open);
        CHECK(r.machine.release_error(false) == missing_column() + ready());
        CHECK(r.machine.idle());
    }
}

TEST_CASE("what the server sends between a held error and its ReadyForQuery stays in its place") {
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + frame('N', "notice") + ready());
    CHECK(r.machine.release_error(false) == missing_column() + frame('N', "notice") + ready());
}

TEST_CASE("an error before the client's Sync is held at once, and what follows the client is told is discarded up to its Sync") {
    relay r;
    auto const begun = parse("s", "SELECT email") + flush();
    r.client(begun);
    r.server(missing_column());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().open);
    CHECK(r.machine.held().request == begun);
    CHECK(r.machine.release_error(true) == missing_column());
    (void)r.take_server();
    for (std::size_t piece = 1; piece < 12; ++piece) {
        relay copy = r;
        copy.piece = piece;
        copy.client(bind("other") + frame('B', std::string(100000, 'b')) + execute() + sync_message() + query("SELECT 1"));
        CHECK(copy.take_server() == sync_message() + query("SELECT 1"));
    }
}

TEST_CASE("an error is not held where something may have happened, or nothing can be done again in order") {
    auto const held = [](std::string const& requests, std::string const& answers, bool heals = true) {
        relay r{heals};
        r.client(requests);
        r.server(answers);
        if (!r.machine.holding()) CHECK(r.take_client() == answers);
        return r.machine.holding();
    };
    auto const q = query("SELECT email");
    CHECK(held(q, missing_column() + ready()));
    CHECK(held(q, error({"C42P01", "P8"}) + ready()));
    CHECK(held(close_statement("old") + parse("s", "SELECT email") + sync_message(), frame('3') + missing_column() + ready()));
    CHECK(held(parse("a", "SELECT 1") + frame('D', "Sa\0"s) + flush() + parse("b", "SELECT email") + sync_message(),
               frame('1') + frame('t', "\0\0"s) + frame('n') + missing_column() + ready()));

    CHECK_FALSE(held(q, missing_column() + ready(), false));                             // healing is off
    CHECK_FALSE(held(q, error({"C22012"}) + ready()));                                   // another failure
    CHECK_FALSE(held(q, error({"C42703"}, "FATAL") + ready()));
    CHECK_FALSE(held(q, error({"C42703", "p3", "qSELECT email"}) + ready()));            // inside a function
    CHECK_FALSE(held(q, error({"C42703", "WPL/pgSQL function f()"}) + ready()));
    CHECK_FALSE(held(q + q, missing_column() + ready()));                                // another request follows
    CHECK_FALSE(held(q + parse("", "SELECT 1").substr(0, 3), "Z\0\0\0\5I"s + missing_column() + ready()));
    CHECK_FALSE(held(query(std::string(100000, 'x')), missing_column() + ready()));      // too long to be kept
    CHECK_FALSE(held({}, missing_column()));                                             // nobody asked
}

TEST_CASE("what was answered ahead of the error and right with it is held too, and given out with it") {
    auto const pipeline = parse("a", "SELECT 1") + bind("a") + execute() + parse("b", "SELECT email") + sync_message();
    auto const answers = frame('1') + frame('2') + complete("SELECT 1") + missing_column() + ready();
    relay r;
    r.client(pipeline);
    r.server(answers);
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().request == pipeline);
    CHECK(r.machine.held().first == 1); // Parse stays done, Bind is undone by the rollback
    CHECK(r.machine.held().failed == 3);
    CHECK(r.take_client() == frame('1'));
    CHECK(r.machine.release_error(false) == answers.substr(5));
    CHECK(r.machine.idle());

    relay text;
    text.client(query("INSERT; SELECT email"));
    text.server(complete("INSERT 0 1") + missing_column() + ready());
    REQUIRE(text.machine.holding());
    CHECK(text.machine.held().text_begun);
    CHECK(text.take_client().empty());

    relay half;
    half.client(frame('D', "Sa\0"s) + sync_message());
    half.server(frame('t', "\0\0"s) + missing_column() + ready());
    REQUIRE(half.machine.holding());
    CHECK(half.take_client().empty());
    CHECK(half.machine.release_error(false) == frame('t', "\0\0"s) + missing_column() + ready());
}

TEST_CASE("an error is not held once the client has seen an answer that a repetition could contradict") {
    relay r;
    r.client(parse("a", "SELECT 1") + bind("a") + execute() + flush());
    r.server(frame('1') + frame('2') + complete("SELECT 1"));
    r.client(parse("b", "SELECT email") + sync_message());
    r.server(missing_column() + ready());
    CHECK_FALSE(r.machine.holding());
    relay half;
    half.client(frame('D', "Sa\0"s) + sync_message());
    half.server(frame('t', "\0\0"s));
    half.server(missing_column() + ready());
    CHECK_FALSE(half.machine.holding());
}

TEST_CASE("a request that failed is held although others were answered before it") {
    relay r;
    r.client(query("SELECT 1") + query("SELECT email"));
    r.server(row + ready() + missing_column() + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.take_client() == row + ready());
    CHECK(r.machine.held().request == query("SELECT email"));
}

TEST_CASE("an error inside a transaction block is not held") {
    relay r;
    r.client(query("BEGIN"));
    r.server(complete("BEGIN") + ready('T'));
    (void)r.take_client();
    r.client(query("SELECT email"));
    r.server(missing_column() + ready('E'));
    CHECK_FALSE(r.machine.holding());
    CHECK(r.take_client() == missing_column() + ready('E'));
}

TEST_CASE("the answer of a retry reaches the client as if it were the first") {
    for (std::size_t piece = 1; piece < 20; ++piece) {
        relay r{true, piece};
        r.client(query("SELECT email"));
        r.server(missing_column() + ready());
        retry(r);
        r.server(row + ready());
        CHECK(r.take_client() == row + ready());
        CHECK(r.machine.take_healed());
        CHECK_FALSE(r.machine.take_healed());
        CHECK_FALSE(r.machine.take_retry_failed());
        CHECK(r.machine.idle());
    }
}

TEST_CASE("a retry that fails answers with the first error") {
    for (std::size_t piece = 1; piece < 20; ++piece) {
        relay r{true, piece};
        r.client(query("SELECT email"));
        r.server(missing_column() + ready());
        retry(r, {}, frame('N', "healed"));
        r.server(frame('N', "x") + error({"C42501", "Mno rights"}) + frame('A', "note") + ready());
        CHECK(r.take_client() == frame('A', "note") + missing_column() + ready());
        CHECK(r.machine.take_retry_failed());
        CHECK(r.machine.retry_was_denied());
        CHECK_FALSE(r.machine.take_healed());
        CHECK(r.machine.idle());
    }
}

TEST_CASE("a second statement prepared before the client's Sync is held from its own Parse on") {
    relay r;
    r.client(parse("a", "SELECT email") + flush());
    r.server(missing_column());
    retry(r);
    r.server(frame('1'));
    CHECK(r.take_client() == frame('1'));
    r.client(parse("b", "SELECT name") + flush());
    r.server(missing_column());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().open);
    CHECK(r.machine.held().request == parse("a", "SELECT email") + flush() + parse("b", "SELECT name") + flush());
    CHECK(r.machine.held().failed == 1);
    CHECK(r.machine.held().first == 1);
}

TEST_CASE("a retry that meets another rename is held again, a few times, with the first error kept") {
    auto const other = error({"C42P01", "Mno such table", "P3"});
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + ready());
    for (int i = 0; i < 3; ++i) {
        retry(r);
        r.server(other + ready());
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().error == missing_column());
        CHECK(r.machine.held().request == query("SELECT email"));
    }
    retry(r);
    r.server(other + ready());
    CHECK_FALSE(r.machine.holding());
    CHECK(r.take_client() == missing_column() + ready());
    CHECK(r.machine.idle());
}

TEST_CASE("an error that is the healed statement's own answer reaches the client") {
    relay r;
    r.client(query("INSERT"));
    r.server(missing_column() + ready());
    retry(r);
    r.server(error({"C23505", "Mduplicate key"}) + ready());
    CHECK(r.take_client() == error({"C23505", "Mduplicate key"}) + ready());
    CHECK(r.machine.take_healed());
    CHECK(r.machine.idle());
}

TEST_CASE("a retry that fails before the client's Sync leaves the server as it was: waiting for the Sync") {
    relay r;
    r.client(parse("s", "SELECT email") + flush());
    r.server(missing_column());
    retry(r);
    r.server(error({"C42501"}));
    CHECK(r.take_client() == missing_column());
    (void)r.take_server();
    r.client(bind("s") + sync_message());
    CHECK(r.take_server() == bind("s") + sync_message());
    r.server(ready());
    CHECK(r.machine.idle());
}

TEST_CASE("answers to messages of pgmend's own are swallowed") {
    relay r;
    r.client(bind("s") + execute() + sync_message());
    r.server(missing_column() + ready());
    retry(r, {session::request_kind::close, session::request_kind::parse});
    r.server(frame('3') + frame('1') + frame('2') + complete("SELECT 0") + ready());
    CHECK(r.take_client() == frame('2') + complete("SELECT 0") + ready());
}

TEST_CASE("notices of a successful retry reach the client, pgmend's own first") {
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + ready());
    retry(r, {}, frame('N', "healed"));
    r.server(frame('N', "server's") + row + ready());
    CHECK(r.take_client() == frame('N', "healed") + frame('N', "server's") + row + ready());
}

TEST_CASE("an error later in a healed request has the position of the text that the client sent") {
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + ready());
    retry(r);
    r.server(row + error({"C42601", "P30"}) + ready());
    CHECK(r.take_client() == row + error({"C42601", "P13"}) + ready());
    r.client(query("SELECT x"));
    r.server(error({"C42601", "P30"}) + ready());
    CHECK(r.take_client() == error({"C42601", "P30"}) + ready());
}

TEST_CASE("of a text with several statements the retry's answers are kept back until its end") {
    auto const several = [](relay& r) {
        r.client(query("INSERT; SELECT email"));
        r.server(complete("INSERT 0 1") + missing_column() + ready());
        session::retry_request again;
        again.answers.push_back({session::request_kind::query, false, {}});
        again.whole_text = true;
        again.text = std::make_shared<session::healed_text>(healing::make_healed_text(renamed("INSERT; SELECT email_address AS email"), "x"));
        r.to_client += r.machine.begin_retry(again, {});
        r.resume();
    };
    for (std::size_t piece = 1; piece < 20; ++piece) {
        relay whole{true, 1u << 20};
        several(whole);
        whole.piece = piece;
        whole.server(complete("INSERT 0 1") + row);
        CHECK(whole.take_client().empty());
        whole.server(ready());
        CHECK(whole.take_client() == complete("INSERT 0 1") + row + ready());
        CHECK(whole.machine.take_healed());
        CHECK(whole.machine.idle());
    }
    relay failing;
    several(failing);
    failing.server(complete("INSERT 0 1") + error({"C42501"}) + ready());
    CHECK(failing.take_client() == complete("INSERT 0 1") + missing_column() + ready());
    CHECK(failing.machine.take_retry_failed());
}

TEST_CASE("a request sent again as it was answers with whatever comes, and is not held once more") {
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + ready());
    session::retry_request again;
    again.answers.push_back({session::request_kind::query, false, {}});
    again.as_it_was = true;
    CHECK(r.machine.begin_retry(again, {}).empty());
    r.server(missing_column() + ready());
    CHECK(r.take_client() == missing_column() + ready());
    CHECK_FALSE(r.machine.take_healed());
    CHECK(r.machine.idle());
}

TEST_CASE("a request that fails after a heal is held on its own account") {
    relay r;
    r.client(query("SELECT email"));
    r.server(missing_column() + ready());
    retry(r);
    r.server(row + ready());
    r.client(query("SELECT name"));
    r.server(missing_column() + ready());
    CHECK(r.machine.holding());
    CHECK(r.machine.held().request == query("SELECT name"));
}

TEST_CASE("parameters of the session are followed") {
    relay r;
    r.server(frame('S', "client_encoding\0LATIN1\0"s) + frame('S', "standard_conforming_strings\0off\0"s) +
             frame('S', "application_name\0shop\0"s));
    CHECK(r.machine.client_encoding() == "LATIN1");
    CHECK_FALSE(r.machine.standard_conforming_strings());
    CHECK(r.machine.application_name() == "shop");
}

TEST_CASE("a FATAL error is the server's good-bye, a Terminate the client's") {
    relay r;
    r.server(error({"C57P01"}, "FATAL"));
    CHECK(r.machine.server_said_goodbye());
    r.client(frame('X'));
    CHECK(r.machine.terminated());
}

// ------------------------------------------------------------------------------------ tier 1

namespace {

/// Says what the test wants it to say.
struct scripted : session::preflight {
    bool active(bool) override {
        ++refreshed;
        return is_active || (active_from != 0 && refreshed >= active_from);
    }
    void prepared_unseen(base::byte_view sql, base::byte_view statement) override { unseen.push_back(std::string{statement} + ": " + std::string{sql}); }
    void closed(base::byte_view statement) override { unseen.push_back("closed: " + std::string{statement}); }
    session::advice look(base::byte_view sql, base::byte_view const*, std::span<std::uint32_t const>, bool, session::company around) override {
        auto const found = answers.find(std::string{sql});
        auto given = found == answers.end() ? session::advice{} : found->second;
        if (around == session::company::undecided) given.what = session::advice::kind_type::ask;
        if (around != session::company::alone) given.premise = session::advice::premise_type::none;
        return given;
    }
    coming look_ahead(session::message_ahead const&, std::span<session::message_ahead const> later) override {
        for (auto const& it : later) seen_ahead.push_back(std::string{it.statement} + (it.parse ? ": " + std::string{it.sql} : " is bound"));
        return comes;
    }
    session::advice::premise_type ask_of_premise() override { return session::advice::premise_type::asked; }
    session::advice look_at_bind(base::byte_view statement, bool, session::company around) override {
        session::advice any;
        if (around == session::company::alone && statement == "premised") any.premise = session::advice::premise_type::asked;
        any.controls_transaction = any.ends_transaction = !statement.empty();
        any.note = bound;
        if (statement == "outdated") any.prepare = std::make_shared<session::prepare_again const>(session::prepare_again{"SELECT email", {23}});
        return any;
    }
    void passed_unseen() override {}
    void worked(std::uint64_t token) override { tokens.push_back(token); }
    void settled(char) override {}

    bool has_old_labels() const override { return !old_label.empty(); }
    bool may_have_old_label(base::byte_view bind) const override { return bind.find(old_label) != base::byte_view::npos; }

    std::map<std::string, session::advice> answers;
    std::string old_label; ///< empty: none
    std::shared_ptr<session::answer_note const> bound;
    std::vector<std::uint64_t> tokens;
    std::vector<std::string> unseen;
    coming comes;
    std::vector<std::string> seen_ahead;
    bool is_active{true};
    int active_from{0}; ///< this call on; 0: see is_active
    int refreshed{0};
};

struct checked_relay : relay {
    checked_relay() { machine.configure({true, 65536}, &check); }
    void in_transaction() {
        client(query("BEGIN"));
        server(complete("BEGIN") + ready('T'));
        (void)take_client();
        (void)take_server();
    }
    scripted check;
};

session::advice edit_to(std::string sql, std::string notice = {}) {
    auto note = std::make_shared<session::answer_note>();
    note->healed = std::make_shared<healing::healed_text const>(healing::make_healed_text(renamed(std::move(sql)), "SELECT email"));
    note->notice = std::move(notice);
    session::advice given;
    given.what = session::advice::kind_type::edit;
    given.note = std::move(note);
    return given;
}

session::advice guarded(std::uint64_t token) {
    session::advice given;
    given.guard = true;
    given.token = token;
    return given;
}

std::string wire_describe() {
    std::string out;
    wire::append_describe_statement(out, "");
    return out;
}

/// What the server answers to a statement of pgmend's own.
auto const own_done = frame('3') + frame('1') + frame('2') + complete("SAVEPOINT") + frame('3') + frame('3');

std::size_t count_of(std::string const& text, std::string_view part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
    return count;
}

} // namespace

namespace {

/// An edited text whose premise is asked about, in front of a relay.
struct premised_relay : checked_relay {
    premised_relay() {
        auto note = std::make_shared<session::answer_note>();
        auto plan = renamed("SELECT email_address AS email");
        plan.premise = {"{1}", "{email}"};
        note->healed = std::make_shared<healing::healed_text const>(healing::make_healed_text(std::move(plan), "SELECT email"));
        check.bound = note;
        auto& given = check.answers["SELECT email"];
        given.what = session::advice::kind_type::edit;
        given.premise = session::advice::premise_type::asked;
        given.note = std::move(note);
    }
    /// Bind, Execute and Close of the question.
    std::string question() const {
        std::string out;
        auto const& parameters = check.bound->healed->plan.premise;
        constexpr auto name = "_pgmend_premise_2f6b9c";
        wire::append_bind(out, name, name, std::vector<base::byte_view>(parameters.begin(), parameters.end()));
        wire::append_execute(out, name);
        wire::append_close_portal(out, name);
        return out;
    }
};

auto const holds = frame('2') + frame('D', "\0\1\0\0\0\1" "1"s) + complete("SELECT 1") + frame('3');
auto const broken = frame('2') + error({"C22012"}) + ready();

} // namespace

TEST_CASE("a premise is asked about behind the Bind, in the same packet, and the client sees nothing of it") {
    for (std::size_t const piece : {1u, 3u, 1000u}) {
        premised_relay r;
        r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message());
        CHECK(r.take_server() == parse("s", "SELECT email_address AS email") + bind("s") + r.question() + execute() + sync_message());
        r.piece = piece;
        r.server(frame('1') + frame('2') + holds + row + ready());
        CHECK(r.take_client() == frame('1') + frame('2') + row + ready());
        CHECK(r.machine.idle());
        CHECK(r.machine.take_executed().size() == 1);
        r.piece = 1000;
        r.client(bind("premised") + execute() + sync_message());
        CHECK(r.take_server() == bind("premised") + r.question() + execute() + sync_message());
        r.server(frame('2') + holds + row + ready());
        CHECK(r.take_client() == frame('2') + row + ready());
        CHECK(r.machine.take_executed().size() == 1);
    }
}

TEST_CASE("what is about no message passes a premise that is asked about, however much it is") {
    auto const notice = frame('N', "SLOG\0"s + std::string(50000, 'x') + "\0\0"s);
    for (bool const is_broken : {false, true}) {
        premised_relay r;
        r.client(query("SELECT email"));
        r.piece = 30000;
        r.server(notice + frame('1') + notice + notice + frame('2') + notice + frame('2'));
        CHECK(r.take_client() == notice + notice + notice + notice);
        if (is_broken) {
            r.server(notice + error({"C22012"}) + ready());
            CHECK(r.machine.held().premise_broken == "22012");
            CHECK(r.take_client() == notice);
        } else {
            r.server(frame('D', "\0\0"s) + notice + complete("SELECT 1") + frame('3') + row + frame('3') + ready());
            CHECK(r.take_client() == notice + row + ready());
            CHECK(r.machine.idle());
        }
    }
    // An error that is too long to be held is the client's own.
    auto const long_error = frame('E', "SERROR\0VERROR\0C22P02\0M"s + std::string(70000, 'x') + "\0\0"s);
    premised_relay r;
    r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message());
    r.server(frame('1') + long_error + ready());
    CHECK(r.take_client() == frame('1') + long_error + ready());
}

TEST_CASE("the statement that asks about premises is prepared where it is asked first") {
    premised_relay r;
    r.check.answers["SELECT email"].premise = session::advice::premise_type::prepared_and_asked;
    for (bool const there : {true, false}) {
        r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message());
        CHECK(count_of(r.take_server(), "_pgmend_premise_2f6b9c") == 6);
        if (there) {
            r.server(frame('1') + frame('2') + frame('3') + frame('1') + holds + row + ready());
            CHECK(r.take_client() == frame('1') + frame('2') + row + ready());
        } else {
            r.server(frame('1') + frame('2') + frame('3') + error({"C42883"}) + ready());
            CHECK(r.machine.holding());
            CHECK(r.machine.held().premise_broken == "42883");
        }
    }
}

TEST_CASE("what the client sends behind a premise waits for its answer; what is not alone gets none") {
    premised_relay r;
    r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message() + query("SELECT 1"));
    CHECK(r.take_server() == parse("s", "SELECT email_address AS email") + bind("s") + r.question() + execute() + sync_message());
    CHECK(r.machine.client_must_wait());
    r.server(frame('1') + frame('2') + frame('2'));
    CHECK(r.machine.client_must_wait());
    CHECK(r.take_client().empty());
    r.server(frame('D', "\0\0"s) + complete("SELECT 1") + frame('3'));
    CHECK_FALSE(r.machine.client_must_wait());
    CHECK(r.take_client() == frame('1') + frame('2'));
    r.client({});
    r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message());
    CHECK(r.client_carry.empty());
    CHECK(r.take_server() == query("SELECT 1") + parse("s", "SELECT email_address AS email") + bind("s") + execute() + sync_message());
}

TEST_CASE("the premises of all that a request has to say are asked about behind its first Bind") {
    premised_relay r;
    auto const text = r.check.bound->healed;
    auto const none = execute() + parse("t", "SELECT 2") + bind("t") + execute() + bind("old") + execute() + bind("old") + execute() + sync_message();
    SECTION("of a text that was edited, and of later ones") {
        auto other = std::make_shared<healing::healed_text>(*text);
        r.check.comes.premises = {other, text};
        r.client(parse("s", "SELECT email") + bind("s") + none);
        CHECK(r.check.seen_ahead == std::vector<std::string>{"t: SELECT 2", "old is bound"});
        CHECK(r.take_server() == parse("s", "SELECT email_address AS email") + bind("s") + r.question() + r.question() + none);
        r.server(frame('1') + frame('2') + holds);
        CHECK(r.take_client().empty());
        r.server(holds);
        CHECK(r.take_client() == frame('1') + frame('2'));
    }
    SECTION("of later ones only") {
        r.check.comes.premises = {text};
        r.client(parse("s", "SELECT 1") + bind("s") + none);
        CHECK(r.take_server() == parse("s", "SELECT 1") + bind("s") + r.question() + none);
        r.server(frame('1') + frame('2') + holds + row + frame('1') + frame('2') + row + frame('2') + row + frame('2') + row + ready());
        CHECK(r.take_client() == frame('1') + frame('2') + row + frame('1') + frame('2') + row + frame('2') + row + frame('2') + row + ready());
        CHECK(r.machine.idle());
    }
    SECTION("the second one does not hold") {
        r.check.comes.premises = {text, std::make_shared<healing::healed_text>(*text)};
        auto const request = bind("s") + none;
        r.client(request);
        CHECK(r.take_server() == bind("s") + r.question() + r.question() + none);
        r.server(frame('2') + holds + broken);
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().premise_broken == "22012");
        CHECK(r.machine.held().request == request);
        CHECK(r.take_client().empty());
    }
    SECTION("what has to be asked about ahead of the request is") {
        r.check.comes.asks = true;
        r.client(parse("s", "SELECT 1") + bind("s") + none);
        CHECK(r.machine.asking());
        CHECK(r.machine.asked().sql == "SELECT 1");
        CHECK(r.take_server().empty());
    }
    SECTION("a request that cannot be seen whole says nothing") {
        r.client(bind("s") + none.substr(0, none.size() - 1));
        CHECK(r.check.seen_ahead.empty());
    }
}

TEST_CASE("a request whose premise does not hold is held as the client sent it, with nothing passed on") {
    for (std::size_t const piece : {1u, 1000u}) {
        premised_relay r;
        auto const request = parse("s", "SELECT email") + bind("s") + execute() + sync_message();
        r.client(request);
        r.piece = piece;
        r.server(frame('S', "TimeZone\0UTC\0"s) + frame('1') + frame('2') + broken);
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().premise_broken == "22012");
        CHECK(r.machine.held().request == request);
        CHECK(r.machine.held().failed == 0);
        CHECK(r.take_client() == frame('S', "TimeZone\0UTC\0"s));

        session::heal_machine machine{r.machine.held(), {}};
        auto const again = machine.as_it_was();
        std::string close;
        wire::append_close_statement(close, "s"); // it has been prepared
        CHECK(again.bytes == close + request);
        r.to_client += r.machine.begin_retry(again, {});
        r.server(frame('3') + frame('1') + frame('2') + row + ready());
        CHECK(r.take_client() == frame('1') + frame('2') + row + ready());
        CHECK(r.machine.idle());
        CHECK(r.machine.take_executed().empty());
    }
}

TEST_CASE("a Bind whose premise does not hold is sent again behind a Parse of what the client has prepared") {
    premised_relay r;
    auto const request = bind("premised") + execute() + sync_message();
    r.client(request);
    r.server(broken);
    REQUIRE(r.machine.holding());
    session::heal_machine machine{r.machine.held(), {}};
    auto const from = std::make_shared<session::prepare_again const>(session::prepare_again{"SELECT email", {}});
    CHECK(machine.as_it_was({{"premised", from}, {"other", from}}).bytes == prepare_anew("premised", "SELECT email") + prepare_anew("other", "SELECT email") + request);
    auto again = machine.as_it_was({{"premised", from}});
    again.heals_again = true;
    CHECK(again.bytes == prepare_anew("premised", "SELECT email") + request);
    r.to_client += r.machine.begin_retry(again, {});
    // It fails as it did when it was healed, and may be healed again.
    r.server(frame('3') + frame('1') + frame('3') + frame('3') + frame('1') + error({"C42703", "P8", "RerrorMissingColumn"}) + ready());
    CHECK(r.machine.holding());
    CHECK(r.machine.held().premise_broken.empty());
}

TEST_CASE("a Query whose premise is asked about is sent as extended messages and answered as a Query") {
    auto const expected = [](premised_relay const& r) {
        std::string out = parse("", "SELECT email_address AS email") + bind("") + r.question();
        wire::append_describe_portal(out, "");
        return out + execute() + close_statement("") + sync_message();
    };
    for (std::size_t const piece : {1u, 1000u}) {
        premised_relay r;
        r.client(query("SELECT email"));
        CHECK(r.take_server() == expected(r));
        r.piece = piece;
        r.server(frame('1') + frame('2') + holds + row + frame('3') + ready());
        CHECK(r.take_client() == row + ready());
        CHECK(r.machine.idle());
        CHECK(r.machine.take_executed().size() == 1);
        CHECK(r.machine.take_answered().size() == 1);

        // What a commit says comes behind CommandComplete there, and in its place in the answer to a Query.
        r.piece = 1000;
        r.client(query("SELECT email"));
        r.piece = piece;
        r.server(frame('1') + frame('2') + holds + frame('n') + complete("INSERT 0 1") + frame('3') + error({"C23503"}) + ready());
        CHECK(r.take_client() == error({"C23503"}) + ready());
        CHECK(r.machine.idle());
    }
    premised_relay r;
    r.client(query("SELECT email"));
    SECTION("the premise does not hold") {
        r.server(frame('1') + frame('2') + broken);
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().request == query("SELECT email"));
        CHECK(session::heal_machine(r.machine.held(), {}).as_it_was().bytes == query("SELECT email"));
    }
    SECTION("the edited text is refused") {
        r.server(error({"C42703", "P8", "RerrorMissingColumn"}) + ready());
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().premise_broken.empty());
        CHECK(r.machine.held().edits.size() == 1);
    }
    SECTION("the edited text is refused for another reason") {
        r.server(frame('1') + error({"C57014"}) + ready());
        CHECK(r.take_client() == error({"C57014"}) + ready());
        CHECK(r.machine.idle());
    }
    SECTION("the session ends") {
        r.server(frame('1') + error({"C57P01"}, "FATAL"));
        CHECK(r.take_client() == error({"C57P01"}, "FATAL"));
    }
}

TEST_CASE("what is known is taken over ahead of each statement, with a savepoint in front of it too") {
    checked_relay r;
    r.in_transaction();
    r.check.answers["SELECT 1"] = guarded(7);
    r.client(query("SELECT 1"));
    r.server(complete("SAVEPOINT") + ready('T') + complete("SELECT 1") + ready('T'));
    auto const before = r.check.refreshed;
    r.client(bind("s"));
    CHECK(r.check.refreshed == before + 1);
}

TEST_CASE("a named statement is told of while nothing is looked at, the unnamed one is not") {
    checked_relay r;
    r.check.is_active = false;
    r.client(parse("s1", "SELECT 1") + parse("", "SELECT 2") + close_statement("s0") + sync_message());
    CHECK(r.check.unseen == std::vector<std::string>{"s1: SELECT 1", "closed: s0"});
}

TEST_CASE("a text that is known to need it is sent edited, in one piece with what follows it") {
    checked_relay r;
    r.check.answers["SELECT email"] = edit_to("SELECT email_address AS email");
    r.client(query("SELECT 1") + query("SELECT email") + query("SELECT 2"));
    CHECK(r.take_server() == query("SELECT 1") + query("SELECT email_address AS email") + query("SELECT 2"));
    r.server(row + ready() + row + ready() + row + ready());
    CHECK(r.take_client() == row + ready() + row + ready() + row + ready());
    CHECK(r.machine.take_answered().size() == 1);

    r.client(parse("s", "SELECT email") + bind("s") + execute() + sync_message());
    CHECK(r.take_server() == parse("s", "SELECT email_address AS email") + bind("s") + execute() + sync_message());
    r.server(frame('1') + frame('2') + error({"C22012", "P30"}) + ready());
    CHECK(r.take_client() == frame('1') + frame('2') + error({"C22012", "P30"}) + ready());
}

TEST_CASE("an edited statement counts once for each time that it is executed, however it was sent") {
    checked_relay r;
    r.check.answers["SELECT email"] = edit_to("SELECT email_address AS email");
    r.check.bound = r.check.answers["SELECT email"].note;
    auto const executed = [&] { return r.machine.take_executed().size(); };
    auto const answered = [&] { return r.machine.take_answered().size(); };

    r.client(query("SELECT email"));
    r.server(row + row + complete("SELECT 2") + ready());
    CHECK(executed() == 1);
    CHECK(answered() == 1);

    r.client(parse("s", "SELECT email") + sync_message());
    r.server(frame('1') + ready());
    CHECK(executed() == 0); // prepared only
    CHECK(answered() == 1);
    for (int i = 0; i < 3; ++i) {
        r.client(bind("s") + execute() + sync_message());
        r.server(frame('2') + row + complete("SELECT 1") + ready());
        CHECK(executed() == 1);
    }
    CHECK(answered() == 0);

    r.client(parse("", "SELECT email") + bind("") + execute() + sync_message());
    r.server(frame('1') + frame('2') + row + complete("SELECT 1") + ready());
    CHECK(executed() == 1);
    CHECK(answered() == 1);

    // A pipeline, with portals that are executed later than others were bound.
    r.client(bind("s") + bind("s") + execute() + execute() + bind("s") + execute() + sync_message());
    r.server(frame('2') + frame('2') + complete("SELECT 0") + complete("SELECT 0") + frame('2') + complete("SELECT 0") + ready());
    CHECK(executed() == 3);

    // A portal that is fetched from in parts is executed once; one that fails is not.
    r.client(bind("s") + execute() + execute() + sync_message());
    r.server(frame('2') + row + frame('s') + row + complete("SELECT 1") + ready());
    CHECK(executed() == 1);
    r.client(bind("s") + execute() + sync_message());
    r.server(frame('2') + error({"C22012"}) + ready());
    CHECK(executed() == 0);
    r.check.bound = nullptr;
    r.client(bind("other") + execute() + sync_message());
    r.server(frame('2') + complete("SELECT 0") + ready());
    CHECK(executed() == 0);
}

TEST_CASE("an error that was to be expected and could not be held is told of, any other is not") {
    checked_relay r;
    session::advice refused;
    auto note = std::make_shared<session::answer_note>();
    note->refusal = std::make_shared<healing::refusal const>(healing::refusal{"no rule", healing::refusal_kind::dropped, {}});
    refused.note = note;
    r.check.answers["SELECT flag"] = refused;
    r.in_transaction(); // without a savepoint nothing is held
    r.client(query("SELECT flag"));
    CHECK(r.take_server() == query("SELECT flag"));
    r.server(error({"C42703", "P8"}) + ready('E'));
    auto const told = r.machine.take_refused();
    REQUIRE(told.size() == 1);
    CHECK(told[0].sqlstate == "42703");
    CHECK(told[0].note == note);
    CHECK(r.take_client() == error({"C42703", "P8"}) + ready('E'));

    r.client(query("SELECT flag"));
    r.server(error({"C25P02"}) + ready('E'));
    CHECK(r.machine.take_refused().empty());
}

TEST_CASE("what drifts while a request is under way is known from its next packet, or its next text, on") {
    checked_relay r;
    r.check.is_active = false;
    auto const before = parse("", "SELECT 1") + bind("");
    auto const behind = bind("outdated") + execute() + sync_message();
    SECTION("the next packet") {
        r.client(before);
        CHECK(r.take_server() == before);
        r.check.is_active = true;
        r.client(behind);
        CHECK(r.take_server() == prepare_anew("outdated", "SELECT email", {23}) + behind);
    }
    SECTION("the next text of the same packet") {
        r.check.active_from = 3; // behind a Parse, and a Bind that only counts
        r.client(before + parse("", "SELECT 2") + behind);
        CHECK(r.take_server() == before + parse("", "SELECT 2") + prepare_anew("outdated", "SELECT email", {23}) + behind);
    }
}

TEST_CASE("a statement that has to be prepared anew is, ahead of its Bind, and only a refusal shows") {
    auto const sent = bind("outdated") + execute() + sync_message();
    SECTION("it is prepared") {
        checked_relay r;
        r.client(sent);
        CHECK(r.take_server() == prepare_anew("outdated", "SELECT email", {23}) + sent);
        r.server(frame('3') + frame('1') + frame('3') + frame('3') + frame('1') + frame('2') + complete("SELECT 1") + ready());
        CHECK(r.take_client() == frame('2') + complete("SELECT 1") + ready());
        CHECK(r.machine.idle());
    }
    SECTION("it is refused as drift is: its Bind may be healed, and what was prepared before is there still") {
        checked_relay r;
        r.client(sent);
        (void)r.take_server();
        r.server(frame('3') + error({"C42703", "P8"}) + ready());
        REQUIRE(r.machine.holding());
        CHECK(r.machine.held().failed == 0);
        session::heal_machine machine{r.machine.held(), {}};
        CHECK(machine.possible());
        CHECK(machine.sql() == "SELECT email");
        CHECK(machine.parameter_types() == std::vector<std::uint32_t>{23});
        CHECK(r.machine.release_error(false) == error({"C42703", "P8"}) + ready());
    }
    SECTION("it is refused otherwise") {
        checked_relay r;
        r.client(sent);
        (void)r.take_server();
        r.server(error({"C57014"}) + ready());
        CHECK(r.take_client() == error({"C57014"}) + ready());
        CHECK(r.machine.idle());
    }
}

TEST_CASE("the notice of a heal goes ahead of its answer, once a request") {
    checked_relay r;
    r.check.answers["SELECT email"] = edit_to("SELECT email_address AS email", frame('N', "healed"));
    r.client(query("SELECT email"));
    r.server(row + ready());
    CHECK(r.take_client() == frame('N', "healed") + row + ready());
    r.client(query("SELECT email"));
    r.server(error({"C42501"}) + ready());
    CHECK(r.take_client() == error({"C42501"}) + ready());
}

TEST_CASE("an edited statement that fails to be analysed is held with the client's own text") {
    checked_relay r;
    r.check.answers["SELECT email"] = edit_to("SELECT email_address AS email");
    r.client(query("SELECT email"));
    r.server(error({"C42703", "P8", "RerrorMissingColumn"}) + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().request == query("SELECT email"));
    CHECK(r.machine.held().edits.size() == 1);
}

TEST_CASE("a parameter's value that is no label of its enum is held, although its statement is healed, and no other value") {
    auto const request = parse("", "SELECT email") + bind("") + execute() + sync_message();
    auto const of_parameter = error({"C22P02", "Renum_in", "Wunnamed portal parameter $1 = '...'"});
    for (bool const before : {true, false}) { // it was healed before it failed
        for (auto const& [failure, held] : {std::pair{of_parameter, true}, std::pair{error({"C22P02", "Renum_in", "P8"}), false}, std::pair{error({"C22P02", "Rint4in", "Wunnamed portal parameter $1 = '...'"}), false}}) {
            checked_relay r;
            if (before) {
                r.check.answers["SELECT email"] = edit_to("SELECT email_address AS email");
                r.check.bound = r.check.answers["SELECT email"].note;
            }
            r.client(request);
            if (!before) {
                r.server(missing_column() + ready());
                REQUIRE(r.machine.holding());
                retry(r);
            }
            r.server(frame('1') + failure + ready());
            CHECK(r.machine.holding() == held);
            if (!held) continue;
            CHECK(r.machine.take_healed() == !before);
            CHECK(r.machine.held().failed == 1);
            CHECK(r.machine.held().first == 1);
            CHECK(r.machine.held().request == request);
            REQUIRE(r.machine.held().edits.size() == 1);
            CHECK(r.machine.held().edits[0].message == 0);
            CHECK(r.machine.held().edits[0].text->plan.sql == "SELECT email_address AS email");
            CHECK(r.machine.release_error(false).ends_with(failure + ready()));
        }
    }
}

TEST_CASE("while labels are known to have been renamed an error about a parameter's label waits for the client's Sync, unless the client flushes") {
    auto const of_parameter = error({"C22P02", "Renum_in", "Wunnamed portal parameter $1 = '...'"});
    auto const begin = parse("", "SELECT a") + bind("") + execute();
    for (bool const any : {true, false}) {
        for (bool const flushes : {true, false}) {
            checked_relay r;
            r.check.old_label = any ? "happy" : "";
            r.client(begin + (flushes ? flush() : ""));
            r.server(frame('1') + of_parameter);
            CHECK(r.machine.holding() == (!any || flushes));
            if (r.machine.holding()) continue;
            r.client(bind("") + execute() + sync_message());
            r.server(ready());
            REQUIRE(r.machine.holding());
            CHECK_FALSE(r.machine.held().open);
            CHECK(r.machine.held().request == begin + bind("") + execute() + sync_message());
        }
    }
}

TEST_CASE("while labels are known to have been renamed the unnamed statement's text is known to later requests, unless its Parse may have failed") {
    auto const of_parameter = error({"C22P02", "Renum_in", "Wunnamed portal parameter $1 = '...'"});
    auto const prepares = parse("", "SELECT a") + sync_message();
    auto const binds = bind("") + execute() + sync_message();
    auto const held = [&](checked_relay& r) {
        r.client(binds);
        r.server(of_parameter + ready());
        REQUIRE(r.machine.holding());
        auto const text = r.machine.held().unnamed;
        (void)r.machine.release_error(false);
        return text;
    };
    for (bool const any : {true, false}) {
        checked_relay r;
        r.check.old_label = any ? "happy" : "";
        r.client(prepares);
        r.server(frame('1') + ready());
        CHECK(held(r) == (any ? "SELECT a" : ""));
        CHECK(held(r) == (any ? "SELECT a" : "")); // it is still there
        r.client(parse("s", "SELECT b") + sync_message());
        r.server(frame('1') + ready());
        CHECK(held(r) == (any ? "SELECT a" : ""));
        r.check.old_label = "";
        r.client(parse("", "SELECT c") + sync_message());
        r.server(frame('1') + ready());
        CHECK(held(r).empty());
    }
    checked_relay r;
    r.check.old_label = "happy";
    r.client(bind("wrong") + parse("", "SELECT a") + sync_message());
    r.server(error({"C26000"}) + ready()); // PostgreSQL has not seen the Parse
    CHECK(held(r).empty());
}

TEST_CASE("a text that has to be asked about waits, with all behind it, in pieces of every size") {
    auto const input = query("SELECT 1") + parse("", "SELECT email") + bind("") + sync_message();
    for (std::size_t piece = 1; piece < 60; ++piece) {
        checked_relay r;
        r.piece = piece;
        r.check.answers["SELECT email"].what = session::advice::kind_type::ask;
        std::string carry;
        std::string sent;
        for (std::size_t at = 0; at < input.size() && !r.machine.asking(); at += piece) {
            carry += input.substr(at, piece);
            auto const step = r.machine.on_client(carry);
            sent += step.forward;
            carry.erase(0, step.consumed);
            if (r.machine.asking()) carry += input.substr(std::min(input.size(), at + piece));
        }
        REQUIRE(r.machine.asking());
        CHECK(r.machine.asked().sql == "SELECT email");
        CHECK(sent == query("SELECT 1"));
        CHECK_FALSE(r.machine.quiet());
        r.server(row + ready());
        CHECK(r.machine.quiet());
        r.machine.answer(edit_to("SELECT email_address AS email"));
        auto const step = r.machine.on_client(carry);
        CHECK(step.forward == parse("", "SELECT email_address AS email") + bind("") + sync_message());
    }
}

TEST_CASE("a text that waited to be asked about is passed over by the server, where what is ahead of it has failed meanwhile") {
    checked_relay r;
    r.in_transaction();
    r.check.answers["SELECT email"].what = session::advice::kind_type::ask;
    auto const ahead = parse("", "INSERT") + bind("") + execute();
    auto const behind = parse("", "SELECT email") + bind("") + execute() + sync_message();
    auto const both = ahead + behind;
    auto const first = r.machine.on_client(both);
    CHECK(first.forward == ahead);
    REQUIRE(r.machine.asking());
    CHECK_FALSE(r.machine.passes_over());
    r.server(frame('1') + frame('2') + error({"C23505"}));
    CHECK(r.machine.quiet());
    CHECK(r.machine.passes_over()); // so that nobody asks: a Sync would end what the client's own has to end
    r.machine.answer(edit_to("SELECT email_address AS email"));
    CHECK(r.machine.on_client(behind).forward == behind);
    r.server(ready('E'));
    CHECK(r.take_client() == frame('1') + frame('2') + error({"C23505"}) + ready('E'));
    r.client(query("ROLLBACK"));
    r.server(complete("ROLLBACK") + ready());
    (void)r.take_server();
    r.client(query("SELECT other")); // what was answered then is for no other text
    CHECK(r.take_server() == query("SELECT other"));
}

TEST_CASE("a text that is blocked fails with pgmend's error, and aborts a transaction block as any error") {
    checked_relay r;
    auto note = std::make_shared<session::answer_note>();
    note->error = error({"C0A000", "Mblocked"});
    r.check.answers["UPDATE t"].what = session::advice::kind_type::block;
    r.check.answers["UPDATE t"].note = note;
    r.in_transaction();
    r.client(query("UPDATE t"));
    CHECK(r.take_server() == query("?"));
    r.server(error({"C42601", "P1"}) + ready('E'));
    CHECK(r.take_client() == note->error + ready('E'));
}

TEST_CASE("inside a transaction block a savepoint travels ahead in the same packet, and the client never sees it") {
    for (bool const extended : {false, true}) {
        checked_relay r;
        auto const request = extended ? parse("", "SELECT a") + bind("") + execute() + sync_message() : query("SELECT a");
        r.check.answers["SELECT a"] = guarded(7);
        r.in_transaction();
        r.client(request);
        auto const sent = r.take_server();
        CHECK(sent.ends_with(request));
        CHECK(count_of(sent, "SAVEPOINT") == 1);
        r.server(own_done + (extended ? "" : ready('T')) + row + ready('T'));
        CHECK(r.take_client() == row + ready('T'));
        CHECK(r.check.tokens == std::vector<std::uint64_t>{7});

        r.client(query("SELECT b"));
        auto const next = r.take_server();
        CHECK(count_of(next, "RELEASE SAVEPOINT") == 1);
        CHECK(next.ends_with(sync_message() + query("SELECT b")));
        r.server(own_done + ready('T') + row + ready('T'));
        CHECK(r.take_client() == row + ready('T'));
        r.client(query("SELECT c"));
        CHECK(r.take_server() == query("SELECT c"));
    }
}

TEST_CASE("ahead of a request that may bind the old name of a label a savepoint travels, whatever is known of its statement") {
    auto const with = [](std::string_view value) {
        std::string out;
        std::vector<base::byte_view> const values{"x", value};
        wire::append_bind(out, "", "", values);
        return out;
    };
    auto const old = with("happy");
    auto const other = with("sad");
    auto const rows = parse("", "SELECT $1");
    auto const described = rows + wire_describe();
    struct {
        std::string request;
        bool guarded;
    } const cases[] = {
        {rows + old + execute() + sync_message(), true},
        {rows + other + execute() + sync_message(), false},
        {rows + other + execute() + old + execute() + sync_message(), true},
        {rows + other + execute() + sync_message() + rows + old + execute() + sync_message(), false}, // of the next request
        {described + flush(), true},                  // its values are still to come
        {described + sync_message(), false},
        {parse("", "SELECT 1") + wire_describe() + flush(), false},
        {rows + other + execute() + flush(), false},
        {rows + other + execute(), true},             // more may come
        {rows + other + old.substr(0, 9), true},
        {query("SELECT $1"), false},
    };
    for (bool const any : {true, false}) { // whether any label was renamed
        for (auto const& [request, guarded] : cases) {
            checked_relay r;
            r.check.answers["SELECT $1"].guardable = r.check.answers["SELECT 1"].guardable = true;
            r.check.old_label = any ? "happy" : "";
            r.in_transaction();
            r.client(request);
            CHECK(count_of(r.take_server(), "SAVEPOINT") == (any && guarded ? 1 : 0));
        }
    }
    checked_relay outside;
    outside.check.answers["SELECT $1"].guardable = true;
    outside.check.old_label = "happy";
    outside.client(cases[0].request);
    CHECK(outside.take_server() == cases[0].request);
    checked_relay not_rows;
    not_rows.check.old_label = "happy";
    not_rows.in_transaction();
    not_rows.client(cases[0].request);
    CHECK(not_rows.take_server() == cases[0].request);
}

TEST_CASE("ahead of what ends the block, or of what is not known, nothing is released") {
    session::advice ending;
    ending.controls_transaction = ending.ends_transaction = true;
    for (auto const& next : {query("COMMIT"), bind("unknown") + execute() + sync_message(), execute() + sync_message()}) {
        checked_relay r;
        r.check.answers["SELECT a"] = guarded(7);
        r.check.answers["COMMIT"] = ending;
        r.in_transaction();
        r.client(query("SELECT a"));
        r.server(own_done + ready('T') + row + ready('T'));
        (void)r.take_server();
        r.client(next);
        CHECK(r.take_server() == next);
        r.server(complete("X") + ready('T'));
        r.client(query("SELECT b"));
        CHECK(r.take_server() == query("SELECT b"));
    }
}

TEST_CASE("an error behind a savepoint of pgmend's is held inside a transaction block") {
    checked_relay r;
    r.check.answers["SELECT email"] = guarded(7);
    r.in_transaction();
    r.client(query("SELECT email"));
    r.server(own_done + ready('T') + missing_column() + ready('E'));
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().guarded);
    CHECK(r.take_client().empty());
    CHECK(r.machine.release_error(false) == missing_column() + ready('E'));
    CHECK(r.check.tokens.empty());

    checked_relay other; // a statement without a guard: nothing could be undone
    other.in_transaction();
    other.client(query("SELECT email"));
    other.server(missing_column() + ready('E'));
    CHECK_FALSE(other.machine.holding());
}

TEST_CASE("a request that fails again behind each retry is given up in the end") {
    relay r;
    r.client(parse("", "SELECT email") + bind("") + execute() + sync_message());
    int holds = 0;
    for (int i = 0; i < 100; ++i) {
        r.server((i == 0 ? "" : frame('1')) + missing_column() + ready());
        if (!r.machine.holding()) break;
        ++holds;
        retry(r);
    }
    CHECK(holds > 0);
    CHECK(holds < 20);
    CHECK(r.machine.idle());
}

TEST_CASE("a changed schema is told once it is committed") {
    relay r;
    r.client(query("BEGIN") + query("ALTER"));
    r.server(complete("BEGIN") + ready('T') + complete("ALTER TABLE") + ready('T'));
    CHECK_FALSE(r.machine.take_schema_changed());
    r.client(query("COMMIT"));
    r.server(complete("COMMIT") + ready('I'));
    CHECK(r.machine.take_news());
    CHECK(r.machine.take_schema_changed());
    CHECK_FALSE(r.machine.take_schema_changed());
}

namespace {

struct counted_relay : relay {
    counted_relay() {
        machine.measure({&worker, &figures.of(worker, "shop"), 0});
        machine.set_now(1000);
    }
    std::uint64_t statements(telemetry::statement_kind kind, std::size_t tier) const {
        return worker.statements[static_cast<std::size_t>(kind)][tier].get().count();
    }
    telemetry::database_totals totals() const { return figures.databases().at("shop"); }

    telemetry::registry figures;
    telemetry::worker_figures& worker{figures.add_worker()};
};

using kind = telemetry::statement_kind;

} // namespace

TEST_CASE("statements are counted by kind, each from when it came or the one before it ended") {
    counted_relay r;
    r.client(query("SELECT 1; INSERT INTO t VALUES (1)"));
    r.machine.set_now(1100);
    r.server(complete("SELECT 1"));
    r.machine.set_now(1400);
    r.server(complete("INSERT 0 1") + ready());
    CHECK(r.statements(kind::select, 0) == 1);
    CHECK(r.statements(kind::insert, 0) == 1);
    CHECK(r.totals().statement_us == 400);
    CHECK(r.totals().transactions == 1);
    CHECK(r.totals().transaction_us == 400);
}

TEST_CASE("a transaction is counted once, and lasts from its first message to its end") {
    counted_relay r;
    r.client(query("BEGIN"));
    r.server(complete("BEGIN") + ready('T'));
    r.machine.set_now(5000);
    r.client(parse("", "UPDATE t SET a = 1") + bind("") + execute() + sync_message());
    r.server(frame('1') + frame('2') + complete("UPDATE 1") + ready('T'));
    CHECK(r.totals().transactions == 0);
    r.machine.set_now(9000);
    r.client(query("COMMIT"));
    r.server(complete("COMMIT") + ready());
    CHECK(r.totals().transactions == 1);
    CHECK(r.totals().transaction_us == 8000);
    CHECK(r.statements(kind::update, 0) == 1);
    CHECK(r.statements(kind::other, 0) == 2);
}

TEST_CASE("errors that reach the client are counted by class, once, held ones too") {
    counted_relay r;
    r.client(query("SELECT 1/0"));
    r.server(error({"C22012"}) + ready());
    CHECK(r.worker.errors[telemetry::class_of("22012")].get() == 1);
    r.client(query("SELECT email"));
    r.server(error({"C42703", "P8"}) + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.worker.errors[telemetry::class_of("42703")].get() == 0);
    r.to_client += r.machine.release_error(true);
    CHECK(r.worker.errors[telemetry::class_of("42703")].get() == 1);
    CHECK(r.totals().statements == 0);
}

TEST_CASE("a statement that was sent again counts as healed after it failed, from its first sending on") {
    counted_relay r;
    r.client(query("SELECT email"));
    r.machine.set_now(2000);
    r.server(error({"C42703", "P8"}) + ready());
    REQUIRE(r.machine.holding());
    retry(r);
    r.machine.set_now(4000);
    r.server(complete("SELECT 1") + ready());
    CHECK(r.machine.take_healed());
    CHECK(r.statements(kind::select, 2) == 1);
    CHECK(r.totals().statement_us == 3000);
    r.client(query("SELECT 1"));
    r.server(complete("SELECT 1") + ready());
    CHECK(r.statements(kind::select, 0) == 1);
}

// ------------------------------------------------------------------------------------------- batches

namespace {

struct splitting final : session::preflight {
    bool active(bool) override { return false; }
    session::advice look(base::byte_view, base::byte_view const*, std::span<std::uint32_t const>, bool, session::company) override { return {}; }
    session::advice look_at_bind(base::byte_view, bool, session::company) override { return {}; }
    void passed_unseen() override {}
    void worked(std::uint64_t) override {}
    [[nodiscard]] bool splits_batches() const override { return true; }
    void settled(char) override {}
};

auto const one = bind("row") + execute();
auto const done = frame('2') + complete("INSERT 0 1");
auto const refused = error({"C23502", "Mno"});

} // namespace

TEST_CASE("an error about values in a request that goes on is held until the client's Sync, and what comes behind that waits") {
    splitting rules;
    relay r;
    r.machine.configure({true, 65536}, &rules);
    r.client(one + one);
    r.server(done + frame('2') + refused);
    CHECK_FALSE(r.machine.holding());
    CHECK_FALSE(r.machine.client_must_wait());
    r.client(one + sync_message() + query("SELECT 7"));
    CHECK(r.machine.client_must_wait());
    CHECK(r.client_carry == query("SELECT 7"));
    CHECK(r.take_server() == one + one + one + sync_message());
    r.server(ready());
    REQUIRE(r.machine.holding());
    auto const& held = r.machine.held();
    CHECK_FALSE(held.open);
    CHECK(held.whole);
    CHECK(held.request == one + one + one + sync_message());
    CHECK(held.failed == 3);
    CHECK(held.first == 0);
    CHECK(held.passed_on == 0);
    CHECK(r.take_client().empty());
    CHECK(std::string{r.machine.release_error(false)} == done + frame('2') + refused + ready());
    CHECK_FALSE(r.machine.client_must_wait());
}

TEST_CASE("a client that flushes does not wait for an error that is held") {
    splitting rules;
    relay r;
    r.machine.configure({true, 65536}, &rules);
    r.client(one);
    r.server(frame('2') + refused);
    CHECK_FALSE(r.machine.holding());
    r.client(flush() + one);
    CHECK(r.machine.holding());
    CHECK(r.machine.held().open);
    CHECK(r.client_carry == one);
    CHECK(std::string{r.machine.release_error(false)} == frame('2') + refused);

    relay early;
    early.machine.configure({true, 65536}, &rules);
    early.client(one + flush());
    early.server(frame('2') + refused);
    CHECK(early.machine.holding());
}

TEST_CASE("which answers the client has had is told, and they are not given twice") {
    splitting rules;
    relay r;
    r.machine.configure({true, 65536}, &rules);
    r.client(one + one + one + sync_message());
    r.server(done + frame('2'));
    CHECK(r.take_client() == done + frame('2'));
    r.server(complete("INSERT 0 1") + frame('2') + refused + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().passed_on == 3);
    CHECK(r.machine.held().opened == false);
    session::retry_request again;
    for (int i = 0; i < 3; ++i)
        for (auto const kind : {session::request_kind::bind, session::request_kind::execute}) again.answers.push_back({kind, again.answers.size() < 3, {}});
    again.answers.push_back({session::request_kind::sync, false, {}});
    again.first = 3;
    again.decisive = 6;
    again.text = std::make_shared<session::healed_text>(healing::make_healed_text(renamed("x"), "x"));
    r.to_client += r.machine.begin_retry(again, frame('N', "warning"));
    r.server(done + done);
    CHECK(r.take_client().empty());
    r.server(frame('2') + complete("INSERT 0 0") + ready());
    CHECK(r.take_client() == frame('N', "warning") + complete("INSERT 0 1") + frame('2') + complete("INSERT 0 0") + ready());
    CHECK(r.machine.idle());
}

TEST_CASE("a request that began a block, or that has grown too long, says so") {
    splitting rules;
    relay r;
    r.machine.configure({true, 200}, &rules);
    r.client(parse("", "BEGIN") + bind("") + execute() + one);
    r.server(frame('1') + frame('2') + complete("BEGIN") + frame('2') + refused);
    r.client(frame('B', std::string(300, '\0')) + sync_message());
    r.server(ready('E'));
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().opened);
    CHECK_FALSE(r.machine.held().whole);
}

namespace {

/// A rule wants batches to be split, and says so of what begins with INSERT.
struct splitting_early final : session::preflight {
    bool active(bool) override { return true; }
    session::advice look(base::byte_view sql, base::byte_view const*, std::span<std::uint32_t const>, bool in_transaction, session::company) override { return of(sql, in_transaction); }
    session::advice look_at_beginning(base::byte_view sql, base::byte_view const* statement, bool in_transaction) override {
        auto out = of(sql, in_transaction);
        out.controls_transaction = statement == nullptr;
        return out;
    }
    session::advice look_at_bind(base::byte_view, bool, session::company) override { return {}; }
    void passed_unseen() override {}
    void worked(std::uint64_t) override {}
    [[nodiscard]] bool splits_batches() const override { return true; }
    void settled(char) override {}
    static session::advice of(base::byte_view sql, bool in_transaction) {
        session::advice out;
        out.splits = sql.starts_with("INSERT");
        out.guard = out.splits && in_transaction;
        return out;
    }
};

std::string long_insert(std::size_t bytes) { return "INSERT INTO t VALUES ('" + std::string(bytes, 'x') + "')"; }

} // namespace

TEST_CASE("a batch that a rule is for is kept beyond the bound of other requests, and no longer than its own") {
    splitting_early rules;
    relay r;
    r.machine.configure({true, 1000, 200000}, &rules);
    r.client(query(long_insert(100000)));
    r.server(refused + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().request == query(long_insert(100000)));
    CHECK(std::string{r.machine.release_error(false)} == refused + ready());
    r.client(query(long_insert(300000)));
    r.server(refused + ready());
    CHECK_FALSE(r.machine.holding());
    auto const shown = r.take_client();
    CHECK(shown.find("WARNING") != std::string::npos);
    CHECK(shown.find("healing.max_batch_bytes is 200000") != std::string::npos);
    CHECK(shown.ends_with(refused + ready()));
    r.client(query("UPDATE t SET a = '" + std::string(2000, 'x') + "'")); // no batch: the other bound
    r.server(refused + ready());
    CHECK_FALSE(r.machine.holding());
    CHECK(r.take_client() == refused + ready());
    r.client(query(long_insert(2000))); // an error about names is not healed beyond the other bound
    r.server(error({"C42703", "Mno"}) + ready());
    CHECK_FALSE(r.machine.holding());
}

TEST_CASE("behind the savepoint of a long text the next one finds it, where the text was that INSERT alone") {
    splitting_early rules;
    relay r;
    r.machine.configure({true, 1000, 200000}, &rules);
    auto const own = frame('3') + frame('1') + frame('2') + complete("SAVEPOINT") + frame('3') + frame('3');
    r.client(query("BEGIN"));
    r.server(complete("BEGIN") + ready('T'));
    (void)r.take_server();
    for (bool const several : {false, true}) {
        auto const text = query(long_insert(100000) + (several ? "; SELECT 1" : ""));
        r.client(text.substr(0, 70000)); // longer than what is waited for
        r.client(text.substr(70000));
        auto const sent = r.take_server();
        CHECK(sent.find("RELEASE") == std::string::npos);
        CHECK(sent.find("SAVEPOINT") != std::string::npos);
        r.server(own + ready('T') + complete("INSERT 0 1") + ready('T'));
        r.client(query(long_insert(10)));
        CHECK((r.take_server().find("RELEASE") != std::string::npos) == !several);
        r.server((several ? "" : own) + own + ready('T') + complete("INSERT 0 1") + ready('T'));
        r.client(query("ROLLBACK"));
        r.server(own + ready('T') + complete("ROLLBACK") + ready());
        r.client(query("BEGIN"));
        r.server(complete("BEGIN") + ready('T'));
        (void)r.take_server();
        (void)r.take_client();
    }
}

TEST_CASE("a Query behind statements that were only prepared, without a Sync, is a request of its own, and ends that one") {
    splitting_early rules;
    relay r;
    r.machine.configure({true, 65536}, &rules);
    r.client(parse("s", "INSERT INTO t VALUES ($1)") + flush());
    r.server(frame('1'));
    CHECK(r.machine.open());
    r.client(query("SELECT email"));
    r.server(error({"C42703", "Mno"}) + ready());
    REQUIRE(r.machine.holding());
    CHECK(r.machine.held().request == query("SELECT email"));
    CHECK(r.machine.held().failed == 0);
    (void)r.machine.release_error(false);
    CHECK(r.machine.idle());
    // With more behind it that is not answered, it is not healed.
    r.client(parse("s", "INSERT INTO t VALUES ($1)") + query("SELECT email"));
    r.server(frame('1') + error({"C42703", "Mno"}) + ready());
    CHECK_FALSE(r.machine.holding());
    CHECK(r.machine.idle());
}

TEST_CASE("a Query behind a Parse that fails is passed over by the server, up to the Sync") {
    relay r;
    r.client(parse("", "SELECT x") + query("SELECT 1"));
    r.server(error({"C42601", "Mno"}));
    CHECK_FALSE(r.machine.idle());
    CHECK(r.machine.discarding());
    r.client(sync_message());
    r.server(ready());
    CHECK(r.machine.idle());
}

TEST_CASE("a message that may not be sent fails with an error of pgmend's own, whatever it is and however it comes") {
    auto const own = wire::error_response(wire::severity::error, "0A000", "no");
    std::string const impossible = query("?");
    for (std::size_t const piece : {std::size_t{1} << 20, std::size_t{1}, std::size_t{1000}}) {
        relay r{true, piece};
        r.client(query("BEGIN"));
        r.server(complete("BEGIN") + ready('T'));
        (void)r.take_server();
        (void)r.take_client();
        r.machine.block(0, own);
        r.client(query("LISTEN n"));
        CHECK(r.take_server() == impossible);
        r.server(error({"C42601", "Msyntax"}) + ready('E'));
        CHECK(r.take_client() == own + ready('E'));
        CHECK(r.machine.between_requests());
        CHECK_FALSE(r.machine.idle());
        r.client(query("SELECT 1"));
        CHECK(r.take_server() == query("SELECT 1")); // once
        r.server(error({"C25P02", "Maborted"}) + ready('E'));
        (void)r.take_client();
        r.machine.block(2, own); // also in an aborted transaction
        r.client(parse("", "SELECT 1") + bind("") + bind("other") + execute() + sync_message());
        CHECK(r.take_server() == parse("", "SELECT 1") + bind("") + parse("", "?") + execute() + sync_message());
        r.server(frame('1') + frame('2') + error({"C42601", "Msyntax"}) + ready('E'));
        CHECK(r.take_client() == frame('1') + frame('2') + own + ready('E'));
        r.machine.block(0, own);
        r.client(query(std::string(200'000, 'x')) + query("ROLLBACK")); // of which only a part may have come
        CHECK(r.take_server() == impossible + query("ROLLBACK"));
        auto const before = r.machine.readies();
        r.server(error({"C42601", "Msyntax"}) + ready('E') + complete("ROLLBACK") + ready());
        CHECK(r.take_client() == own + ready('E') + complete("ROLLBACK") + ready());
        CHECK(r.machine.readies() == before + 2);
        CHECK(r.machine.idle());
    }
}

TEST_CASE("a statement without a name that another server had goes ahead of the message that uses it") {
    for (std::size_t const piece : {std::size_t{1} << 20, std::size_t{1}}) {
        relay r{true, piece};
        r.machine.prepare_ahead(parse("", "SELECT 1"));
        r.client(bind("") + execute() + sync_message());
        CHECK(r.take_server() == parse("", "SELECT 1") + bind("") + execute() + sync_message());
        r.server(frame('1') + frame('2') + complete("SELECT 1") + ready());
        CHECK(r.take_client() == frame('2') + complete("SELECT 1") + ready());
        CHECK(r.machine.idle());
    }
}
