#include "pgmend/app/log_format.hpp"

#include "pgmend/base/utf8.hpp"

#include "app/colours.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace pgmend::app {
namespace {

using base::log_field;
using base::log_level;

constexpr std::string_view replacement = "\xef\xbf\xbd"; // U+FFFD
constexpr std::string_view ellipsis = "\xe2\x80\xa6";

struct level_look {
    std::string_view json;
    std::string_view text; ///< all as wide as the widest
    std::string_view colour;
};
constexpr level_look looks[] = {
    {"debug", "DEBUG", colours::dim}, {"info", "INFO ", colours::green}, {"warning", "WARN ", colours::yellow}, {"error", "ERROR", colours::red}};

level_look const& look_of(log_level level) { return looks[static_cast<std::size_t>(level)]; }

/// What could move the cursor, end the line, or show a text in another order than it is in.
bool is_harmful(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/// Appends the text, in parts that need no escape and by `escape(code point)`. What is not UTF-8 becomes U+FFFD;
/// what is too long is cut.
template <class NeedsEscape, class Escape>
void append_escaped(std::string& out, std::string_view text, NeedsEscape needs_escape, Escape escape) {
    std::size_t at = 0;
    while (at < text.size()) {
        auto const begin = at;
        if (begin >= most_value_bytes) {
            out += ellipsis;
            return;
        }
        auto const c = base::next_code_point(text, at);
        if (!c) out += replacement;
        else if (needs_escape(*c)) escape(*c);
        else out.append(text, begin, at - begin);
    }
}

void append_json_text(std::string& out, std::string_view text) {
    out += '"';
    append_escaped(
        out, text, [](char32_t c) { return c == '"' || c == '\\' || c < 0x20 || c == 0x7f; },
        [&](char32_t c) {
            switch (c) {
                case '"': out += "\\\""; break;
                case '\\': out += "\\\\"; break;
                case '\n': out += "\\n"; break;
                case '\r': out += "\\r"; break;
                case '\t': out += "\\t"; break;
                default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
            }
        });
    out += '"';
}

void append_text_value(std::string& out, std::string_view text) {
    bool quotes = text.empty();
    for (std::size_t at = 0; at < text.size() && !quotes;) {
        auto const c = base::next_code_point(text, at);
        quotes = !c || *c == ' ' || *c == '"' || *c == '=' || *c == '\\' || is_harmful(*c);
    }
    if (quotes) out += '"';
    append_escaped(
        out, text, [](char32_t c) { return c == '"' || c == '\\' || is_harmful(c); },
        [&](char32_t c) {
            switch (c) {
                case '"': out += "\\\""; break;
                case '\\': out += "\\\\"; break;
                case '\n': out += "\\n"; break;
                case '\r': out += "\\r"; break;
                case '\t': out += "\\t"; break;
                default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
            }
        });
    if (quotes) out += '"';
}

/// Numbers and truth values are written alike everywhere, except that JSON knows neither NaN nor infinity.
struct append_value {
    std::string& out;
    bool json;

    void operator()(std::string_view v) const { json ? append_json_text(out, v) : append_text_value(out, v); }
    void operator()(std::int64_t v) const { fmt::format_to(std::back_inserter(out), "{}", v); }
    void operator()(bool v) const { out += v ? "true" : "false"; }
    void operator()(double v) const {
        if (json && !std::isfinite(v)) out += "null";
        else fmt::format_to(std::back_inserter(out), "{}", v);
    }
};

} // namespace

std::string harmless_text(std::string_view text) {
    std::string out;
    append_escaped(out, text, is_harmful, [&](char32_t c) {
        if (c == '\n' || c == '\r' || c == '\t') out += ' ';
        else fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    });
    return out;
}

std::string format_time(log_time t) {
    using namespace std::chrono;
    auto const micros = floor<microseconds>(t);
    auto const midnight = floor<days>(micros);
    year_month_day const day{midnight};
    hh_mm_ss const clock{micros - midnight};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                       static_cast<unsigned>(day.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                       clock.subseconds().count());
}

std::string format_json(log_time t, log_level level, std::string_view event, std::span<log_field const> fields) {
    std::string out;
    out.reserve(256);
    out.append(R"({"ts":")").append(format_time(t)).append(R"(","level":")").append(look_of(level).json).append(R"(","event":)");
    append_json_text(out, event);
    for (auto const& f : fields) {
        out += ',';
        append_json_text(out, f.key);
        out += ':';
        std::visit(append_value{out, true}, f.value);
    }
    return out.append("}\n");
}

std::string format_text(log_time t, log_level level, std::string_view event, std::span<log_field const> fields, colour c) {
    bool const on = c == colour::on;
    auto const paint = [on](std::string_view with) { return on ? with : std::string_view{}; };
    std::string out;
    out.reserve(256);
    out.append(format_time(t)).append(" ").append(paint(look_of(level).colour)).append(look_of(level).text).append(paint(colours::plain)).append(" ");
    append_text_value(out, event);
    for (auto const& f : fields) {
        out.append(" ").append(paint(colours::dim));
        append_text_value(out, f.key);
        out.append("=").append(paint(colours::plain));
        std::visit(append_value{out, false}, f.value);
    }
    return out.append("\n");
}

} // namespace pgmend::app
