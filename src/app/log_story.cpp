// The log for people: one line an event, that says in words what happened.
#include "pgmend/app/log_format.hpp"

#include "app/colours.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace pgmend::app {
namespace {

using base::log_field;
using base::log_level;
using namespace colours;

/// How an event is told: a word, and a sentence in which {field} stands for its value. Sentences are tried in their order; the first one
/// whose fields are all there is used. Fields that no sentence names follow, as in the plain form, but those in `quiet`.
struct telling {
    std::string_view event;
    std::string_view word;
    std::string_view colour;
    std::array<std::string_view, 3> sentences;
};
constexpr telling tellings[] = {
    {"proxy.started", "started", green, {"pgmend {version} listens on {address} port {port}, in front of {backend}"}},
    {"proxy.stopped", "stopped", yellow, {"{reason}"}},
    {"proxy.failed", "failed", red, {"{reason}"}},
    {"config.reloaded", "reloaded", cyan, {"{rules} rules; needs a restart for: {restart_needed_for}", "{rules} rules"}},
    {"config.rejected", "rejected", red, {"the new configuration changes nothing: {reason}"}},
    {"client.connected", "connected", dim, {"{application_name} as {user} to {database}"}},
    {"client.disconnected", "left", dim, {"{application_name} as {user} from {database}, after {duration_us}"}},
    {"client.rejected", "turned away", yellow, {"{user} to {database}: {reason}", "{reason}"}},
    {"session.moved", "moved", yellow, {"{user} in {database} to {backend}, in {duration_us}: {before} was lost"}},
    {"session.not_moved", "not moved", yellow, {"{user} in {database}: {reason}"}},
    {"transaction.at_primary", "stays", dim, {"a read-only transaction of {user} in {database}, at the primary: {reason}"}},
    {"backend.role", "role", cyan, {"{backend} is {role}, it was {before}: {reason}", "{backend} is {role}, it was {before}"}},
    {"rules.doubtful", "doubtful", yellow, {"{reason}"}},
    {"server.lost", "server lost", red, {"under {user} in {database}: {reason}"}},
    {"statement.healed", "healed", green, {"{application_name} ({user} in {database}): {pattern} in {duration_us}", "{application_name} ({user} in {database}): {pattern}", "{application_name}: {pattern}"}},
    {"statement.refused", "not healed", yellow, {"{application_name} ({user} in {database}): {reason}", "{application_name}: {reason}"}},
    {"statement.observed", "would heal", cyan, {"{application_name} ({user} in {database}): {pattern}", "{application_name}: {pattern}"}},
    {"statement.drifted", "drifts", yellow, {"{application_name} ({user} in {database}): {pattern}", "{application_name}: {pattern}"}},
    {"statement.fallback", "stands in", yellow, {"rule {rule} answers {user} in {database} from {source}"}},
    {"schema.changed", "changed", cyan, {"schema of {database}, now version {version} ({severity}): {changes}"}},
    {"catalog.loaded", "read", dim, {"the schema of {database}"}},
    {"catalog.unavailable", "cannot read", red, {"the schema of {database}: {problem}", "schemas: {problem}"}},
    {"catalog.available", "reads again", green, {"the schema of {database}"}},
    {"cache.invalidated", "looks anew", dim, {"at statements of {database} that mention {names}"}},
    {"pattern.proposed", "proposed", yellow, {"{pattern} in {database}: APPROVE PATTERN {id} makes it heal", "{pattern}"}},
    {"pattern.activated", "in use", green, {"pattern {id} in {database}: {pattern}", "{pattern}"}},
    {"pattern.suspended", "suspended", yellow, {"pattern {id} in {database}: {pattern}: {reason}", "{pattern}"}},
    {"pattern.retired", "retired", dim, {"pattern {id} in {database}: {pattern}: {reason}", "{pattern}"}},
    {"breaker.opened", "breaker open", red, {"{backend}: {reason}", "{backend}"}},
    {"breaker.half_opened", "breaker tries", yellow, {"{backend}"}},
    {"breaker.closed", "breaker shut", green, {"{backend}"}},
    {"optimizer.decided", "noticed", yellow, {"{reason}: {advice}", "{reason}"}},
    {"console.command", "command", cyan, {"{user} said {command} {number}", "{user} said {command}"}},
    {"log.suppressed", "and more", dim, {"{count} more {name}"}},
};

/// What a person does not miss: the JSON form and `psql -p 6432 pgmend` have it.
constexpr std::string_view unmentioned[] = {"cause",    "version",     "client",   "fingerprint", "evidence", "tier",       "healing",  "workers", "sqlstate",
                                            "relations", "count",      "lineage",  "everything", "successes", "failures", "tls"};

log_field const* find(std::span<log_field const> fields, std::string_view key) {
    auto const found = std::find_if(fields.begin(), fields.end(), [key](auto const& f) { return f.key == key; });
    return found == fields.end() ? nullptr : &*found;
}

std::string duration_text(std::int64_t us) {
    auto const n = static_cast<double>(us);
    if (us < 1000) return fmt::format("{} µs", us);
    if (us < 1'000'000) return fmt::format("{:.1f} ms", n / 1e3);
    if (us < 60'000'000) return fmt::format("{:.1f} s", n / 1e6);
    return fmt::format("{} min", us / 60'000'000);
}

/// Empty texts and numbers that say nothing count as missing.
bool says_something(log_field const* f) {
    if (f == nullptr) return false;
    auto const* const text = std::get_if<std::string_view>(&f->value);
    if (text != nullptr) return !text->empty() || f->key == "application_name";
    auto const* const number = std::get_if<std::int64_t>(&f->value);
    return number == nullptr || *number != 0 || (f->key != "number" && f->key != "duration_us");
}

std::string value_text(log_field const& f) {
    if (auto const* const text = std::get_if<std::string_view>(&f.value)) {
        if (f.key == "application_name" && text->empty()) return "somebody";
        return harmless_text(*text);
    }
    if (auto const* const number = std::get_if<std::int64_t>(&f.value)) return f.key.ends_with("_us") ? duration_text(*number) : fmt::format("{}", *number);
    if (auto const* const flag = std::get_if<bool>(&f.value)) return *flag ? "yes" : "no";
    return fmt::format("{:.4g}", std::get<double>(f.value));
}

/// Nothing: a field that it names is missing. `used` gets the fields that are in it.
bool fill(std::string_view sentence, std::span<log_field const> fields, std::string& out, std::vector<std::string_view>& used) {
    while (!sentence.empty()) {
        auto const open = sentence.find('{');
        out.append(sentence.substr(0, open));
        if (open == std::string_view::npos) return true;
        auto const close = sentence.find('}', open);
        auto const key = sentence.substr(open + 1, close - open - 1);
        auto const* const f = find(fields, key);
        if (!says_something(f)) return false;
        used.push_back(key);
        out += value_text(*f);
        sentence.remove_prefix(close + 1);
    }
    return true;
}

} // namespace

std::string format_story(log_time t, log_level level, std::string_view event, std::span<log_field const> fields, colour c) {
    auto const found = std::find_if(std::begin(tellings), std::end(tellings), [event](auto const& it) { return it.event == event; });
    if (found == std::end(tellings)) return format_text(t, level, event, fields, c);
    std::string sentence;
    std::vector<std::string_view> used;
    bool told = false;
    for (auto const s : found->sentences) {
        if (s.empty() || told) break;
        sentence.clear();
        used.clear();
        told = fill(s, fields, sentence, used);
    }
    if (!told) return format_text(t, level, event, fields, c);
    auto const is_used = [&](std::string_view key) {
        return std::find(used.begin(), used.end(), key) != used.end() || std::find(std::begin(unmentioned), std::end(unmentioned), key) != std::end(unmentioned);
    };
    auto const paint = [c](std::string_view with) { return c == colour::on ? with : std::string_view{}; };
    auto clock = format_time(t).substr(0, 23); // 2026-01-02T03:04:05.678
    clock[10] = ' ';
    if (c == colour::on) clock.erase(0, 11); // who looks on knows the day
    bool const loud = level >= log_level::error;
    std::string out = fmt::format("{}{}{}  {}{}{:<13}{} {}", paint(dim), clock, paint(plain), paint(loud ? red : found->colour), paint(bold), found->word, paint(plain), sentence);
    auto const* const before = is_used("before") ? nullptr : find(fields, "before");
    auto const* const after = find(fields, "after");
    if (says_something(after) && says_something(before)) {
        fmt::format_to(std::back_inserter(out), "  {}{}{} {}→{} {}{}{}", paint(red), value_text(*before), paint(plain), paint(dim), paint(plain), paint(green),
                       value_text(*after), paint(plain));
    } else if (says_something(before)) {
        fmt::format_to(std::back_inserter(out), "  {}{}{}", paint(cyan), value_text(*before), paint(plain));
    }
    for (auto const& f : fields) {
        if (is_used(f.key) || f.key == "before" || f.key == "after" || !says_something(&f) || value_text(f) == "somebody") continue;
        if (f.key == "duration_us") fmt::format_to(std::back_inserter(out), "  {}in {}{}", paint(dim), value_text(f), paint(plain));
        else fmt::format_to(std::back_inserter(out), "  {}{}={}{}", paint(dim), f.key, value_text(f), paint(plain));
    }
    return out + "\n";
}

} // namespace pgmend::app
