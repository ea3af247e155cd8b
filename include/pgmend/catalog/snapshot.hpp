// One version of a database's schema, as far as names and types go.
#pragma once

#include "pgmend/catalog/object_set.hpp"
#include "pgmend/catalog/objects.hpp"

#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::catalog {

/// Which database this is a picture of. Lineage is only followed while all of it stays the same.
struct database_identity {
    std::string system_identifier; ///< pg_control_system(), as text
    oid database{0};               ///< pg_database.oid

    bool operator==(database_identity const&) const = default;
};

/// All that a version of a schema consists of.
struct contents {
    std::vector<std::shared_ptr<relation const>> relations{};
    std::vector<std::shared_ptr<type_entry const>> types{};
    std::vector<std::shared_ptr<function_entry const>> functions{}; ///< of users
    std::vector<std::shared_ptr<schema_entry const>> schemas{};     ///< none: not known
    /// Names of functions that initdb made, sorted, each once. Null: not known. A thing of the server, not of the schema.
    std::shared_ptr<std::vector<std::string> const> system_functions{};
};

/// What is different in the next version; each oid at most once.
struct replacements {
    template <class T>
    struct of {
        std::vector<std::shared_ptr<T const>> changed{}; ///< new ones, and those in place of what had the same oid; in any order
        std::vector<oid> gone{};                         ///< in any order; those that are not there are ignored
        [[nodiscard]] bool empty() const { return changed.empty() && gone.empty(); }
    };
    of<relation> relations;
    of<type_entry> types;
    of<function_entry> functions;
    of<schema_entry> schemas;

    [[nodiscard]] bool empty() const { return relations.empty() && types.empty() && functions.empty() && schemas.empty(); }
};

/// The schema at one moment. Immutable once built; objects that did not change are shared with the version before.
/// Safe to read from any thread. Names are as the catalog has them (folded, unquoted).
class snapshot {
  public:
    using relation_ptr = std::shared_ptr<relation const>;
    using type_ptr = std::shared_ptr<type_entry const>;
    using function_ptr = std::shared_ptr<function_entry const>;
    using schema_ptr = std::shared_ptr<schema_entry const>;

    /// Lists in any order, nothing null. Two relations of the same schema and name: the last one wins.
    /// Lists that hold the very objects of `before` are shared with it; it may be null.
    snapshot(database_identity identity, contents all, snapshot const* before);
    snapshot(database_identity identity, std::vector<relation_ptr> relations); ///< nothing else is known
    /// The version after `before`: costs as much as `before` has objects of the kinds that differ, without sorting them.
    snapshot(snapshot const& before, replacements what);
    template <std::same_as<contents> C> // so that {} means no relations
    snapshot(database_identity identity, C all) : snapshot{std::move(identity), std::move(all), nullptr} {}

    [[nodiscard]] database_identity const& identity() const { return identity_; }
    [[nodiscard]] std::vector<relation_ptr> const& relations() const { return relations_->all(); } ///< ascending by oid
    [[nodiscard]] std::vector<type_ptr> const& types() const { return types_->all(); }             ///< ascending by oid
    [[nodiscard]] std::vector<function_ptr> const& functions() const { return functions_->all(); } ///< ascending by oid
    [[nodiscard]] std::vector<schema_ptr> const& schemas() const { return schemas_->all(); }       ///< ascending by oid
    [[nodiscard]] std::shared_ptr<std::vector<std::string> const> const& system_functions() const { return system_functions_; }

    /// nullptr where there is none.
    [[nodiscard]] relation const* find(std::string_view schema, std::string_view name) const { return relations_->find(schema, name); }
    [[nodiscard]] relation const* find(oid id) const { return relations_->find(id); }
    [[nodiscard]] type_entry const* find_type(std::string_view schema, std::string_view name) const { return types_->find(schema, name); }
    [[nodiscard]] type_entry const* find_type(oid id) const { return types_->find(id); }
    [[nodiscard]] function_entry const* find_function(oid id) const { return functions_->find(id); }
    [[nodiscard]] schema_entry const* find_schema(std::string_view name) const { return schemas_->find({}, name); }
    [[nodiscard]] schema_entry const* find_schema(oid id) const { return schemas_->find(id); }

    /// All overloads that users made; the view lives as long as the snapshot.
    [[nodiscard]] std::span<function_entry const* const> find_functions(std::string_view schema, std::string_view name) const {
        return functions_->named(schema, name);
    }
    [[nodiscard]] bool has_system_function(std::string_view name) const; ///< in pg_catalog; false where they are not known

    /// Where schemas are not known: whether it has a relation.
    [[nodiscard]] bool has_schema(std::string_view schema) const;

    /// The first of that name along the path, as PostgreSQL resolves an unqualified name: pg_catalog comes first unless the
    /// path names it (PostgreSQL 15, 5.9.5). "$user" means nothing here: the caller puts a name in.
    [[nodiscard]] relation const* find_in_path(std::vector<std::string> const& search_path, std::string_view name) const;
    [[nodiscard]] type_entry const* find_type_in_path(std::vector<std::string> const& search_path, std::string_view name) const;

    /// Whether two relations, or two types, have one name: no catalog is like that. Looks at those of `changed` only.
    [[nodiscard]] bool has_double_names(replacements const& changed) const;

    /// Whether identity and all objects are the same, by value.
    [[nodiscard]] bool same_schema(snapshot const& other) const;

  private:
    database_identity identity_;
    std::shared_ptr<object_set<relation> const> relations_;
    std::shared_ptr<object_set<type_entry> const> types_;
    std::shared_ptr<object_set<function_entry> const> functions_;
    std::shared_ptr<object_set<schema_entry> const> schemas_;
    std::shared_ptr<std::vector<std::string> const> system_functions_;
};

} // namespace pgmend::catalog
