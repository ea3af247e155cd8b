// Which names are written to, seen from the tokens around them.
#pragma once

#include "healing/token_view.hpp"
#include "pgmend/sql/resolution.hpp"

#include <cstddef>

namespace pgmend::healing {

/// The SET whose list of assignments the token is a target of, or `none`.
[[nodiscard]] std::size_t set_keyword(token_view const& tokens, std::size_t token);

/// The bracket that opens the column list of an INSERT where the token is in one, or `none`.
[[nodiscard]] std::size_t insert_list(token_view const& tokens, std::size_t token, sql::resolution const& meaning);

/// Either of these, or in the list of columns of an ON CONFLICT.
[[nodiscard]] bool is_write_target(token_view const& tokens, std::size_t token, sql::resolution const& meaning);

} // namespace pgmend::healing
