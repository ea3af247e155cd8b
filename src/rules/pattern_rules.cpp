#include "pgmend/rules/pattern_rules.hpp"

#include "pgmend/learning/pattern_text.hpp"
#include "pgmend/rules/rule_writer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace pgmend::rules {
namespace {

using kind = learning::pattern_text::kind_type;

std::string name_for(learning::pattern_text const& is, std::set<std::string>& taken) {
    std::string name;
    for (std::size_t i = 1; i < is.before.size(); ++i) {
        if (!name.empty()) name += '-';
        for (char const c : is.before[i]) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
    }
    auto unique = name;
    for (int n = 2; !taken.insert(unique).second; ++n) unique = fmt::format("{}-{}", name, n);
    return unique;
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
    for (auto const& p : patterns) {
        if (p.state != learning::pattern_state::active || p.from == learning::evidence::rule || p.text.starts_with("rule ")) continue;
        auto const text = learning::read_pattern_text(p.text);
        if (!text) {
            out.left_out.push_back(p.text);
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
                out.left_out.push_back(p.text); // its type was renamed as well
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
    for (auto const& it : made.left_out) out += "# no rule can say: " + it + "\n";
    return out;
}

} // namespace pgmend::rules
