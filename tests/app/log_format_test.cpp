#include "pgmend/app/log_format.hpp"
#include "pgmend/app/rate_limiter.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace pgmend;
using namespace std::chrono_literals;
using app::colour;
using base::log_field;
using base::log_level;

namespace {

app::log_time const noon = std::chrono::sys_days{std::chrono::year{2026} / 1 / 2} + 3h + 4min + 5s + 678901us;

std::string json_value(log_field const& f) {
    auto const line = app::format_json(noon, log_level::info, "e", std::span{&f, 1});
    auto const begin = line.find("\"k\":") + 4;
    return line.substr(begin, line.size() - begin - 2);
}

std::string text_value(log_field const& f) {
    auto const line = app::format_text(noon, log_level::info, "e", std::span{&f, 1}, colour::off);
    auto const begin = line.find("k=") + 2;
    return line.substr(begin, line.size() - begin - 1);
}

} // namespace

TEST_CASE("times are RFC 3339 in UTC with microseconds") {
    CHECK(app::format_time(noon) == "2026-01-02T03:04:05.678901Z");
    CHECK(app::format_time(app::log_time{}) == "1970-01-01T00:00:00.000000Z");
    CHECK(app::format_time(app::log_time{} - 1us) == "1969-12-31T23:59:59.999999Z");
}

TEST_CASE("a JSON line has time, level, event and the fields in their order") {
    log_field const fields[] = {{"database", "shop"}, {"duration_us", 1234}, {"rate", 0.5}, {"tls", true}};
    CHECK(app::format_json(noon, log_level::warning, "statement.healed", fields) ==
          R"({"ts":"2026-01-02T03:04:05.678901Z","level":"warning","event":"statement.healed","database":"shop","duration_us":1234,"rate":0.5,"tls":true})"
          "\n");
    CHECK(app::format_json(noon, log_level::debug, "e", {}) == "{\"ts\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"debug\",\"event\":\"e\"}\n");
}

TEST_CASE("JSON text is escaped, and what is not UTF-8 is replaced") {
    CHECK(json_value({"k", "a\"b\\c"}) == R"("a\"b\\c")");
    CHECK(json_value({"k", "a\nb\tc\rd"}) == R"("a\nb\tc\rd")");
    CHECK(json_value({"k", std::string_view{"\0\x1b\x7f", 3}}) == R"("\u0000\u001b\u007f")");
    CHECK(json_value({"k", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98"}) == "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x98\"");
    CHECK(json_value({"k", "a\xff" "b"}) == "\"a\xef\xbf\xbd" "b\"");
    CHECK(json_value({"k", "\xed\xa0\x80"}) == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); // a surrogate
    CHECK(json_value({"k", "\xc3"}) == "\"\xef\xbf\xbd\"");                                  // cut off
    CHECK(json_value({"k", "\xc0\x80"}) == "\"\xef\xbf\xbd\xef\xbf\xbd\"");                  // overlong
}

TEST_CASE("numbers that JSON does not have are null") {
    CHECK(json_value({"k", std::numeric_limits<double>::infinity()}) == "null");
    CHECK(json_value({"k", std::numeric_limits<double>::quiet_NaN()}) == "null");
    CHECK(json_value({"k", std::numeric_limits<std::int64_t>::min()}) == "-9223372036854775808");
}

TEST_CASE("a text line is for people") {
    log_field const fields[] = {{"database", "shop"}, {"before", "select email"}, {"after", ""}, {"count", 3}};
    CHECK(app::format_text(noon, log_level::info, "statement.healed", fields, colour::off) ==
          "2026-01-02T03:04:05.678901Z INFO  statement.healed database=shop before=\"select email\" after=\"\" count=3\n");
    CHECK(app::format_text(noon, log_level::error, "e", {}, colour::off) == "2026-01-02T03:04:05.678901Z ERROR e\n");
}

TEST_CASE("values are quoted only when needed") {
    CHECK(text_value({"k", "127.0.0.1:5432"}) == "127.0.0.1:5432");
    CHECK(text_value({"k", "a b"}) == "\"a b\"");
    CHECK(text_value({"k", "a=b"}) == "\"a=b\"");
    CHECK(text_value({"k", "a\"b"}) == R"("a\"b")");
    CHECK(text_value({"k", "gr\xc3\xbc"}) == "gr\xc3\xbc");
}

TEST_CASE("a text line is always one line and cannot steer a terminal") {
    CHECK(text_value({"k", "a\nb"}) == R"("a\nb")");
    CHECK(text_value({"k", "\x1b[2J"}) == R"("\u001b[2J")");
    CHECK(text_value({"k", "\xc2\x9b" "2J"}) == R"("\u009b2J")");             // C1: CSI
    CHECK(text_value({"k", "\xe2\x80\xae" "x"}) == R"("\u202ex")");           // right-to-left override
    CHECK(text_value({"k", "\xff"}) == "\"\xef\xbf\xbd\"");
}

TEST_CASE("colour is only where it was asked for") {
    log_field const fields[] = {{"k", "v"}};
    CHECK(app::format_text(noon, log_level::error, "e", fields, colour::on) ==
          "2026-01-02T03:04:05.678901Z \x1b[31mERROR\x1b[0m e \x1b[2mk=\x1b[0mv\n");
}

TEST_CASE("long values are cut at a whole character") {
    std::string const text = std::string(app::most_value_bytes - 1, 'x') + "\xc3\xbc" + "yyy";
    CHECK(json_value({"k", text}) == "\"" + std::string(app::most_value_bytes - 1, 'x') + "\xc3\xbc\xe2\x80\xa6\"");
    CHECK(json_value({"k", std::string(app::most_value_bytes, 'x')}).find("\xe2\x80\xa6") == std::string::npos);
}

TEST_CASE("each event has its own limit a second") {
    app::rate_limiter limiter{2};
    base::time_point const now{1h};
    CHECK(limiter.admit("a", now));
    CHECK(limiter.admit("a", now + 1ms));
    CHECK_FALSE(limiter.admit("a", now + 2ms));
    CHECK(limiter.admit("b", now + 3ms));
    CHECK_FALSE(limiter.admit("a", now + 999ms));
    CHECK(limiter.take(now + 999ms).empty());
    CHECK(limiter.take(now + 1s) == std::vector<app::rate_limiter::suppressed>{{"a", 2}});
    CHECK(limiter.take(now + 1s).empty());
    CHECK(limiter.admit("a", now + 1s));
    CHECK(limiter.admit("a", now + 1s));
    CHECK_FALSE(limiter.admit("a", now + 1s));
}

TEST_CASE("any number of event names needs bounded memory, and none is unlimited") {
    app::rate_limiter limiter{1};
    base::time_point const now{1h};
    std::size_t admitted = 0;
    for (int i = 0; i < 1000; ++i) admitted += limiter.admit("event" + std::to_string(i), now) ? 1U : 0U;
    CHECK(admitted == app::rate_limiter::most_names);
    CHECK(limiter.take(now + 1s) == std::vector<app::rate_limiter::suppressed>{{"other", 1000 - app::rate_limiter::most_names}});
}
