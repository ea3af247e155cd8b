// Messages of the console's answers (PostgreSQL documentation, "Message Formats").
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/console.hpp"

#include <string>
#include <vector>

namespace pgmend::session {

void append_message(std::string& out, char type, base::byte_view body = {});
void append_complete(std::string& out, base::byte_view tag); ///< CommandComplete
void append_idle(std::string& out);                          ///< ReadyForQuery; the console knows no transactions

/// `binary` by column; empty: all in text.
void append_description(std::string& out, std::span<console_column const> columns, std::vector<bool> const& binary);
void append_row(std::string& out, std::span<console_column const> columns, console_row const& row, std::vector<bool> const& binary);

} // namespace pgmend::session
