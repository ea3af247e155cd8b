// Names as rules write them.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/rules/rule.hpp"

#include <string>
#include <string_view>

namespace pgmend::rules {

// Identifiers are folded as PostgreSQL folds them, unless in double quotes. Errors' texts continue a sentence that begins with
// the key: `must be …`.

[[nodiscard]] base::result<column_name> parse_column_name(std::string_view text);
[[nodiscard]] base::result<object_name> parse_object_name(std::string_view text);

/// One identifier.
[[nodiscard]] base::result<std::string> parse_name(std::string_view text);

/// [schema.]type.label: the label is what stands behind the last period outside of quotes, as it is; in double quotes it may hold
/// anything.
[[nodiscard]] base::result<label_renamed> parse_label_name(std::string_view text);

/// A label alone: as it is, or in double quotes.
[[nodiscard]] std::string parse_label(std::string_view text);

/// The inverse of the above, as short as it can be.
[[nodiscard]] std::string written(object_name const& name);
[[nodiscard]] std::string written(column_name const& name);
[[nodiscard]] std::string written_label(std::string_view label);

} // namespace pgmend::rules
