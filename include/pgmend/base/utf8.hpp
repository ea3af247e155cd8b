// UTF-8, one code point at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pgmend::base {

/// Reads the code point that begins at byte `position` (< text.size()) and moves `position` behind it.
/// Nothing: no valid UTF-8 begins there (Unicode 15, table 3-7: no overlong forms, no surrogates); then
/// `position` moves by one byte.
[[nodiscard]] std::optional<char32_t> next_code_point(std::string_view text, std::size_t& position);

} // namespace pgmend::base
