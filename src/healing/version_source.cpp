#include "healing/version_source.hpp"

#include <algorithm>

namespace pgmend::healing {

catalog::relation const* find_relation(catalog::snapshot const& version, session_view const& session, std::string_view schema,
                                       std::string_view name) {
    if (!schema.empty()) return version.find(schema, name);
    // The system's own relations come first on every path; where they are not in the picture the name may be one of them.
    if (name.starts_with("pg_") && !version.has_schema("pg_catalog")) return nullptr;
    return version.find_in_path(session.search_path, name);
}

bool same_columns(catalog::relation const& a, catalog::relation const& b) {
    return std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                      [](catalog::column const& x, catalog::column const& y) { return x.number == y.number && x.name == y.name; });
}

namespace {

constexpr char composite = 'c';

bool holds(std::vector<std::string> const& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

bool version_source::is_temporary(std::string_view name) const { return holds(session_.temporary_relations, name); }

sql::relation_source::answer version_source::find(std::string_view schema, std::string_view name) {
    auto const* found = find_relation(version_, session_, schema, name);
    if (found != nullptr && found->kind == composite) found = nullptr; // PostgreSQL finds that first, too, and refuses it
    return {found != nullptr ? relation(found->id) : nullptr, false};
}

sql::offered_relation const* version_source::relation(catalog::oid id) {
    auto const* found = version_.find(id);
    if (found == nullptr) return nullptr;
    auto const [at, fresh] = offered_.try_emplace(id);
    if (fresh) {
        at->second.id = id;
        at->second.kind = found->kind;
        for (auto const& column : found->columns) at->second.columns.push_back({column.name, column.number, false, column.type});
        for (auto const& constraint : found->constraints) at->second.constraints.push_back({constraint.id, constraint.name, false});
        at->second.constraints_known = !version_.types().empty();
    }
    return &at->second;
}

bool all_versions_source::is_temporary(std::string_view name) const { return holds(session_.temporary_relations, name); }

sql::relation_source::answer all_versions_source::find(std::string_view schema, std::string_view name) {
    catalog::oid id = 0;
    for (auto const& version : versions_) {
        auto const* relation = find_relation(*version, session_, schema, name);
        if (relation == nullptr || relation->kind == composite) continue;
        if (id != 0 && id != relation->id) return {nullptr, true};
        id = relation->id;
    }
    return {relation(id), false};
}

sql::offered_relation const* all_versions_source::relation(catalog::oid id) {
    bool const known = std::any_of(versions_.begin(), versions_.end(), [&](auto const& version) { return version->find(id) != nullptr; });
    if (!known) return nullptr;
    auto const [at, fresh] = offered_.try_emplace(id);
    if (fresh) at->second = offer(id);
    return &at->second;
}

sql::offered_relation all_versions_source::offer(catalog::oid id) const {
    sql::offered_relation out;
    out.id = id;
    catalog::relation const* before = nullptr;
    for (auto const& version : versions_) {
        auto const* relation = version->find(id);
        if (relation == nullptr) continue;
        if (before != nullptr && !same_columns(*before, *relation)) out.columns_certain = false;
        before = relation;
        out.kind = relation->kind;
        for (auto const& column : relation->columns) {
            auto const known = std::find_if(out.columns.begin(), out.columns.end(),
                                            [&](sql::offered_column const& o) { return o.name == column.name; });
            if (known == out.columns.end()) {
                out.columns.push_back({column.name, column.number, false, column.type});
            } else if (known->number != column.number) {
                known->several_meanings = true;
            } else if (known->type != column.type) {
                known->type = 0;
            }
        }
        for (auto const& constraint : relation->constraints) {
            auto const known = std::find_if(out.constraints.begin(), out.constraints.end(),
                                            [&](sql::offered_constraint const& o) { return o.name == constraint.name; });
            if (known == out.constraints.end()) {
                out.constraints.push_back({constraint.id, constraint.name, false});
            } else if (known->id != constraint.id) {
                known->several_meanings = true;
            }
        }
        out.constraints_known = !version->types().empty();
    }
    return out;
}

} // namespace pgmend::healing
