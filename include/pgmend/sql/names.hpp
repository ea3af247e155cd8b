// Identifiers and literals as text, and positions in characters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::sql {

/// As PostgreSQL's quote_ident(): in quotes where the name is not plain lower case or is a key word that is not
/// unreserved.
[[nodiscard]] std::string quoted_name(std::string_view name);

/// Whether an unquoted word of these letters (lower case) is a key word of PostgreSQL 15, reserved or not.
[[nodiscard]] bool is_keyword(std::string_view lower_case);

/// `text` as a plain literal; nothing where it holds a backslash (its meaning would depend on a setting).
[[nodiscard]] std::optional<std::string> quoted_literal(std::string_view text);

/// The parts of a name written inside a literal ('public.users', '"Users"'), folded as SplitIdentifierString of
/// PostgreSQL's varlena.c does. Nothing where it is no name, or a number (an oid).
[[nodiscard]] std::optional<std::vector<std::string>> split_name(std::string_view text);

/// The byte offset of a character (0-based) of a UTF-8 text; nothing where the text is shorter. The end of the text counts.
[[nodiscard]] std::optional<std::uint32_t> byte_offset(std::string_view text, std::uint32_t character);

/// How many characters begin in the first `bytes` bytes of a UTF-8 text.
[[nodiscard]] std::uint32_t count_characters(std::string_view text, std::uint32_t bytes);

} // namespace pgmend::sql
