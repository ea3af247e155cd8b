#include "session/frames.hpp"

#include "pgmend/session/restore_machine.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;
using session::restore_machine;
using step = restore_machine::step;

namespace {

std::string status(std::string_view name, std::string_view value) { return frame('S', std::string{name} + '\0' + std::string{value} + '\0'); }

std::string row(std::string_view name, std::string_view used) {
    std::string body{"\0\2"s};
    for (auto const value : {name, used}) {
        base::append_u32(body, static_cast<std::uint32_t>(value.size()));
        body.append(value);
    }
    return frame('D', body);
}

std::string const greeting = status("server_version", "15.4 (x)") + status("TimeZone", "UTC") + status("application_name", "") + status("session_authorization", "joe");

void ask(session::session_memory& memory, std::string_view sql, std::string_view tag) {
    memory.on_client('Q', std::string{sql} + '\0', true);
    memory.completed(tag);
    memory.settled('I');
}

/// The whole answer, frame by frame.
step tell(restore_machine& machine, std::initializer_list<std::string> frames, std::string& to_server) {
    auto last = step::more;
    for (auto const& it : frames) last = machine.on_server(it, to_server);
    return last;
}

} // namespace

TEST_CASE("a session that has changed nothing is ready once the server's functions have been looked at") {
    session::session_memory const memory{greeting};
    restore_machine machine{memory, greeting};
    auto const first = machine.begin();
    CHECK(first.find("prosqlbody") != std::string::npos); // the server is new enough
    CHECK(first.find("{}") == std::string::npos);
    std::string sent;
    CHECK(tell(machine, {complete("BEGIN"), complete("SET"), complete("SELECT 0"), complete("COMMIT"), ready()}, sent) == step::ready);
    CHECK(sent.empty());
    CHECK(machine.news().empty());
}

TEST_CASE("settings, what the server reports, and prepared statements are restored in this order") {
    session::session_memory memory{greeting};
    ask(memory, "SET work_mem = '1MB'", "SET");
    ask(memory, "SET ROLE boss", "SET");
    memory.reported("TimeZone", "Asia/Tokyo"); // by a way that was not seen
    memory.reported("application_name", "it's me");
    memory.on_client('P', "s\0SELECT 1\0\0\0"s, true);
    memory.on_client('S', {}, true);
    memory.prepared_or_closed();
    memory.settled('I');
    restore_machine machine{memory, greeting + status("in_hot_standby", "off")};
    (void)machine.begin();
    std::string sent;
    CHECK(machine.on_server(ready(), sent) == step::send);
    CHECK(sent == query("SET work_mem = '1MB'") + query("SET ROLE boss"));
    CHECK(tell(machine, {complete("SET"), ready(), complete("SET"), ready()}, sent) == step::send);
    CHECK(sent == query("SELECT pg_catalog.set_config('TimeZone', 'Asia/Tokyo', false)") + query("SELECT pg_catalog.set_config('application_name', 'it''s me', false)"));
    CHECK(tell(machine, {status("TimeZone", "Asia/Tokyo"), ready(), status("application_name", "it's me"), ready()}, sent) == step::send);
    CHECK(sent == frame('P', "s\0SELECT 1\0\0\0"s) + sync_message());
    CHECK(tell(machine, {frame('1'), ready()}, sent) == step::ready);
    CHECK(machine.news() == status("in_hot_standby", "off"));
    CHECK(machine.reported_since() == status("TimeZone", "Asia/Tokyo") + status("application_name", "it's me"));
}

TEST_CASE("in doubt the new session is not used") {
    session::session_memory memory{greeting};
    std::string sent;
    SECTION("a trigger or the like may have changed it") {
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(tell(machine, {row("public.sneaky", "t"), ready()}, sent) == step::failed);
        CHECK(machine.reason() == "the function public.sneaky may have changed the session");
    }
    SECTION("a function that only a text could have called has not been called") {
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(tell(machine, {row("public.sneaky", "f"), ready()}, sent) == step::ready);
    }
    SECTION("it may have been called") {
        ask(memory, "SELECT mine(1)", "SELECT 1");
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(tell(machine, {row("public.sneaky", "f"), ready()}, sent) == step::failed);
    }
    SECTION("a setting is refused") {
        ask(memory, "SET ROLE gone", "SET");
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(machine.on_server(ready(), sent) == step::send);
        CHECK(machine.on_server(error({"C22023"}), sent) == step::failed);
        CHECK(machine.reason() == "a setting was refused with SQLSTATE 22023");
    }
    SECTION("the server does not report what it was told") {
        memory.reported("TimeZone", "Asia/Tokyo");
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(machine.on_server(ready(), sent) == step::send);
        CHECK(machine.on_server(ready(), sent) == step::failed);
    }
    SECTION("it is another user's") {
        restore_machine machine{memory, status("session_authorization", "jim")};
        (void)machine.begin();
        CHECK(machine.on_server(ready(), sent) == step::failed);
    }
    SECTION("a transaction is open") {
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(machine.on_server(ready('T'), sent) == step::failed);
    }
    SECTION("a statement cannot be prepared") {
        memory.on_client('P', "s\0SELECT 1\0\0\0"s, true);
        memory.on_client('S', {}, true);
        memory.prepared_or_closed();
        memory.settled('I');
        restore_machine machine{memory, greeting};
        (void)machine.begin();
        CHECK(machine.on_server(ready(), sent) == step::send);
        CHECK(machine.on_server(ready(), sent) == step::failed);
    }
}

TEST_CASE("a server that has been given something before gets what has changed") {
    session::session_memory memory{greeting};
    auto const prepare = [&](std::string const& name, std::string const& sql) {
        memory.on_client('P', name + '\0' + sql + "\0\0\0"s, true);
        memory.on_client('S', {}, true);
        memory.prepared_or_closed();
        memory.settled('I');
    };
    ask(memory, "SET work_mem = '1MB'", "SET");
    prepare("a", "SELECT 1");
    prepare("b", "SELECT 2");
    auto const version = memory.version();
    auto const has = memory.whole();
    CHECK(has.version == version);
    std::string sent;
    SECTION("nothing") {
        ask(memory, "SELECT 1", "SELECT 1");
        CHECK(memory.version() == version);
        restore_machine machine{memory, has, false};
        CHECK(machine.begin().empty());
        CHECK(machine.reason().empty());
    }
    SECTION("statements") {
        ask(memory, "DEALLOCATE a", "DEALLOCATE");
        prepare("b", "SELECT 3");
        prepare("c", "SELECT 4");
        CHECK(memory.version() != version);
        restore_machine machine{memory, has, false};
        CHECK(machine.begin() == close_statement("a") + close_statement("b") + parse("b", "SELECT 3") + parse("c", "SELECT 4") + sync_message());
        CHECK(tell(machine, {frame('3'), frame('3'), frame('1'), frame('1'), ready()}, sent) == step::ready);
    }
    SECTION("settings, from the beginning; and what the client knows, whatever the server's own is") {
        ask(memory, "SET ROLE boss", "SET");
        auto other = has;
        other.reported["TimeZone"] = "Asia/Tokyo";
        other.reported["in_hot_standby"] = "on";
        restore_machine machine{memory, other, false};
        CHECK(machine.begin() == query("RESET ROLE") + query("RESET ALL") + query("SET work_mem = '1MB'") + query("SET ROLE boss"));
        CHECK(tell(machine, {ready(), ready(), ready(), ready()}, sent) == step::send);
        CHECK(sent == query("SELECT pg_catalog.set_config('TimeZone', 'UTC', false)"));
        CHECK(tell(machine, {status("TimeZone", "UTC"), ready()}, sent) == step::ready);
    }
    SECTION("unless there is a function that may change a session, called or not") {
        restore_machine machine{memory, has, true};
        (void)machine.begin();
        CHECK(tell(machine, {row("public.sneaky", "f"), ready()}, sent) == step::failed);
    }
}
