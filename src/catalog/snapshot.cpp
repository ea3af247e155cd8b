#include "pgmend/catalog/snapshot.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace pgmend::catalog {

namespace {

constexpr std::string_view system_schema = "pg_catalog";

template <class T>
using set_pointer = std::shared_ptr<object_set<T> const>;

template <class T>
set_pointer<T> make_set(std::vector<std::shared_ptr<T const>> objects) {
    return std::make_shared<object_set<T> const>(std::move(objects));
}

/// `before` itself where both consist of the very same objects.
template <class T>
set_pointer<T> or_shared(set_pointer<T> made, set_pointer<T> const& before) {
    return made->all() == before->all() ? before : made;
}

template <class T>
T const* first_along(object_set<T> const& objects, std::vector<std::string> const& search_path, std::string_view name) {
    if (std::ranges::find(search_path, system_schema) == search_path.end()) {
        if (auto const* found = objects.find(system_schema, name)) return found;
    }
    for (auto const& schema : search_path) {
        if (auto const* found = objects.find(schema, name)) return found;
    }
    return nullptr;
}

} // namespace

column const* relation::find_column(std::string_view column_name) const {
    auto const found = std::ranges::find(columns, column_name, &column::name);
    return found == columns.end() ? nullptr : &*found;
}

column const* relation::find_column(std::int16_t number) const {
    auto const found = std::ranges::lower_bound(columns, number, {}, &column::number);
    return found == columns.end() || found->number != number ? nullptr : &*found;
}

snapshot::snapshot(database_identity identity, contents all, snapshot const* before)
    : identity_{std::move(identity)}, relations_{make_set(std::move(all.relations))}, types_{make_set(std::move(all.types))},
      functions_{make_set(std::move(all.functions))}, schemas_{make_set(std::move(all.schemas))},
      system_functions_{std::move(all.system_functions)} {
    if (!before) return;
    relations_ = or_shared(std::move(relations_), before->relations_);
    types_ = or_shared(std::move(types_), before->types_);
    functions_ = or_shared(std::move(functions_), before->functions_);
    schemas_ = or_shared(std::move(schemas_), before->schemas_);
}

snapshot::snapshot(database_identity identity, std::vector<relation_ptr> relations)
    : snapshot{std::move(identity), contents{.relations = std::move(relations)}, nullptr} {}

snapshot::snapshot(snapshot const& before, replacements what)
    : identity_{before.identity_}, relations_{before.relations_}, types_{before.types_}, functions_{before.functions_},
      schemas_{before.schemas_}, system_functions_{before.system_functions_} {
    auto const put = [](auto& set, auto& its) {
        if (its.empty()) return;
        std::ranges::sort(its.gone);
        set = std::make_shared<std::remove_cvref_t<decltype(*set)> const>(set->with(std::move(its.changed), its.gone));
    };
    put(relations_, what.relations);
    put(types_, what.types);
    put(functions_, what.functions);
    put(schemas_, what.schemas);
}

bool snapshot::has_double_names(replacements const& changed) const {
    auto const twice = [](auto const& set, auto const& some) {
        return std::ranges::any_of(some, [&](auto const& o) { return set->named(o->schema, o->name).size() > 1; });
    };
    return twice(relations_, changed.relations.changed) || twice(types_, changed.types.changed);
}

bool snapshot::has_system_function(std::string_view name) const {
    return system_functions_ && std::ranges::binary_search(*system_functions_, name);
}

bool snapshot::has_schema(std::string_view schema) const {
    return schemas_->all().empty() ? relations_->has_schema(schema) : find_schema(schema) != nullptr;
}

relation const* snapshot::find_in_path(std::vector<std::string> const& search_path, std::string_view name) const {
    return first_along(*relations_, search_path, name);
}

type_entry const* snapshot::find_type_in_path(std::vector<std::string> const& search_path, std::string_view name) const {
    return first_along(*types_, search_path, name);
}

bool snapshot::same_schema(snapshot const& other) const {
    auto const same = [](auto const& a, auto const& b) { return a == b || a->same(*b); };
    return identity_ == other.identity_ && same(relations_, other.relations_) && same(types_, other.types_) &&
           same(functions_, other.functions_) && same(schemas_, other.schemas_);
}

} // namespace pgmend::catalog
