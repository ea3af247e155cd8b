// Edits as values: applied, and joined to those of a text that was edited before.
#pragma once

#include "pgmend/healing/plan.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// `original` with the edits, which ascend and do not overlap.
[[nodiscard]] std::string edited(std::string_view original, std::vector<edit> const& edits);

/// The edits that lead from `original` to `edited(middle, second)`, where `middle` is `edited(original, first)`. Neighbours become one.
[[nodiscard]] std::vector<edit> composed(std::string_view middle, std::vector<edit> const& first, std::vector<edit> const& second);

/// Into ascending order; neighbours become one. False: two of them overlap.
[[nodiscard]] bool put_in_order(std::vector<edit>& edits);

} // namespace pgmend::healing
