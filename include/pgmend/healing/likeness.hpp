// How much two names look alike.
#pragma once

#include <string_view>

namespace pgmend::healing {

/// 0 … 1: half trigrams, three tenths words (of snake_case and camelCase), two tenths common runs of letters; the mix that did best on 100
/// real renames, and still was wrong for every third name that it offered.
[[nodiscard]] double likeness(std::string_view a, std::string_view b);

} // namespace pgmend::healing
