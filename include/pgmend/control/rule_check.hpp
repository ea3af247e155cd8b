// What the databases say of the rules.
#pragma once

#include "pgmend/control/catalog_watcher.hpp"
#include "pgmend/control/settings.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/yaml/problem.hpp"

#include <functional>
#include <vector>

namespace pgmend::control {

/// Warnings, in the order of the rules: what rules::check_against finds in the databases whose schema is known; and for each `replace`, `gone.read` and `default` what
/// PostgreSQL itself says of it, in the databases that the rule may be for, told of the first that has its tables (there the old text is analysed too, where the server still takes
/// it): that it is refused, or answers with other columns. Nothing is run. Waits for the server; `stop` is asked now and then.
[[nodiscard]] std::vector<yaml::problem> check_rules(watcher_settings const& settings, rules::rule_set const& rules,
                                                     std::vector<watched_database> const& databases, std::function<bool()> const& stop);

} // namespace pgmend::control
