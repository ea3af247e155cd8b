// What pgmend knows: schemas, rules, patterns.
#include "admin/commands.hpp"

#include "pgmend/catalog/change.hpp"
#include "pgmend/rules/rule_writer.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <utility>

namespace pgmend::admin {
namespace {

using session::console_row;
using rows = std::vector<console_row>;
using databases = std::vector<control::watched_database>;

std::optional<std::string> seen_text(std::int64_t microseconds) {
    if (microseconds == 0) return std::nullopt;
    return time_text(std::chrono::system_clock::time_point{std::chrono::microseconds{microseconds}});
}

/// Asks the watcher, or says why nothing is known.
void ask_watcher(request r, std::function<rows(databases const&)> tell) {
    if (r.from->watcher == nullptr)
        return r.answer(session::console_error{wire::sqlstate::wrong_state, "no schema is read: there is no control connection", "The setting is control."});
    r.from->watcher->describe([answer = std::move(r.answer), tell = std::move(tell)](databases const& all) { answer(tell(all)); });
}

std::string mode_of(rules::rule const& it, std::chrono::sys_seconds now) {
    if (it.expired(now)) return "expired";
    if (!it.mode) return "";
    constexpr std::array<std::string_view, 3> names{"off", "observe", "heal"};
    return std::string{names[static_cast<std::size_t>(*it.mode)]};
}

/// The rule as YAML, without the file around it.
std::string rule_text(rules::rule it) {
    it.comment.clear();
    auto text = rules::write_rule_file({&it, 1});
    if (auto const dash = text.find("- "); dash != std::string::npos) text.erase(0, dash + 2);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

} // namespace

void show_schema(request r) {
    ask_watcher(std::move(r), [](databases const& all) {
        rows out;
        for (auto const& d : all) {
            auto const* const h = d.schema.get();
            out.push_back({d.name, h != nullptr ? std::optional{text_of(h->generation())} : std::nullopt,
                           h != nullptr ? seen_text(h->steps().back()->at) : std::nullopt, text_of(h != nullptr ? h->versions().size() : 0),
                           d.connected ? "yes" : "no", text_of(d.watches), text_of(d.loads), text_of(d.last_load.count()), d.problem, d.lineage});
        }
        return out;
    });
}

void show_changes(request r) {
    ask_watcher(std::move(r), [](databases const& all) {
        rows out;
        for (auto const& d : all) {
            if (!d.schema) continue;
            for (auto const& step : d.schema->steps())
                for (auto const& c : step->changes)
                    out.push_back({d.name, text_of(step->generation), seen_text(step->at), std::string{to_text(c.level)}, to_text(c), std::string{to_text(c.object)}, c.name,
                                   std::string{to_text(c.kind)}, c.before, c.after});
        }
        return out;
    });
}

void show_rules(request r) {
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    rows out;
    for (auto const& it : r.from->services->rules.get()->rules()) {
        std::optional<std::string> expires;
        if (it.expires)
            expires = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(it.expires->year()), static_cast<unsigned>(it.expires->month()),
                                  static_cast<unsigned>(it.expires->day()));
        out.push_back({it.name, mode_of(it, now), rule_text(it), expires, it.where.file, text_of(it.where.line), it.comment});
    }
    r.answer(std::move(out));
}

void show_patterns(request r) {
    r.from->learner->describe([answer = std::move(r.answer)](std::vector<learning::pattern> const& all) {
        rows out;
        out.reserve(all.size());
        for (auto const& p : all)
            out.push_back({text_of(p.id), p.database, p.text, std::string{name_of(p.from)}, std::string{name_of(p.state)},
                           fmt::format("{:.3f}", p.trust()), text_of(p.successes), text_of(p.failures), time_text(p.first_seen),
                           time_text(p.last_used), p.note, p.reason});
        answer(std::move(out));
    });
}

} // namespace pgmend::admin
