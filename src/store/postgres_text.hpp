// Values in the SQL that is written for a PostgreSQL database, and out of its answers.
#pragma once

#include "pgmend/state/store.hpp"

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgmend::store {

/// With standard_conforming_strings. What no text of a UTF-8 database can hold becomes U+FFFD.
[[nodiscard]] std::string literal(std::string_view text);
[[nodiscard]] std::string literal(state::time_point at);
[[nodiscard]] std::string bytea_literal(std::string_view bytes);
[[nodiscard]] std::string bytes_of_hex(std::string_view bytea); ///< as bytea_output = hex prints it
[[nodiscard]] std::string microseconds(std::string_view column); ///< since 1970, of a timestamptz

inline std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}
inline std::uint64_t count(std::string_view text) { return static_cast<std::uint64_t>(number(text)); }
inline state::time_point time_of(std::string_view text) { return state::time_point{std::chrono::microseconds{number(text)}}; }

} // namespace pgmend::store
