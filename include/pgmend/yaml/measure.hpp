// Numbers with units, as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::yaml {

/// Digits only; nothing if there is anything else. Too many digits: the largest number.
[[nodiscard]] std::optional<std::uint64_t> digits(std::string_view text);

/// `30s` and `30 s` are 30 and `s`.
struct measure {
    std::optional<std::uint64_t> number;
    std::string_view unit_name;
};
[[nodiscard]] measure split_measure(std::string_view text);

struct unit {
    std::string_view name;
    std::uint64_t size;
};

/// Nothing: no unit, an unknown unit, or more than can be counted.
[[nodiscard]] std::optional<std::uint64_t> in_units(measure m, std::span<unit const> units);

/// ms, s, m or h; in milliseconds.
[[nodiscard]] std::span<unit const> time_units();

/// `5m`; nothing where it is none.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// `5m`: in the largest unit that leaves no rest. Reads back to the same duration.
[[nodiscard]] std::string show_duration(std::chrono::milliseconds duration);

} // namespace pgmend::yaml
