// The list of drifted statements, for people and programs.
#pragma once

#include "pgmend/state/drift.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::state {

enum class report_format : std::uint8_t { text, markdown, json };
[[nodiscard]] std::optional<report_format> format_named(std::string_view name);

/// Rows in the order given. JSON: an array of objects, one a statement, application and user.
[[nodiscard]] std::string report(std::span<drift_row const> rows, report_format format);

/// RFC 3339, UTC, seconds.
[[nodiscard]] std::string time_text(time_point at);

} // namespace pgmend::state
