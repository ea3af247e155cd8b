// `*` of tables that a rule pins: the columns that the old code knows, in its order, under its labels.
#include "healing/situation.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgmend::healing {
namespace {

class pins {
  public:
    pins(situation const& at, catalog::snapshot const& version) : at_{at}, version_{version} {}

    adapted run(sql::resolution const& meant);

  private:
    [[nodiscard]] rules::rule const* rule_for(catalog::oid relation) const;
    [[nodiscard]] catalog::column const* column(catalog::relation const& table, std::string const& name) const;
    bool star(sql::star const& it);
    void add(std::string& list, sql::star const& it, std::string_view qualifier, std::string_view name, std::string_view label);

    situation const& at_;
    catalog::snapshot const& version_;
    adaptation made_;
    std::optional<refusal> refusal_;
};

/// By the name that the table has where the meaning is from, or has today.
rules::rule const* pins::rule_for(catalog::oid relation) const {
    auto const* was = version_.find(relation);
    auto const* is = at_.versions.now.find(relation);
    auto const* rule = was != nullptr ? at_.known.rules->star(was->schema, was->name, at_.asked.who) : nullptr;
    if (rule == nullptr && is != nullptr) rule = at_.known.rules->star(is->schema, is->name, at_.asked.who);
    return rule;
}

/// The column of that name, or the one that had it by a rule or by an earlier version.
catalog::column const* pins::column(catalog::relation const& table, std::string const& name) const {
    if (auto const* found = table.find_column(std::string_view{name})) return found;
    catalog::column const* one = nullptr;
    for (auto const& version : at_.versions.earlier) {
        auto const* was = version->find(table.id);
        auto const* old = was != nullptr ? was->find_column(std::string_view{name}) : nullptr;
        auto const* live = old != nullptr ? table.find_column(old->number) : nullptr;
        if (live == nullptr) continue;
        if (one != nullptr && one != live) return nullptr;
        one = live;
    }
    return one;
}

void pins::add(std::string& list, sql::star const& it, std::string_view qualifier, std::string_view name, std::string_view label) {
    list += fmt::format("{}{}.{}", list.empty() ? "" : ", ", sql::quoted_name(qualifier), sql::quoted_name(name));
    if (name != label && it.labels_matter) list += " AS " + sql::quoted_name(label);
}

/// False: it cannot be written out.
bool pins::star(sql::star const& it) {
    std::string list;
    bool changes = false;
    std::vector<std::string> patterns;
    for (std::size_t i = 0; i < it.columns.size();) {
        auto const& first = it.columns[i];
        auto const* rule = first.relation != 0 && !first.of_function ? rule_for(first.relation) : nullptr;
        auto const same = [&](sql::star_column const& other) {
            return other.relation == first.relation && other.qualifier == first.qualifier && other.of_function == first.of_function;
        };
        auto const end = static_cast<std::size_t>(std::find_if_not(it.columns.begin() + static_cast<std::ptrdiff_t>(i), it.columns.end(), same) - it.columns.begin());
        if (rule == nullptr) {
            for (; i < end; ++i) add(list, it, it.columns[i].qualifier, it.columns[i].label, it.columns[i].label);
            continue;
        }
        auto const& says = std::get<rules::star_pinned>(rule->does);
        auto const& table = *version_.find(first.relation);
        bool equal = says.columns.size() == end - i;
        for (std::size_t n = 0; n < says.columns.size(); ++n) {
            auto const* found = column(table, says.columns[n]);
            if (found == nullptr) {
                refusal_ = refusal{fmt::format("rule {} heals nothing: {}.{} has no column {}", rule->name, table.schema, table.name, says.columns[n]),
                                   refusal_kind::dropped, {}};
                return false;
            }
            equal = equal && it.columns[i + n].label == says.columns[n] && it.columns[i + n].column == found->number;
            add(list, it, first.qualifier, found->name, says.columns[n]);
        }
        changes = changes || !equal;
        if (!equal) patterns.push_back(fmt::format("rule {}: * of {}.{}", rule->name, table.schema, table.name));
        i = end;
    }
    if (!changes) return true;
    if (!it.certain || std::any_of(it.columns.begin(), it.columns.end(), [](auto const& column) { return column.qualifier.empty(); })) {
        refusal_ = refusal{"a rule pins a * that covers columns that cannot be written out (a join with USING)", refusal_kind::changed_shape, {}};
        return false;
    }
    made_.edits.push_back({it.text.begin, it.text.end, std::move(list)});
    for (auto& pattern : patterns) {
        if (std::find(made_.patterns.begin(), made_.patterns.end(), pattern) == made_.patterns.end()) made_.patterns.push_back(std::move(pattern));
    }
    return true;
}

adapted pins::run(sql::resolution const& meant) {
    made_.evidence = evidence::rule;
    made_.equal = true; // a rule says so: nothing waits for approval
    for (auto const& it : meant.stars) {
        bool const pinned = std::any_of(it.columns.begin(), it.columns.end(),
                                        [&](auto const& column) { return column.relation != 0 && !column.of_function && rule_for(column.relation) != nullptr; });
        if (pinned && !star(it)) return *refusal_;
    }
    std::sort(made_.edits.begin(), made_.edits.end(), [](edit const& a, edit const& b) { return a.begin < b.begin; });
    return std::move(made_);
}

} // namespace

adapted pinned_stars(situation const& at, sql::resolution const& meant, catalog::snapshot const& version) {
    if (at.known.rules == nullptr || at.known.rules->empty() || meant.stars.empty()) return adaptation{};
    return pins{at, version}.run(meant);
}

} // namespace pgmend::healing
