// "Did you mean …?"
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::yaml {

/// How many insertions, deletions, replacements or exchanges of two neighbours turn one text into the other
/// (optimal string alignment). Bytes, without regard to case.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that was probably meant, or nothing: at most a third of its letters differ (at least one may),
/// and no other candidate is as close.
[[nodiscard]] std::string_view closest(std::string_view text, std::span<std::string_view const> candidates);

/// `; did you mean "backends"?`, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view text, std::span<std::string_view const> candidates);

/// `a, b or c`.
[[nodiscard]] std::string any_of(std::span<std::string_view const> words);

/// The text in double quotes for a message: shortened, control characters escaped.
[[nodiscard]] std::string in_quotes(std::string_view text);

} // namespace pgmend::yaml
