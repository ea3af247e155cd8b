#include "pgmend/learning/confidence.hpp"

#include <algorithm>
#include <cmath>

namespace pgmend::learning {

double confidence(std::uint64_t successes, std::uint64_t failures) {
    auto const trials = static_cast<double>(successes) + static_cast<double>(failures);
    if (trials == 0) return 0;
    constexpr double z = 1.959963984540054; // the normal distribution's quantile at 97.5 %
    double const share = static_cast<double>(successes) / trials;
    double const centre = share + z * z / (2 * trials);
    double const spread = z * std::sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials));
    return std::max(0.0, (centre - spread) / (1 + z * z / trials));
}

} // namespace pgmend::learning
