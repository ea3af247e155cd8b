// SQL expressions in rules.
#pragma once

#include <optional>
#include <string>

namespace pgmend::rules {

enum class expression_use : unsigned char {
    read,    ///< instead of a column: may name columns of the same table
    written, ///< as a value of INSERT: cannot name columns
};

/// Why `text` cannot be put into parentheses and take the place of a value, or nothing: it must be one expression by the grammar of PostgreSQL 15 that does
/// not end the parentheses around it, holds no comment and no parameter, writes nothing and leaves the number of rows as it is.
[[nodiscard]] std::optional<std::string> expression_mistake(std::string const& text, expression_use use);

} // namespace pgmend::rules
