#include "healing/meaning.hpp"

#include "healing/version_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::healing {
namespace {

using sql::unresolved;

/// Whether two versions give every name the same meaning. What `*` and rows consist of may differ where it is only
/// read: there the newest version tells what the client last got. What is written has to agree.
bool same_meaning(sql::resolution const& a, catalog::snapshot const& when_a, sql::resolution const& b, catalog::snapshot const& when_b) {
    bool const names = std::equal(a.references.begin(), a.references.end(), b.references.begin(), b.references.end(),
                                  [](sql::reference const& x, sql::reference const& y) {
                                      return x.kind == y.kind && x.parts == y.parts && x.relation == y.relation &&
                                             x.column == y.column && x.item == y.item && x.object == y.object;
                                  });
    if (!names || a.merged != b.merged) return false;
    if (!a.writes) return true;
    for (auto const& it : a.references) {
        if (it.kind != sql::reference::kind_type::whole_row || it.argument) continue;
        if (!same_columns(*when_a.find(it.relation), *when_b.find(it.relation))) return false;
    }
    auto const same_star = [](sql::star const& x, sql::star const& y) {
        return x.labels_matter || (x.text == y.text && x.columns == y.columns); // else it is a list of values
    };
    return a.positional_targets == b.positional_targets &&
           std::equal(a.stars.begin(), a.stars.end(), b.stars.begin(), b.stars.end(), same_star);
}

/// Whether the answer had the same labels and types in both versions, for a statement whose names mean the same in both.
bool same_shape(sql::resolution const& a, catalog::snapshot const& when_a, sql::resolution const& b, catalog::snapshot const& when_b) {
    auto const same_type = [&](catalog::oid relation, std::int16_t number) {
        if (relation == 0 || number <= 0) return true;
        auto const* was = when_a.find(relation);
        auto const* is = when_b.find(relation);
        auto const* x = was != nullptr ? was->find_column(number) : nullptr;
        auto const* y = is != nullptr ? is->find_column(number) : nullptr;
        return x != nullptr && y != nullptr && x->type == y->type && x->type_modifier == y->type_modifier;
    };
    auto const same_row = [&](sql::reference const& it) {
        auto const* was = when_a.find(it.relation);
        auto const* is = when_b.find(it.relation);
        return was != nullptr && is != nullptr && was->columns == is->columns;
    };
    auto const same_label = [](sql::result_column const& x, sql::result_column const& y) {
        return x.label == y.label && x.relation == y.relation && x.column == y.column && x.of_function == y.of_function;
    };
    if (a.columns.has_value() != b.columns.has_value()) return false;
    if (a.columns && !std::equal(a.columns->begin(), a.columns->end(), b.columns->begin(), b.columns->end(), same_label)) return false;
    for (auto const& it : a.references) {
        bool const row = it.kind == sql::reference::kind_type::whole_row;
        if (row ? !same_row(it) : !same_type(it.relation, it.column)) return false;
    }
    for (auto const& it : a.merged) {
        if (!same_type(it.left_relation, it.left_column) || !same_type(it.right_relation, it.right_column)) return false;
    }
    for (std::size_t i = 0; i < a.stars.size() && i < b.stars.size(); ++i) {
        auto const& columns = a.stars[i].columns;
        if (columns.size() != b.stars[i].columns.size()) return false;
        for (auto const& it : columns) {
            if (!same_type(it.relation, it.column)) return false;
        }
    }
    return true;
}

/// Whether the statement answered in the shape that the client was told, as far as that can be known.
bool described_so(sql::resolution const& is, catalog::snapshot const& when, std::vector<expected_column> const& told) {
    if (!is.columns || is.columns->size() != told.size()) return false;
    for (std::size_t i = 0; i < told.size(); ++i) {
        auto const& column = (*is.columns)[i];
        if (told[i].label && *told[i].label != column.label) return false;
        if (told[i].table != 0 && (column.of_function || told[i].table != column.relation || told[i].number != column.column)) return false;
        auto const* relation = column.relation != 0 ? when.find(column.relation) : nullptr;
        auto const* known = relation != nullptr && column.column > 0 ? relation->find_column(column.column) : nullptr;
        if (known == nullptr || known->type >= 10000 || told[i].type == 0) continue; // a domain is described as its base type
        if (known->type != told[i].type || known->type_modifier != told[i].type_modifier) return false;
    }
    return true;
}

/// No single version fits: names of different times, as long as each only ever meant one thing.
std::variant<past_meaning, refusal> mixed_meaning(sql::parsed_text const& text, std::size_t index, question const& asked,
                                                  lineage const& versions) {
    all_versions_source source{versions.every, asked.session};
    auto outcome = text.resolve(index, source, true);
    if (auto const* failed = std::get_if<unresolved>(&outcome)) {
        switch (failed->kind) {
        case unresolved::kind_type::unknown_relation:
        case unresolved::kind_type::unknown_column:
        case unresolved::kind_type::unknown_object:
            return refusal{failed->text + ": no version of this schema had it", refusal_kind::forward_drift, {}};
        case unresolved::kind_type::ambiguous:
            return refusal{"ambiguous lineage: " + failed->text, refusal_kind::ambiguous_lineage, {}};
        case unresolved::kind_type::not_understood: break;
        }
        return refusal{failed->text, refusal_kind::not_understood, {}};
    }
    auto const every = versions.every;
    auto before = [every](catalog::oid id, std::int16_t number, std::string_view name) -> catalog::relation const* {
        catalog::relation const* newest = nullptr;
        for (auto const& version : every) {
            auto const* relation = version->find(id);
            if (relation == nullptr) continue;
            if (name.empty() && newest != nullptr && !same_columns(*newest, *relation)) return nullptr; // not certain
            if (!name.empty()) {
                auto const* column = number != 0 ? relation->find_column(number) : nullptr;
                if (number == 0 ? relation->name == name : column != nullptr && column->name == name) return relation;
            }
            if (newest == nullptr) newest = relation;
        }
        return number == 0 && !name.empty() ? nullptr : newest;
    };
    return past_meaning{std::get<sql::resolution>(std::move(outcome)), std::move(before), nullptr};
}

} // namespace

lineage::lineage(catalog::history const& schema) : now{schema.current()} {
    auto const& versions = schema.versions();
    for (auto v = versions.rbegin(); v != versions.rend(); ++v) {
        if ((*v)->identity() != now.identity()) continue;
        every.push_back(*v);
        if (v->get() != &now) earlier.push_back(*v);
    }
}

std::variant<past_meaning, refusal> find_meaning(sql::parsed_text const& text, std::size_t index, question const& asked,
                                                 lineage const& versions) {
    std::optional<past_meaning> found;
    for (auto const& version : versions.earlier) {
        version_source source{*version, asked.session};
        auto outcome = text.resolve(index, source, false);
        if (auto const* failed = std::get_if<unresolved>(&outcome)) {
            if (failed->kind == unresolved::kind_type::not_understood) return refusal{failed->text, refusal_kind::not_understood, {}};
            continue;
        }
        auto& resolution = std::get<sql::resolution>(outcome);
        if (asked.described && !described_so(resolution, *version, *asked.described)) continue;
        if (!found) {
            auto before = [newest = version](catalog::oid id, std::int16_t, std::string_view) { return newest->find(id); };
            found = past_meaning{std::move(resolution), std::move(before), version};
        } else if (!same_meaning(found->resolution, *found->version, resolution, *version)) {
            return refusal{"ambiguous lineage: the statement's names meant different things at different times",
                           refusal_kind::ambiguous_lineage, {}};
        } else if (asked.prepared && !asked.described && !same_shape(found->resolution, *found->version, resolution, *version)) {
            return refusal{"the prepared statement's answer had another shape at different times, and it is not known when it was prepared",
                           refusal_kind::ambiguous_lineage, {}};
        }
    }
    if (found) return std::move(*found);
    auto mixed = mixed_meaning(text, index, asked, versions);
    if (asked.prepared && std::holds_alternative<past_meaning>(mixed)) {
        return refusal{"no version of this schema that is known fits the prepared statement", refusal_kind::no_history, {}};
    }
    return mixed;
}

std::optional<silent_drift> find_silent_drift(sql::parsed_text const& text, std::size_t index, question const& asked,
                                              lineage const& versions, sql::resolution const& now) {
    using kind = sql::reference::kind_type;
    for (auto const& version : versions.earlier) {
        version_source source{*version, asked.session};
        auto const outcome = text.resolve(index, source, false);
        auto const* then = std::get_if<sql::resolution>(&outcome);
        if (then == nullptr) continue;
        silent_drift drift;
        drift.statement = index;
        drift.writes = now.writes;
        // What the name meant, by the name that it has today.
        auto const name = [&](sql::reference const& it) {
            auto const* relation = versions.now.find(it.relation);
            if (relation == nullptr) relation = version->find(it.relation);
            if (relation == nullptr) return it.kind == kind::local ? "an alias \"" + it.name + '"' : it.name;
            auto const* column = it.column > 0 ? relation->find_column(it.column) : nullptr;
            if (column == nullptr && it.column > 0) {
                auto const* was = version->find(it.relation);
                column = was != nullptr ? was->find_column(it.column) : nullptr;
            }
            auto full = fmt::format("{}.{}", relation->schema, relation->name);
            return column != nullptr ? fmt::format("{}.{}", full, column->name) : full;
        };
        auto const note = [&](renaming::kind_type what, std::string was, std::string is) {
            drift.pattern += fmt::format("{}silent {} {} -> {}", drift.pattern.empty() ? "" : "; ",
                                         what == renaming::kind_type::column ? "column" : "relation", was, is);
            drift.meanings.push_back({what, std::move(was), std::move(is)});
        };
        auto const& a = then->references;
        auto const& b = now.references;
        for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
            if (a[i].relation == b[i].relation && a[i].column == b[i].column && a[i].item == b[i].item && a[i].kind == b[i].kind) continue;
            bool const column = a[i].kind == kind::column || a[i].kind == kind::local;
            note(column ? renaming::kind_type::column : renaming::kind_type::relation, name(a[i]), name(b[i]));
        }
        for (std::size_t i = 0; i < std::min(then->positional_targets.size(), now.positional_targets.size()); ++i) {
            auto const& x = then->positional_targets[i];
            auto const& y = now.positional_targets[i];
            for (std::size_t n = 0; x.relation == y.relation && n < std::min(x.columns.size(), y.columns.size()); ++n) {
                if (x.columns[n] == y.columns[n]) continue;
                sql::reference was, is;
                was.relation = is.relation = x.relation;
                was.column = x.columns[n];
                is.column = y.columns[n];
                note(renaming::kind_type::column, name(was), name(is));
            }
        }
        // A NATURAL join that is by other columns now.
        auto const joins = [](sql::resolution const& of) {
            std::string names;
            for (auto const& it : of.merged) names += (names.empty() ? "" : ", ") + it.name;
            return names.empty() ? std::string{"a join by no column"} : fmt::format("a join by ({})", names);
        };
        if (joins(*then) != joins(now)) note(renaming::kind_type::column, joins(*then), joins(now));
        // A label of an enum inside a comparison of texts: it matches nothing any more.
        for (auto const& it : now.text_labels) {
            auto const* is = versions.now.find_type(it.type);
            auto const* was = version->find_type(it.type);
            if (is == nullptr || was == nullptr) continue;
            auto const has = [&](catalog::type_entry const& type) {
                return std::find_if(type.labels.begin(), type.labels.end(), [&](auto const& label) { return label.label == it.text; });
            };
            auto const old = has(*was);
            if (old == was->labels.end() || has(*is) != is->labels.end()) continue;
            auto const live = std::find_if(is->labels.begin(), is->labels.end(), [&](auto const& label) { return label.id == old->id; });
            auto const type = fmt::format("{}.{}", is->schema, is->name);
            drift.pattern += fmt::format("{}silent enum {}.{} -> {}", drift.pattern.empty() ? "" : "; ", type, it.text,
                                         live != is->labels.end() ? fmt::format("{}.{}", type, live->label) : "gone");
            drift.meanings.push_back({renaming::kind_type::enum_label, fmt::format("{}.{}", type, it.text),
                                      live != is->labels.end() ? fmt::format("{}.{}", type, live->label) : "gone"});
        }
        if (!drift.meanings.empty()) return drift;
    }
    return std::nullopt;
}

} // namespace pgmend::healing
