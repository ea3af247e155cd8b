// What PostgreSQL's HINT, or likeness, offers for a column or relation that no version of the schema had. Guesses only ever propose writes.
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

/// A few microseconds each, for every statement that fails so.
constexpr std::size_t most_compared = 2000;

/// What PostgreSQL misses. An empty name: the error is about something else.
struct missing {
    std::string name;
    std::string qualifier; ///< what stands in front of it: an alias, a table, a schema; or empty
};

/// The name that the error points at.
missing name_at(situation const& at) {
    token_view const tokens{at.text.text(), at.text.tokens()};
    auto token = tokens.at(*at.position);
    if (token == token_view::none) return {};
    auto const name_of = [&](std::size_t which) {
        auto const names = identifiers(tokens.text(which));
        return names.size() == 1 ? names.front() : std::string{};
    };
    missing out;
    while (tokens.is(token + 1, ".") && token + 2 < tokens.size()) {
        out.qualifier = name_of(token);
        token += 2;
    }
    out.name = name_of(token);
    return out;
}

bool misses_column(server_error const& error) {
    static constexpr std::string_view routines[] = {"errorMissingColumn", "checkInsertTargets", "transformUpdateTargetList"};
    return error.sqlstate == "42703" && std::find(std::begin(routines), std::end(routines), error.routine) != std::end(routines);
}

bool misses_relation(server_error const& error) { return error.sqlstate == "42P01" && error.routine == "parserOpenTable"; }

/// The closest of many names, where one is clearly the closest.
template <class Thing>
class contest {
  public:
    explicit contest(std::string_view name) : name_{name} {}

    void enter(std::string_view name, Thing thing) {
        auto const alike = likeness(name_, name);
        if (alike > first_) {
            second_ = std::exchange(first_, alike);
            best_ = std::move(thing);
        } else {
            second_ = std::max(second_, alike);
        }
    }
    [[nodiscard]] std::optional<Thing> winner() const {
        return first_ >= least_likeness && first_ - second_ >= least_lead ? best_ : std::nullopt;
    }

  private:
    std::string_view name_;
    double first_{0}, second_{0};
    std::optional<Thing> best_;
};

/// Relations that can be seen under the schema, or on the path; whether the columns fit is found out later.
std::vector<guess> like_relation(situation const& at, missing const& wanted) {
    contest<catalog::oid> all{wanted.name};
    std::size_t entered = 0;
    for (auto const& it : at.versions.now.relations()) {
        bool const comparable = it->name.size() < 2 * wanted.name.size() && wanted.name.size() < 2 * it->name.size();
        if (!comparable) continue;
        if (++entered > most_compared) return {};
        bool const reachable = wanted.qualifier.empty() ? find_relation(at.versions.now, at.asked.session, {}, it->name) == it.get() : it->schema == wanted.qualifier;
        if (it->kind != 'S' && it->kind != 'c' && it->schema != "pg_catalog" && reachable) all.enter(it->name, it->id);
    }
    auto const best = all.winner();
    if (!best) return {};
    return {{evidence::similarity, *best, 0, wanted.name}};
}

/// Relations whose names stand in the text.
std::vector<catalog::relation const*> mentioned(situation const& at) {
    std::vector<catalog::relation const*> out;
    auto const names = identifiers(at.asked.sql);
    for (auto const& it : at.versions.now.relations()) {
        if (it->kind == 'S' || it->kind == 'c' || !std::binary_search(names.begin(), names.end(), it->name)) continue;
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
    if (!at.position) return out;
    bool const of_column = misses_column(*at.asked.error);
    if (!of_column && !misses_relation(*at.asked.error)) return out;
    auto const wanted = name_at(at);
    auto const& name = wanted.name;
    if (name.empty()) return out;
    if (!of_column) return like_relation(at, wanted);
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
    contest<std::pair<catalog::oid, std::int16_t>> all{name};
    for (auto const* relation : relations)
        for (auto const& column : relation->columns) all.enter(column.name, {relation->id, column.number});
    if (auto const best = all.winner()) out.push_back({evidence::similarity, best->first, best->second, name});
    return out;
}

} // namespace pgmend::healing
