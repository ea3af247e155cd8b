// What PostgreSQL says of the texts of statement rules.
#pragma once

#include "pgmend/control/settings.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pgmend::control {

/// Has the server analyse each `replace` in the first database that the rule may be for, and the old text too, where the server still takes
/// it: warnings, with file, line and column, where the new text is refused, or answers with other columns. Nothing is run. Waits;
/// `stop` is asked now and then.
[[nodiscard]] std::string check_replacements(watcher_settings const& settings, rules::rule_set const& rules, std::vector<std::string> const& databases,
                                             std::function<bool()> const& stop);

} // namespace pgmend::control
