// A multi-row INSERT as its rows, where each of them means the same on its own.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/sql/lexer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// `INSERT INTO [schema.]table [(columns)] [OVERRIDING … VALUE] VALUES (…), (…)` and nothing behind it.
struct batch {
    std::string schema; ///< as written, unquoted and folded; empty: none
    std::string table;
    std::uint32_t values{0};        ///< where VALUES begins
    std::vector<sql::span> rows;    ///< with their brackets
    std::size_t columns{0};         ///< values in the first row
    std::vector<std::vector<std::uint32_t>> parameters; ///< of each row: numbers, in order of appearance
};

/// Nothing for every other statement: with RETURNING, ON CONFLICT, WITH or a SELECT; and where a row's values may depend on other rows:
/// rows may hold constants, parameters, casts, DEFAULT, arrays and a few functions of PostgreSQL's that read no table.
[[nodiscard]] std::optional<batch> read_batch(base::byte_view sql, std::size_t least_rows = 2);

/// The table of an INSERT, as written (unquoted and folded), without its schema; the text may be a long one's beginning. Nothing for other statements.
[[nodiscard]] std::optional<std::string> table_inserted_into(base::byte_view sql);

/// The statement with rows [first, last) of it alone.
[[nodiscard]] std::string rows_alone(base::byte_view sql, batch const& of, std::size_t first, std::size_t last);
/// The statement with the rows of these numbers (ascending), or with none: then it stores nothing.
[[nodiscard]] std::string rows_alone(base::byte_view sql, batch const& of, std::vector<std::size_t> const& kept);

} // namespace pgmend::session
