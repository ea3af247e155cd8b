// The terminal's colours (ECMA-48, SGR) of the log's forms for people.
#pragma once

#include <string_view>

namespace pgmend::app::colours {

inline constexpr std::string_view plain = "\x1b[0m";
inline constexpr std::string_view dim = "\x1b[2m";
inline constexpr std::string_view bold = "\x1b[1m";
inline constexpr std::string_view red = "\x1b[31m";
inline constexpr std::string_view green = "\x1b[32m";
inline constexpr std::string_view yellow = "\x1b[33m";
inline constexpr std::string_view cyan = "\x1b[36m";

} // namespace pgmend::app::colours
