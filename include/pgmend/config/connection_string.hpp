// libpq connection strings: enough to find mistakes and to keep passwords out of sight.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgmend::config {

/// What is wrong with a connection string (`keyword = value …`; PostgreSQL documentation, 34.1.1), or nothing: an unknown keyword, a
/// missing `=`, an open quote. Of a URI only the scheme is looked at. Shows no values.
[[nodiscard]] std::optional<std::string> connection_string_mistake(std::string_view text);

/// The text with `***` in place of every value that is not known to be harmless. Works on any text,
/// also one that is no connection string.
[[nodiscard]] std::string mask_passwords(std::string_view text);

} // namespace pgmend::config
