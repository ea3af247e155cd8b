// Questions about texts that many ask.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace pgmend::base {

/// Whether it is the same text in every encoding that PostgreSQL knows.
inline bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

/// With ASCII's letters as PostgreSQL folds them; every other byte stays what it is.
inline std::string in_small_letters(std::string_view text) {
    std::string out{text};
    for (auto& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

} // namespace pgmend::base
