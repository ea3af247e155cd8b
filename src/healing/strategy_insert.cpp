// INSERT against identity columns, required columns and unique keys that changed.
#include "healing/situation.hpp"
#include "healing/token_view.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgmend::healing {
namespace {

using kind = sql::reference::kind_type;

refusal not_drift(std::string reason) { return {std::move(reason), refusal_kind::not_drift, {}}; }

/// Where an INSERT has its parts; the statement begins with it (no INSERT inside WITH).
struct insert_parts {
    catalog::relation const* relation{nullptr};
    std::size_t list{token_view::none}; ///< the bracket that opens the list of columns; `none`: there is no list
    std::size_t source{0};              ///< the first token behind the list
};

std::optional<insert_parts> parts_of(situation const& at, sql::resolution const& now, token_view const& tokens) {
    auto const first = tokens.from(at.text.statements()[at.index].begin);
    if (!tokens.is(first, "insert")) return std::nullopt;
    for (auto const& it : now.references) {
        if (it.kind != kind::relation || !it.target) continue;
        insert_parts found;
        found.relation = at.versions.now.find(it.relation);
        auto token = tokens.at(it.parts.back().begin);
        if (token == token_view::none || found.relation == nullptr) return std::nullopt;
        if (tokens.is(token + 1, "as")) token += 2;
        found.source = token + 1;
        if (tokens.is(found.source, "(") && !tokens.is(found.source + 1, "select") && !tokens.is(found.source + 1, "values") &&
            !tokens.is(found.source + 1, "with")) {
            found.list = found.source;
            auto const close = tokens.closing(found.list);
            if (close == token_view::none) return std::nullopt;
            found.source = close + 1;
        }
        return found;
    }
    return std::nullopt;
}

/// The columns that the INSERT gives values to.
std::vector<std::int16_t> written(insert_parts const& insert, sql::resolution const& now, token_view const& tokens) {
    std::vector<std::int16_t> out;
    if (insert.list == token_view::none) {
        for (auto const& it : now.positional_targets) {
            if (it.relation == insert.relation->id) out = it.columns;
        }
        return out;
    }
    for (auto const& item : tokens.items(insert.list)) {
        for (auto const& it : now.references) {
            if (it.kind == kind::column && it.parts.front().begin == tokens[item.first].begin) out.push_back(it.column);
        }
    }
    return out;
}

} // namespace

adapted overriding_identity(situation const& at, sql::resolution const& now) {
    token_view const tokens{at.text.text(), at.text.tokens()};
    auto const insert = parts_of(at, now, tokens);
    if (!insert) return not_drift("only an INSERT can say OVERRIDING SYSTEM VALUE");
    if (tokens.is(insert->source, "overriding")) return not_drift("the INSERT says OVERRIDING already");
    if (!tokens.is(insert->source, "values") && !tokens.is(insert->source, "select") && !tokens.is(insert->source, "with")) {
        return not_drift("the source of the INSERT is not understood");
    }
    for (auto const number : written(*insert, now, tokens)) {
        auto const* column = insert->relation->find_column(number);
        if (column == nullptr || column->identity != 'a') continue;
        bool const was_free = std::any_of(at.versions.earlier.begin(), at.versions.earlier.end(), [&](auto const& version) {
            auto const* was = version->find(insert->relation->id);
            auto const* before = was != nullptr ? was->find_column(number) : nullptr;
            return before != nullptr && before->identity != 'a';
        });
        if (!was_free) continue;
        adaptation made;
        made.edits.push_back({tokens[insert->source].begin, tokens[insert->source].begin, "OVERRIDING SYSTEM VALUE "});
        made.patterns.push_back(fmt::format("identity column {}.{}.{}: overriding system value", insert->relation->schema,
                                            insert->relation->name, column->name));
        made.note = "the column became GENERATED ALWAYS AS IDENTITY: the statement's own value is stored, and the sequence does not follow it";
        return made;
    }
    return not_drift("no column that the INSERT writes became GENERATED ALWAYS AS IDENTITY");
}

namespace {

bool same_key(catalog::index_entry const& index, std::vector<std::int16_t> const& columns) {
    auto mine = index.columns;
    auto theirs = columns;
    std::sort(mine.begin(), mine.end());
    std::sort(theirs.begin(), theirs.end());
    return mine == theirs;
}

/// A whole, plain, immediate unique index.
bool plain(catalog::index_entry const& index) {
    return index.unique && index.immediate && index.predicate.empty() &&
           std::find(index.columns.begin(), index.columns.end(), 0) == index.columns.end();
}

} // namespace

adapted other_conflict_target(situation const& at, sql::resolution const& now) {
    token_view const tokens{at.text.text(), at.text.tokens()};
    auto const insert = parts_of(at, now, tokens);
    if (!insert) return not_drift("only ON CONFLICT of an INSERT names a unique key");
    auto const end = at.text.statements()[at.index].end;
    auto conflict = insert->source;
    int depth = 0;
    for (; conflict < tokens.size() && tokens[conflict].begin < end; ++conflict) {
        if (tokens.is(conflict, "(")) ++depth;
        if (tokens.is(conflict, ")")) --depth;
        if (depth == 0 && tokens.is(conflict, "on") && tokens.is(conflict + 1, "conflict")) break;
    }
    auto const open = conflict + 2;
    if (!tokens.is(open, "(")) return not_drift("the ON CONFLICT does not list columns");
    auto const close = tokens.closing(open);
    if (close == token_view::none || tokens.is(close + 1, "where")) return not_drift("an ON CONFLICT with a predicate is not healed");
    std::vector<std::int16_t> columns;
    for (auto const& item : tokens.items(open)) {
        if (item.first != item.last) return not_drift("an ON CONFLICT with expressions is not healed");
        for (auto const& it : now.references) {
            if (it.kind == kind::column && it.parts.front().begin == tokens[item.first].begin) columns.push_back(it.column);
        }
    }
    auto const& relation = *insert->relation;
    if (std::any_of(relation.unique_indexes.begin(), relation.unique_indexes.end(), [&](auto const& i) { return plain(i) && same_key(i, columns); })) {
        return not_drift("the unique key that ON CONFLICT names is there");
    }
    // The key that was there, and those that came since it is gone.
    for (auto const& version : at.versions.earlier) {
        auto const* was = version->find(relation.id);
        if (was == nullptr) continue;
        if (std::none_of(was->unique_indexes.begin(), was->unique_indexes.end(), [&](auto const& i) { return plain(i) && same_key(i, columns); })) continue;
        std::vector<catalog::index_entry const*> candidates;
        for (auto const& index : relation.unique_indexes) {
            bool const there_before = std::any_of(was->unique_indexes.begin(), was->unique_indexes.end(), [&](auto const& i) { return i.id == index.id; });
            // Only a key that shares columns with the old one can have replaced it.
            bool const related = std::any_of(index.columns.begin(), index.columns.end(), [&](auto n) {
                return std::find(columns.begin(), columns.end(), n) != columns.end();
            });
            if (!there_before && plain(index) && related) candidates.push_back(&index);
        }
        if (candidates.size() != 1) {
            return refusal{fmt::format("the unique key behind ON CONFLICT is gone, and {} keys may have replaced it", candidates.size()),
                           candidates.empty() ? refusal_kind::dropped : refusal_kind::ambiguous_lineage, {}};
        }
        std::string list;
        for (auto const number : candidates.front()->columns) {
            auto const* column = relation.find_column(number);
            if (column == nullptr) return not_drift("a column of the new key is not known");
            list += (list.empty() ? "" : ", ") + sql::quoted_name(column->name);
        }
        adaptation made;
        made.edits.push_back({tokens[open].begin, tokens[close].end, fmt::format("({})", list)});
        made.patterns.push_back(fmt::format("conflict target of {}.{} -> {}", relation.schema, relation.name, candidates.front()->name));
        made.note = fmt::format("the unique key behind ON CONFLICT was replaced by ({}): other rows may conflict now", list);
        return made;
    }
    return not_drift("no version of this schema had a unique key for this ON CONFLICT");
}

namespace {

/// The last token of the list that follows `select`. Nothing: where it ends is not clear, or there are several lists.
std::optional<std::size_t> end_of_list(token_view const& tokens, std::size_t select, std::uint32_t end) {
    static constexpr std::string_view enders[] = {"from", "where", "group", "having", "window", "order", "limit", "offset", "fetch", "for", "on", "returning"};
    std::optional<std::size_t> last;
    for (auto i = select + 1; i < tokens.size() && tokens[i].begin < end && !tokens.is(i, ";"); ++i) {
        bool const several = tokens.is(i, "union") || tokens.is(i, "intersect") || tokens.is(i, "except") || tokens.is(i, "into");
        if (several || (i == select + 1 && tokens.is(i, "distinct"))) return std::nullopt;
        bool const compares = tokens.is(i, "from") && tokens.is(i - 1, "distinct"); // IS DISTINCT FROM
        if (!last && !compares && std::any_of(std::begin(enders), std::end(enders), [&](auto word) { return tokens.is(i, word); })) last = i - 1;
        if (tokens.is(i, "(") || tokens.is(i, "[")) {
            i = tokens.closing(i);
            if (i == token_view::none) return std::nullopt;
        }
        if (i + 1 == tokens.size() || tokens[i + 1].begin >= end || tokens.is(i + 1, ";")) last = last.value_or(i);
    }
    return last && *last > select ? last : std::nullopt;
}

} // namespace

adapted required_defaults(situation const& at, sql::resolution const& now) {
    if (at.known.rules == nullptr || at.known.rules->empty() || !now.writes) return not_drift("no rule has a default");
    token_view const tokens{at.text.text(), at.text.tokens()};
    auto const insert = parts_of(at, now, tokens);
    if (!insert) return not_drift("no rule has a default for it");
    auto const columns = written(*insert, now, tokens);
    auto const values = tokens.is(insert->source, "overriding") ? insert->source + 3 : insert->source;
    std::vector<std::pair<catalog::column const*, rules::rule const*>> wanted;
    for (auto const* rule : at.known.rules->defaults(insert->relation->schema, insert->relation->name, at.asked.who)) {
        auto const& says = std::get<rules::column_default>(rule->does);
        auto const* column = insert->relation->find_column(std::string_view{says.column.column});
        if (column == nullptr || std::find(columns.begin(), columns.end(), column->number) != columns.end()) continue;
        wanted.emplace_back(column, rule);
    }
    if (wanted.empty()) return not_drift("no rule has a default for a column that the INSERT leaves out");
    bool const of_select = tokens.is(values, "select") && !columns.empty();
    auto const selected = of_select ? end_of_list(tokens, values, at.text.statements()[at.index].end) : std::nullopt;
    if (!selected && !tokens.is(values, "values")) {
        return refusal{"a rule has a default, but the INSERT has neither VALUES nor a plain SELECT", refusal_kind::not_understood, {}};
    }
    adaptation made;
    made.evidence = evidence::rule;
    made.equal = true;
    std::string names;
    std::string expressions;
    for (auto const& [column, rule] : wanted) {
        names += ", " + sql::quoted_name(column->name);
        expressions += fmt::format(", ({})", std::get<rules::column_default>(rule->does).expression);
        made.patterns.push_back("rule " + rule->name);
    }
    if (insert->list != token_view::none) {
        auto const close = tokens.closing(insert->list);
        made.edits.push_back({tokens[close].begin, tokens[close].begin, names});
    } else {
        std::string list;
        for (auto const number : columns) {
            auto const* column = insert->relation->find_column(number);
            if (column == nullptr) return not_drift("the columns of the INSERT are not known");
            list += (list.empty() ? "" : ", ") + sql::quoted_name(column->name);
        }
        auto const after = tokens[insert->source - 1].end;
        made.edits.push_back({after, after, fmt::format(" ({}{})", list, names)});
    }
    if (selected) made.edits.push_back({tokens[*selected].end, tokens[*selected].end, expressions});
    for (auto row = values + 1; !selected && tokens.is(row, "("); ++row) {
        auto const close = tokens.closing(row);
        if (close == token_view::none || tokens.items(row).size() != columns.size()) {
            return refusal{"a row of VALUES has another number of values than there are columns", refusal_kind::not_understood, {}};
        }
        made.edits.push_back({tokens[close].begin, tokens[close].begin, expressions});
        row = close + 1;
        if (!tokens.is(row, ",")) break;
    }
    return made;
}

} // namespace pgmend::healing
