#include "pgmend/rules/rule.hpp"

#include <algorithm>

namespace pgmend::rules {

bool condition::holds(circumstances const& who) const {
    auto const among = [](std::vector<std::string> const& names, std::string_view name) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    return among(databases, who.database) && among(users, who.user) &&
           (!application_name || application_name->found_in(who.application_name));
}

bool rule::expired(std::chrono::sys_seconds now) const {
    return expires && now >= std::chrono::sys_days{*expires} + std::chrono::days{1};
}

bool rule::applies(circumstances const& who) const { return mode != rule_mode::off && !expired(who.now) && when.holds(who); }

} // namespace pgmend::rules
