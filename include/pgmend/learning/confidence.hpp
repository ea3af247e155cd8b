// How far a count of successes and failures can be trusted.
#pragma once

#include <cstdint>

namespace pgmend::learning {

/// The lower bound of Wilson's score interval at 95 % (E. B. Wilson, JASA 22, 1927): between 0 and 1; 0 without any trial.
[[nodiscard]] double confidence(std::uint64_t successes, std::uint64_t failures);

} // namespace pgmend::learning
