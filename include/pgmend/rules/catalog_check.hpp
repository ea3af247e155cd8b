// Rules against the schema as it is.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/yaml/problem.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace pgmend::rules {

struct named_schema {
    std::string_view database;
    catalog::snapshot const* schema{nullptr}; ///< never null
};

/// Warnings for rules that lead nowhere: a new name that does not exist, a default for a column that there is none of, a replacement that names what is
/// not there. A rule is good if it fits one of the databases that it may be for; of several that it fits in none, the first in which
/// only a part of it is missing is told about, or else the first.
/// A database's search path is not known here: a name without schema is looked for in all of them. Rules that are off are left out.
[[nodiscard]] std::vector<yaml::problem> check_against(rule_set const& rules, std::span<named_schema const> databases);

/// An expression of a rule (`gone.read`, `default`) where it would stand: a statement for PostgreSQL to analyse, not to run. Empty: the rule has none,
/// or its table is not in this database.
[[nodiscard]] std::string probe_of(rule const& of, catalog::snapshot const& schema);

} // namespace pgmend::rules
