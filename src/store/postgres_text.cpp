#include "postgres_text.hpp"

#include "pgmend/base/utf8.hpp"

#include <fmt/format.h>

namespace pgmend::store {

std::string literal(std::string_view text) {
    std::string out = "'";
    for (std::size_t at = 0; at < text.size();) {
        auto const begin = at;
        auto const point = base::next_code_point(text, at);
        if (!point || *point == 0) out += "\xEF\xBF\xBD";
        else if (*point == U'\'') out += "''";
        else out.append(text.substr(begin, at - begin));
    }
    return out += '\'';
}

std::string literal(state::time_point at) { return fmt::format("('epoch'::timestamptz + {} * interval '1 microsecond')", at.time_since_epoch().count()); }

std::string bytea_literal(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "'\\x";
    out.reserve(2 * bytes.size() + 4);
    for (char const c : bytes) {
        auto const byte = static_cast<unsigned char>(c);
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    return out += '\'';
}

std::string bytes_of_hex(std::string_view bytea) {
    if (bytea.starts_with("\\x")) bytea.remove_prefix(2);
    std::string out;
    out.reserve(bytea.size() / 2);
    for (std::size_t i = 0; i + 1 < bytea.size(); i += 2) {
        unsigned value = 0;
        std::from_chars(bytea.data() + i, bytea.data() + i + 2, value, 16);
        out += static_cast<char>(value);
    }
    return out;
}

std::string microseconds(std::string_view column) { return fmt::format("(extract(epoch FROM {}) * 1000000)::bigint", column); }

} // namespace pgmend::store
