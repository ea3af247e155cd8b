// Functions, types and labels of a version, as the resolver wants to see them.
#include "healing/version_source.hpp"

#include <algorithm>

namespace pgmend::healing {
namespace {

sql::offered_function as_offered(catalog::function_entry const& it) {
    return {it.id, it.kind, it.arguments, it.defaults, it.variadic != 0, it.result, it.output_names};
}

sql::offered_type as_offered(catalog::type_entry const& it) {
    sql::offered_type out{it.id, it.kind, it.element, it.array, it.base, it.relation, it.id < catalog::first_user_oid, {}};
    for (auto const& label : it.labels) out.labels.push_back({label.id, label.label, false});
    return out;
}

} // namespace

std::vector<catalog::function_entry const*> find_functions(catalog::snapshot const& version, session_view const& session,
                                                           std::string_view schema, std::string_view name) {
    std::vector<catalog::function_entry const*> out;
    auto const take = [&](std::string_view from) {
        auto const found = version.find_functions(from, name);
        out.insert(out.end(), found.begin(), found.end());
    };
    if (!schema.empty()) {
        take(schema);
        return out;
    }
    auto const& path = session.search_path;
    if (std::find(path.begin(), path.end(), "pg_catalog") == path.end()) take("pg_catalog");
    for (auto const& it : path) {
        if (!it.starts_with("pg_temp")) take(it); // never looked for in the temporary schema
    }
    return out;
}

catalog::type_entry const* find_type(catalog::snapshot const& version, session_view const& session, std::string_view schema,
                                     std::string_view name) {
    return schema.empty() ? version.find_type_in_path(session.search_path, name) : version.find_type(schema, name);
}

sql::relation_source::function_answer version_source::find_functions(std::string_view schema, std::string_view name) {
    function_answer out;
    out.known = version_.system_functions() != nullptr;
    out.built_in = schema.empty() && version_.has_system_function(name);
    for (auto const* it : healing::find_functions(version_, session_, schema, name)) out.functions.push_back(as_offered(*it));
    return out;
}

sql::relation_source::type_answer version_source::find_type(std::string_view schema, std::string_view name) {
    auto const* found = healing::find_type(version_, session_, schema, name);
    return {found != nullptr ? type(found->id) : nullptr, false, !version_.types().empty()};
}

sql::offered_type const* version_source::type(catalog::oid id) {
    auto const* found = version_.find_type(id);
    if (found == nullptr) return nullptr;
    auto const [at, fresh] = types_.try_emplace(id);
    if (fresh) at->second = as_offered(*found);
    return &at->second;
}

sql::relation_source::function_answer all_versions_source::find_functions(std::string_view schema, std::string_view name) {
    function_answer out;
    out.known = true;
    for (auto const& version : versions_) {
        out.known = out.known && version->system_functions() != nullptr;
        out.built_in = out.built_in || (schema.empty() && version->has_system_function(name));
        for (auto const* it : healing::find_functions(*version, session_, schema, name)) {
            bool const there = std::any_of(out.functions.begin(), out.functions.end(),
                                           [&](sql::offered_function const& other) { return other.id == it->id; });
            if (!there) out.functions.push_back(as_offered(*it));
        }
    }
    return out;
}

sql::relation_source::type_answer all_versions_source::find_type(std::string_view schema, std::string_view name) {
    type_answer out;
    out.known = true;
    catalog::oid id = 0;
    for (auto const& version : versions_) {
        out.known = out.known && !version->types().empty();
        auto const* found = healing::find_type(*version, session_, schema, name);
        if (found == nullptr) continue;
        if (id != 0 && id != found->id) out.several_meanings = true;
        id = found->id;
    }
    if (id != 0) out.type = type(id);
    return out;
}

sql::offered_type const* all_versions_source::type(catalog::oid id) {
    auto const [at, fresh] = types_.try_emplace(id);
    if (!fresh) return &at->second;
    bool known = false;
    for (auto const& version : versions_) {
        auto const* found = version->find_type(id);
        if (found == nullptr) continue;
        auto its = as_offered(*found);
        if (!known) {
            at->second = std::move(its);
            known = true;
            continue;
        }
        for (auto const& label : its.labels) {
            auto& all = at->second.labels;
            auto const same = std::find_if(all.begin(), all.end(), [&](sql::offered_label const& other) { return other.text == label.text; });
            if (same == all.end()) {
                all.push_back(label);
            } else if (same->id != label.id) {
                same->several_meanings = true;
            }
        }
    }
    if (known) return &at->second;
    types_.erase(at);
    return nullptr;
}

} // namespace pgmend::healing
