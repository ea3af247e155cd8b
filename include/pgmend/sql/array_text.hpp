// Arrays in the text form of their values (array_in of PostgreSQL's arrayfuncs.c).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::sql {

/// One element of {a,"b c",NULL}.
struct array_element {
    std::uint32_t begin{0}; ///< bytes of the text that it is written with, its quotes too
    std::uint32_t end{0};
    std::optional<std::string> value; ///< nothing: NULL

    bool operator==(array_element const&) const = default;
};

/// Of a literal with more elements than these nothing is known.
inline constexpr std::size_t most_known_elements = 256;

/// The elements of an array of one dimension whose delimiter is a comma; white space around them is none of theirs. Nothing: it is no such array, or written in a way
/// that is left alone (bounds, a backslash outside of quotes).
[[nodiscard]] std::optional<std::vector<array_element>> array_elements(std::string_view text);

/// `value` as an element, in quotes: they are never wrong.
[[nodiscard]] std::string array_element_of(std::string_view value);

} // namespace pgmend::sql
