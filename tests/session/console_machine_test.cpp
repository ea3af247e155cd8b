#include "pgmend/session/console_machine.hpp"

#include "session/frames.hpp"

#include "pgmend/wire/frame.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using session::console_machine;
using step = console_machine::step;

namespace {

using enum session::console_type;

constexpr session::console_column columns[] = {{"name", text}, {"count", integer}, {"share", real}};

struct commands final : session::console_commands {
    std::variant<session::console_command, session::console_error> find(std::string_view what) const override {
        if (what == "SHOW") return session::console_command{0, {}, columns, "SHOW"};
        if (what == "DO") return session::console_command{1, 7, {}, "DO"};
        return session::console_error{"42601", "what?", {}};
    }
};

/// Every command is run at once: SHOW gives two rows, DO fails where it is told to.
struct fixture {
    commands known;
    console_machine machine{known};
    int ran{0};
    bool fails{false};
    bool notices{false};

    session::console_answer answer() {
        ++ran;
        if (notices) return session::console_notice{"done, but", "for a reason"};
        if (fails) return session::console_error{"55000", "no", {}};
        if (machine.wanted().columns.empty()) return std::vector<session::console_row>{};
        return std::vector<session::console_row>{{"a", "-2", "0.5"}, {std::nullopt, "1", "0"}};
    }

    step give(std::string_view bytes, std::string& out) {
        auto next = machine.on_bytes(bytes, out);
        while (next == step::run) next = machine.on_answer(answer(), out);
        return next;
    }

    std::string says(std::string_view bytes) {
        std::string out;
        (void)give(bytes, out);
        return out;
    }
};

/// The types of the frames, one letter each; of ReadyForQuery and errors with what matters.
std::string types(std::string_view bytes) {
    std::string out;
    while (bytes.size() >= 5) {
        auto const header = wire::read_header(bytes);
        out.push_back(header.type);
        if (header.type == 'E') out += "(" + std::string{wire::read_error(wire::body_of(bytes, header))->code} + ")";
        bytes.remove_prefix(header.total_bytes());
    }
    return out;
}

std::string bind_as(std::string_view portal, std::string_view statement, std::initializer_list<char> formats) {
    std::string body = std::string{portal} + '\0' + std::string{statement} + '\0' + std::string(4, '\0');
    body += std::string{'\0', static_cast<char>(formats.size())};
    for (char const f : formats) body += std::string{'\0', f};
    return frame('B', body);
}

std::string execute_of(std::string_view portal, char most) { return frame('E', std::string{portal} + '\0' + std::string{'\0', '\0', '\0', most}); }
std::string describe(char kind, std::string_view name) { return frame('D', kind + std::string{name} + '\0'); }

std::string const whole = query("SHOW; DO") + parse("s", "SHOW") + describe('S', "s") + bind_as("", "s", {1}) + describe('P', "") + execute_of("", 1) +
                          execute_of("", 0) + sync_message() + parse("", "nonsense") + bind("") + execute() + sync_message() +
                          close_statement("s") + sync_message() + query(" -- nothing\n;") + flush();

} // namespace

TEST_CASE("a query of the console is answered with rows, and several commands one after the other") {
    fixture it;
    CHECK(types(it.says(query("SHOW"))) == "TDDCZ");
    CHECK(types(it.says(query("SHOW; /* and */ DO;"))) == "TDDCCZ");
    CHECK(types(it.says(query(""))) == "IZ");
    CHECK(types(it.says(query("SHOW; nonsense; DO"))) == "TDDCE(42601)Z");
    CHECK(it.ran == 4);
    it.fails = true;
    CHECK(types(it.says(query("DO; SHOW"))) == "E(55000)Z");
    CHECK(it.ran == 5);
}

TEST_CASE("what there is to say about a command that was carried out goes ahead of its tag") {
    fixture it;
    it.notices = true;
    CHECK(types(it.says(query("DO"))) == "NCZ");
    CHECK(types(it.says(parse("", "DO") + bind("") + execute() + sync_message())) == "12NCZ");
}

TEST_CASE("the extended protocol of the console describes, binds, executes in parts and in binary") {
    fixture it;
    auto const out = it.says(parse("s", "SHOW") + describe('S', "s") + bind_as("p", "s", {1}) + describe('P', "p") + execute_of("p", 1) + execute_of("p", 0) + sync_message());
    CHECK(types(out) == "1tT2TDsDCZ");
    CHECK(it.ran == 1);
    auto const row = out.substr(out.find('D' + std::string{'\0', '\0', '\0'}));
    auto const values = *wire::read_data_row(wire::body_of(row, wire::read_header(row)));
    REQUIRE(values.size() == 3);
    CHECK(*values[0] == "a");
    CHECK(*values[1] == std::string{"\xff\xff\xff\xff\xff\xff\xff\xfe"});
    CHECK(*values[2] == std::string{"\x3f\xe0\0\0\0\0\0\0", 8});
    CHECK(types(it.says(bind_as("", "s", {0, 1, 0}) + execute() + sync_message())) == "2DDCZ");
    CHECK(types(it.says(parse("", "DO") + describe('S', "") + bind("") + execute() + execute() + sync_message())) == "1tn2CE(55000)Z");
    CHECK(types(it.says(parse("", "") + bind("") + execute() + sync_message())) == "12IZ");
}

TEST_CASE("after an error the console skips to Sync") {
    fixture it;
    CHECK(types(it.says(parse("", "nonsense") + bind("") + execute() + query("SHOW") + sync_message() + query("SHOW"))) == "E(42601)ZTDDCZ");
    CHECK(types(it.says(bind("no") + sync_message())) == "E(26000)Z");
    CHECK(types(it.says(execute_of("no", 0) + sync_message())) == "E(34000)Z");
    CHECK(types(it.says(describe('S', "no") + sync_message())) == "E(26000)Z");
    CHECK(types(it.says(describe('P', "no") + sync_message())) == "E(34000)Z");
    CHECK(types(it.says(parse("s", "SHOW") + parse("s", "SHOW") + sync_message())) == "1E(42P05)Z");
    CHECK(types(it.says(parse("", "SHOW; DO") + sync_message())) == "E(42601)Z");
    CHECK(types(it.says(parse("", "SHOW") + bind_as("", "", {0, 0}) + sync_message())) == "1E(08P01)Z");
    CHECK(types(it.says(parse("", "SHOW") + bind_as("", "", {2}) + sync_message())) == "1E(08P01)Z");
    it.fails = true;
    CHECK(types(it.says(parse("", "DO") + bind("") + execute() + query("SHOW") + sync_message())) == "12E(55000)Z");
    CHECK(types(it.says(frame('F', "xxxx"))) == "E(0A000)Z");
}

TEST_CASE("wherever the bytes are split, the console says the same") {
    fixture at_once;
    auto const expected = at_once.says(whole);
    CHECK(types(expected) == "TDDCCZ1tT2TDsDCZE(42601)Z3ZIZ");
    for (std::size_t i = 0; i <= whole.size(); ++i) {
        fixture it;
        auto out = it.says(whole.substr(0, i));
        out += it.says(whole.substr(i));
        if (out != expected) FAIL("split at " << i);
    }
    fixture by_bytes;
    std::string out;
    for (char const c : whole) (void)by_bytes.give({&c, 1}, out);
    CHECK((out == expected));
    CHECK(by_bytes.machine.idle());
}

TEST_CASE("what arrives while a command runs is answered after it") {
    fixture it;
    std::string out;
    CHECK(it.machine.on_bytes(query("SHOW"), out) == step::run);
    CHECK_FALSE(it.machine.idle());
    CHECK(it.machine.on_bytes(query("DO"), out) == step::run);
    CHECK(out.empty());
    CHECK(it.machine.on_answer(it.answer(), out) == step::run); // DO now
    CHECK(types(out) == "TDDCZ");
    CHECK(it.machine.on_answer(it.answer(), out) == step::read);
    CHECK(types(out) == "TDDCZCZ");
}

TEST_CASE("what breaks the protocol ends the console's session") {
    for (auto const& bytes : {std::string{"GET / HTTP/1.0\r\n"}, frame('Q', "no end"), frame('P', "x"), frame('B', ""), frame('D', "Xs"), frame('E', "p"),
                              frame('C', "S"), std::string{"Q\0\0\0\1xxxx", 9}, std::string{"Q\x7f\xff\xff\xff", 5}, std::string{"Q\0\1\0\0", 5},
                              frame('p', "password"), frame('Q', std::string{"SHOW\0 more\0", 11})}) {
        fixture it;
        std::string out;
        INFO(bytes.size() << bytes.substr(0, 1));
        CHECK(it.give(bytes, out) == step::close);
        CHECK(types(out) == "E(08P01)");
        CHECK(it.ran == 0);
    }
    fixture it;
    std::string out;
    CHECK(it.give(frame('X') + query("SHOW"), out) == step::close);
    CHECK(out.empty());
}

TEST_CASE("no client of the console fills the memory with statements and portals") {
    fixture it;
    std::string out;
    for (std::size_t i = 0; i < console_machine::most_statements; ++i) out = it.says(parse("s" + std::to_string(i), "SHOW"));
    CHECK(types(out) == "1");
    CHECK(types(it.says(parse("more", "SHOW") + sync_message())) == "E(54000)Z");
    for (std::size_t i = 0; i < console_machine::most_statements; ++i) out = it.says(bind_as("p" + std::to_string(i), "s0", {}));
    CHECK(types(out) == "2");
    CHECK(types(it.says(bind_as("more", "s0", {}) + sync_message())) == "E(54000)Z");
}

TEST_CASE("commands are split at semicolons, comments are left out, quotes kept together") {
    using list = std::vector<std::string>;
    CHECK(session::split_commands(" SHOW \n\t HELP ; ; reload") == list{"SHOW HELP", "reload"});
    CHECK(session::split_commands("a--b;c\nd/* ; */e") == list{"a d e"});
    CHECK(session::split_commands("SELECT ';' || \"a;b\"; x") == list{"SELECT ';' || \"a;b\"", "x"});
    CHECK(session::split_commands("'open; x") == list{"'open; x"});
    CHECK(session::split_commands("/* open").empty());
}
