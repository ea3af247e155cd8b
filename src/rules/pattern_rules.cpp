#include "pgmend/rules/pattern_rules.hpp"

#include "pgmend/learning/pattern_text.hpp"
#include "pgmend/rules/rule_writer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace pgmend::rules {
namespace {

using kind = learning::pattern_text::kind_type;

constexpr std::size_t most_pattern_name_bytes = 90; // a rule's name may have 100; there may be a number behind it

/// A word that a rule may have for its name, of what the pattern is about.
std::string name_for(learning::pattern_text const& is, std::set<std::string>& taken) {
    std::string name;
    for (std::size_t i = 1; i < is.before.size(); ++i) {
        if (!name.empty()) name += '-';
        for (char const c : is.before[i]) {
            auto const byte = static_cast<unsigned char>(c);
            name += byte >= 0x80 ? c : std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '-';
        }
    }
    name.erase(0, name.find_first_not_of('-'));
    if (name.size() > most_pattern_name_bytes) {
        auto end = most_pattern_name_bytes;
        while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end; // inside a character
        name.resize(end);
    }
    if (name.empty()) name = "pattern";
    auto unique = name;
    for (int n = 2; !taken.insert(unique).second; ++n) unique = fmt::format("{}-{}", name, n);
    return unique;
}

bool is_dropped(kind of) { return of == kind::dropped_read || of == kind::dropped_write; }

/// What two rules may not say different things of.
std::string subject_of(std::string const& database, learning::pattern_text const& is) {
    auto const group = is_dropped(is.kind) ? kind::column : is.kind;
    return fmt::format("{}\n{}\n{}", database, static_cast<int>(group), fmt::join(is.before, "\n"));
}

std::string_view origin_of(learning::evidence from) {
    switch (from) {
    case learning::evidence::approved: return "approved by a person";
    case learning::evidence::lineage: return "the catalog's own history";
    case learning::evidence::migration: return "migration files";
    case learning::evidence::rule:
    case learning::evidence::hint:
    case learning::evidence::similarity:
    case learning::evidence::advisor: break;
    }
    return learning::name_of(from);
}

std::string comment_of(learning::pattern const& p) {
    auto const day = [](learning::time_point at) {
        return fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(at))));
    };
    return fmt::format("pattern {}, {}: first seen {}, {} {}, last {}", p.id, origin_of(p.from), day(p.first_seen), p.successes, p.successes == 1 ? "heal" : "heals",
                       day(p.last_used));
}

} // namespace

exported_rules rules_of(std::span<learning::pattern const> patterns,
                        std::function<bool(std::string const&, std::string const&, std::string const&)> const& is_sequence) {
    exported_rules out;
    std::set<std::string> names;
    auto const wanted = [](learning::pattern const& p) {
        return p.state == learning::pattern_state::active && p.from != learning::evidence::rule && !p.text.starts_with("rule ");
    };
    // What was renamed again has a pattern from each time: the one used last is what holds.
    struct newest {
        learning::pattern const* pattern;
        bool dropped;
    };
    std::map<std::string, newest> by_subject;
    for (auto const& p : patterns) {
        auto const text = wanted(p) ? learning::read_pattern_text(p.text) : std::nullopt;
        if (!text) continue;
        auto& it = by_subject.try_emplace(subject_of(p.database, *text), newest{&p, is_dropped(text->kind)}).first->second;
        if (std::tie(p.last_used, p.id) > std::tie(it.pattern->last_used, it.pattern->id)) it = {&p, is_dropped(text->kind)};
    }
    for (auto const& p : patterns) {
        if (!wanted(p)) continue;
        auto const text = learning::read_pattern_text(p.text);
        if (!text) {
            out.left_out.push_back("no rule can say: " + p.text);
            continue;
        }
        if (auto const& now = by_subject.at(subject_of(p.database, *text)); now.pattern != &p && !(now.dropped && is_dropped(text->kind))) {
            out.left_out.push_back(fmt::format("pattern {} is newer than pattern {}: {}", now.pattern->id, p.id, p.text));
            continue;
        }
        auto const& was = text->before;
        auto const& is = text->after;
        rule made;
        switch (text->kind) {
        case kind::column: made.does = column_renamed{{was[0], was[1], was[2]}, is[0]}; break;
        case kind::relation:
            made.does = object_renamed{is_sequence(p.database, is[0], is[1]) ? object_kind::sequence : object_kind::table, {was[0], was[1]}, {is[0], is[1]}};
            break;
        case kind::function: made.does = object_renamed{object_kind::function, {was[0], was[1]}, {is[0], is[1]}}; break;
        case kind::type: made.does = object_renamed{object_kind::type, {was[0], was[1]}, {is[0], is[1]}}; break;
        case kind::enum_label:
            if (was[0] != is[0] || was[1] != is[1]) {
                out.left_out.push_back("no rule can say: " + p.text); // its type was renamed as well
                continue;
            }
            made.does = label_renamed{{was[0], was[1]}, was[2], is[2]};
            break;
        case kind::dropped_read:
        case kind::dropped_write: {
            column_name const column{was[0], was[1], was[2]};
            auto const same = std::find_if(out.rules.begin(), out.rules.end(), [&](rule const& it) {
                auto const* const gone = std::get_if<column_gone>(&it.does);
                return gone != nullptr && gone->column == column && it.when.databases.front() == p.database;
            });
            auto& gone = same != out.rules.end() ? std::get<column_gone>(same->does) : made.does.emplace<column_gone>(column_gone{column, std::nullopt, {}});
            if (text->kind == kind::dropped_read) gone.read = "NULL";
            else gone.write = column_gone::write_answer::keep_in_audit;
            if (same != out.rules.end()) {
                same->comment += "\n" + comment_of(p);
                continue;
            }
            break;
        }
        }
        made.name = name_for(*text, names);
        made.when.databases = {p.database};
        made.comment = comment_of(p);
        out.rules.push_back(std::move(made));
    }
    return out;
}

std::string export_text(exported_rules const& made) {
    auto out = write_rule_file(made.rules, true);
    for (auto it : made.left_out) {
        std::replace_if(it.begin(), it.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' '); // a comment ends with its line
        out += "# " + it + "\n";
    }
    return out;
}

} // namespace pgmend::rules
