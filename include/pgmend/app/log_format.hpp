// Log events as lines of text. Pure functions: the time is passed in.
#pragma once

#include "pgmend/base/log.hpp"

#include <chrono>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::app {

using log_time = std::chrono::system_clock::time_point;

/// Longer values are cut, at a whole character, and end in "…": this bounds what a full queue of lines can hold.
inline constexpr std::size_t most_value_bytes = 8192;

/// `2026-01-02T03:04:05.678901Z` (RFC 3339, UTC, microseconds).
[[nodiscard]] std::string format_time(log_time t);

/// One JSON object and a newline: ts, level, event, then the fields in their order. Always valid JSON in UTF-8:
/// what is not UTF-8 becomes U+FFFD, numbers that JSON does not have become null.
[[nodiscard]] std::string format_json(log_time t, base::log_level level, std::string_view event,
                                      std::span<base::log_field const> fields);

enum class colour : bool { off, on };

/// One line for people: `2026-01-02T03:04:05.678901Z INFO  statement.healed database=shop before="select 1"`.
/// Values are quoted only when needed. Control characters, also those of a terminal, are escaped, so that an
/// event is always exactly one line.
[[nodiscard]] std::string format_text(log_time t, base::log_level level, std::string_view event,
                                      std::span<base::log_field const> fields, colour c);

/// For people: `03:04:05.678  healed        web-shop: column public.users.email -> mail in 4.3 ms  SELECT … → SELECT …`.
/// In colour, for a terminal, times are without a day. What matters less is left out. Events without a sentence of their own are as format_text has them.
[[nodiscard]] std::string format_story(log_time t, base::log_level level, std::string_view event, std::span<base::log_field const> fields, colour c);

/// Without anything that could move a terminal's cursor, end the line or turn the order of letters.
[[nodiscard]] std::string harmless_text(std::string_view text);

} // namespace pgmend::app
