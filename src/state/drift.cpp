#include "pgmend/state/drift.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace pgmend::state {

namespace {
constexpr std::array<std::string_view, 4> outcome_names = {"healed", "observed", "refused", "silent"};
}

std::string_view name_of(drift_outcome outcome) { return outcome_names[static_cast<std::size_t>(outcome)]; }

std::optional<drift_outcome> outcome_named(std::string_view name) {
    auto const found = std::find(outcome_names.begin(), outcome_names.end(), name);
    if (found == outcome_names.end()) return std::nullopt;
    return static_cast<drift_outcome>(found - outcome_names.begin());
}

} // namespace pgmend::state
