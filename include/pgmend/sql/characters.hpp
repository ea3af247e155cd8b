// What a byte is to PostgreSQL's scanner (scan.l), whatever the locale.
#pragma once

#include <string_view>

namespace pgmend::sql::characters {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr bool is_word_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}

constexpr bool is_word_part(char c) { return is_word_start(c) || is_digit(c) || c == '$'; }

constexpr bool is_newline(char c) { return c == '\n' || c == '\r'; }

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\f' || is_newline(c); }

constexpr bool is_operator_part(char c) {
    return std::string_view{"~!@#^&|`?+-*/%<>="}.find(c) != std::string_view::npos;
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

} // namespace pgmend::sql::characters
