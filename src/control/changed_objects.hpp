// What to read again of a catalog: by oid.
#pragma once

#include "pgmend/catalog/history.hpp"
#include "pgmend/catalog/snapshot.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgmend::control {

/// Objects that may differ from the version that is known; some may be gone, others of no interest.
struct changed_objects {
    bool anything{false};                  ///< not only these: it is not known which
    std::vector<catalog::oid> relations{}; ///< of pg_class: also indexes, row types, temporary tables, …
    std::vector<catalog::oid> constraints{};
    std::vector<catalog::oid> types{};
    std::vector<catalog::oid> functions{};

    [[nodiscard]] bool empty() const { return !anything && size() == 0; }
    [[nodiscard]] std::size_t size() const { return relations.size() + constraints.size() + types.size() + functions.size(); }
    void add(changed_objects const& more);
    void add(char kind, catalog::oid id); ///< r c t p; any other: anything
    /// Of what has no doubles, as `with_dependents` makes it: adds relations, types and functions, and tells whether any of those is new.
    bool add_new(changed_objects const& more);
};

/// What the event trigger of `pgmend install` tells: `pgmend:1 r16390,t16392 user, application_name, command tag`.
struct change_notice {
    changed_objects what;
    std::string who; ///< `user, application_name, command tag`

    /// Anybody may notify the channel: what is not understood says that anything may have changed.
    [[nodiscard]] static change_notice read(std::string_view payload);
};

/// What goes with those objects in `known`: the table of an index or a constraint, the row type of a table and its array.
[[nodiscard]] changed_objects with_dependents(changed_objects what, catalog::snapshot const& known);

/// What is known by some names.
struct called_objects {
    changed_objects what;
    std::vector<std::string> names; ///< those that anything has, or had; sorted
};

/// The objects that have one of these names (sorted) in the current version or had one in an earlier one, and what those rest on now: types of columns, what
/// functions take and return, elements of arrays and bases of domains, tables of row types.
[[nodiscard]] called_objects objects_called(catalog::history const& known, std::vector<std::string> const& names);

/// The objects as they are now.
struct fresh_objects {
    std::vector<catalog::snapshot::relation_ptr> relations{};
    std::vector<catalog::snapshot::type_ptr> types{};
    std::vector<catalog::snapshot::function_ptr> functions{};
};

/// How `known` differs from the truth, where that was asked for `asked` and answered with `fresh`; objects that are the same
/// are left out.
[[nodiscard]] catalog::replacements compare(catalog::snapshot const& known, changed_objects const& asked, fresh_objects fresh);

/// Expressions of indexes are kept as the server prints them, with the names of functions and types; those change without the index.
[[nodiscard]] bool reaches_expressions(catalog::snapshot const& known, catalog::replacements const& what);

/// How many objects of users there are of each kind.
struct object_counts {
    std::size_t relations{0}, constraints{0}, unique_indexes{0}, types{0}, functions{0};

    [[nodiscard]] static object_counts of(catalog::snapshot const& version);
    bool operator==(object_counts const&) const = default;
};

} // namespace pgmend::control
