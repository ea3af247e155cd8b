#include "app/journald.hpp"
#include "pgmend/app/log_format.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

using namespace pgmend;
using base::log_field;
using base::log_level;

namespace {

app::log_time const noon{std::chrono::hours{12} + std::chrono::milliseconds{678}};

/// Without colours.
std::string told(std::string_view event, std::vector<log_field> const& fields, log_level level = log_level::info) {
    auto const line = app::format_story(noon, level, event, fields, app::colour::on);
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\x1b') i = line.find('m', i);
        else out.push_back(line[i]);
    }
    return out;
}

} // namespace

TEST_CASE("on a terminal the log says in words what happened, one line an event") {
    CHECK(told("statement.healed", {{"database", "shop"}, {"user", "app"}, {"application_name", "web"}, {"client", "1.2.3.4:5"}, {"sqlstate", "42703"},
                                    {"pattern", "column t.a -> b"}, {"evidence", "lineage"}, {"before", "select a"}, {"after", "select b"}, {"duration_us", 4300}}) ==
          "12:00:00.678  healed        web (app in shop): column t.a -> b in 4.3 ms  select a → select b\n");
    CHECK(told("schema.changed", {{"database", "shop"}, {"version", 2}, {"severity", "minor"}, {"changes", "column t.a renamed to b"}}) ==
          "12:00:00.678  changed       schema of shop, now version 2 (minor): column t.a renamed to b\n");
    CHECK(told("client.connected", {{"client", "x"}, {"database", "shop"}, {"user", "app"}, {"application_name", ""}, {"tls", false}}) ==
          "12:00:00.678  connected     somebody as app to shop\n");
}

TEST_CASE("a moved session tells from where and to where, and how long it took") {
    CHECK(told("session.moved", {{"client", "1.2.3.4:5"}, {"database", "shop"}, {"user", "app"}, {"backend", "second"}, {"before", "first"}, {"duration_us", 4300}}) ==
          "12:00:00.678  moved         app in shop to second, in 4.3 ms: first was lost\n");
    CHECK(told("schema.changed", {{"database", "shop"}, {"version", 2}, {"severity", "minor"}, {"changes", "a"}, {"cause", "statement"}, {"duration_us", 4300}}) ==
          "12:00:00.678  changed       schema of shop, now version 2 (minor): a  in 4.3 ms\n");
}

TEST_CASE("in a file the story has days and no colours") {
    CHECK(app::format_story(noon, log_level::info, "schema.changed", std::vector<log_field>{{"database", "shop"}, {"version", 2}, {"severity", "minor"}, {"changes", "a"}},
                            app::colour::off) == "1970-01-01 12:00:00.678  changed       schema of shop, now version 2 (minor): a\n");
}

TEST_CASE("an event without a sentence, or without its fields, is told as it is") {
    CHECK(told("something.new", {{"a", 1}}) == "1970-01-01T12:00:00.678000Z INFO  something.new a=1\n");
    CHECK(told("schema.changed", {{"database", "shop"}}).find("schema.changed database=shop") != std::string::npos);
}

TEST_CASE("a story is one line, whatever a client calls itself") {
    auto const line = app::format_story(noon, log_level::info, "client.connected",
                                        std::vector<log_field>{{"user", "a\nb\x1b[2J"}, {"database", "\xe2\x80\xae" "d"}, {"application_name", "x\ty"}}, app::colour::on);
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(line.find("\x1b[2J") == std::string::npos);
    CHECK(line.find("\xe2\x80\xae") == std::string::npos);
}

TEST_CASE("an entry of the journal has its fields apart, and line ends in a value do not end it") {
    auto const entry = app::format_journal(log_level::warning, "a.b", std::vector<log_field>{{"reason", "x\ny"}, {"n", 3}});
    CHECK(entry.starts_with("MESSAGE=a.b reason="));
    CHECK(entry.find("\nPRIORITY=4\n") != std::string::npos);
    CHECK(entry.find("\nPGMEND_EVENT=a.b\n") != std::string::npos);
    CHECK(entry.find(std::string("\nPGMEND_REASON\n\3\0\0\0\0\0\0\0x\ny\n", 27)) != std::string::npos);
    CHECK(entry.ends_with("PGMEND_N=3\n"));
}

TEST_CASE("standard error is the journal only where systemd says so") {
    struct stat is {};
    REQUIRE(::fstat(2, &is) == 0);
    ::unsetenv("JOURNAL_STREAM");
    CHECK_FALSE(app::is_journal(2));
    ::setenv("JOURNAL_STREAM", (std::to_string(is.st_dev) + ":" + std::to_string(is.st_ino)).c_str(), 1);
    CHECK(app::is_journal(2));
    ::setenv("JOURNAL_STREAM", "1:1", 1);
    CHECK_FALSE(app::is_journal(2));
    ::unsetenv("JOURNAL_STREAM");
    CHECK(app::open_journal("/nonexistent/socket") == -1);
}
