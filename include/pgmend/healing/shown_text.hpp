// What logs show of a statement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgmend::healing {

/// YAML: log.statements
enum class statement_form : std::uint8_t {
    normalized, ///< literals are replaced by question marks
    full,       ///< as they were sent, unless they may hold a password
};

/// A statement for the log: normalized(), or, in full form, the text itself. Never in full: a text that cannot be scanned, statements other than
/// queries, changes of rows and definitions of tables, views and indexes (they may hold passwords: CREATE ROLE, CREATE SUBSCRIPTION, …), and a text
/// that has something about passwords in it, or a URI with a user, anywhere. At most `most` bytes, cut at a character.
[[nodiscard]] std::string shown_text(std::string_view sql, statement_form form, std::size_t most = 2000);

} // namespace pgmend::healing
