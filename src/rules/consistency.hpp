// Rules against each other.
#pragma once

#include "reader.hpp"

#include <chrono>
#include <vector>

namespace pgmend::rules {

/// Reports names used twice, rules that contradict or repeat each other, renamings that go in a circle or lead to a name that is old itself.
/// Rules that are off or have expired contradict nothing.
void check_consistency(std::vector<placed_rule> const& rules, std::chrono::sys_seconds now, std::vector<yaml::problem>& problems);

} // namespace pgmend::rules
