// What PostgreSQL's HINT, or likeness, offers for a column that no version of the schema had. Guesses only ever propose writes.
#include "pgmend/healing/likeness.hpp"
#include "healing/situation.hpp"
#include "healing/token_view.hpp"
#include "healing/version_source.hpp"

#include <algorithm>
#include <iterator>

namespace pgmend::healing {
namespace {

/// Measured (likeness.hpp): below the first it is mostly wrong, within the second of the next one it is a tie.
constexpr double least_likeness = 0.6;
constexpr double least_lead = 0.15;

/// The column that PostgreSQL misses: the last part of the name that the error points at. Empty: it is about something else.
std::string missing_name(situation const& at) {
    auto const& error = *at.asked.error;
    static constexpr std::string_view routines[] = {"errorMissingColumn", "checkInsertTargets", "transformUpdateTargetList"};
    if (error.sqlstate != "42703" || !at.position || std::find(std::begin(routines), std::end(routines), error.routine) == std::end(routines)) return {};
    token_view const tokens{at.text.text(), at.text.tokens()};
    auto token = tokens.at(*at.position);
    if (token == token_view::none) return {};
    while (tokens.is(token + 1, ".") && token + 2 < tokens.size()) token += 2;
    auto const names = identifiers(tokens.text(token));
    return names.size() == 1 ? names.front() : std::string{};
}

/// Relations whose names stand in the text.
std::vector<catalog::relation const*> mentioned(situation const& at) {
    std::vector<catalog::relation const*> out;
    auto const names = identifiers(at.asked.sql);
    for (auto const& it : at.versions.now.relations()) {
        if (it->kind == 'S' || !std::binary_search(names.begin(), names.end(), it->name)) continue;
        bool const reachable = find_relation(at.versions.now, at.asked.session, {}, it->name) == it.get() ||
                               std::binary_search(names.begin(), names.end(), it->schema);
        if (reachable) out.push_back(it.get());
    }
    return out;
}

/// `… "users.email" …`: what stands in the one pair of quotes, in whatever language the rest is.
std::string_view quoted_in(std::string_view hint) {
    auto const open = hint.find('"');
    auto const close = open == std::string_view::npos ? open : hint.find('"', open + 1);
    if (close == std::string_view::npos || hint.find('"', close + 1) != std::string_view::npos) return {};
    return hint.substr(open + 1, close - open - 1);
}

} // namespace

std::vector<guess> guesses(situation const& at) {
    std::vector<guess> out;
    if (!at.asked.error) return out;
    auto const name = missing_name(at);
    if (name.empty()) return out;
    auto const relations = mentioned(at);
    if (auto const hinted = quoted_in(at.asked.error->hint); !hinted.empty()) {
        for (auto const* relation : relations) {
            for (auto const& column : relation->columns) {
                bool const named = hinted.size() > column.name.size() && hinted.ends_with(column.name) &&
                                   hinted[hinted.size() - column.name.size() - 1] == '.';
                if (named) out.push_back({evidence::hint, relation->id, column.number, name});
            }
        }
        if (!out.empty()) return out;
    }
    if (!at.asked.error->hint.empty()) return out; // it names two, or none that is known
    guess best{evidence::similarity, 0, 0, name};
    double first = 0, second = 0;
    for (auto const* relation : relations) {
        for (auto const& column : relation->columns) {
            auto const alike = likeness(name, column.name);
            if (alike > first) {
                second = std::exchange(first, alike);
                best.relation = relation->id;
                best.column = column.number;
            } else {
                second = std::max(second, alike);
            }
        }
    }
    if (first >= least_likeness && first - second >= least_lead) out.push_back(best);
    return out;
}

} // namespace pgmend::healing
