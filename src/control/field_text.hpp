// Values as the server's text format has them.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::control {

/// The server formatted it, so it cannot fail; 0 for anything else.
template <class T>
[[nodiscard]] T to_number(std::string_view text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

[[nodiscard]] inline char to_char(std::string_view text) { return text.empty() ? '\0' : text.front(); }

/// All whole numbers in a text: of `{1,2}` (an array) as of `1 2` (oidvector, int2vector).
template <class T>
[[nodiscard]] std::vector<T> to_numbers(std::string_view text) {
    std::vector<T> found;
    auto const* at = text.data();
    auto const* const end = at + text.size();
    while (at != end) {
        T value{};
        auto const [behind, failed] = std::from_chars(at, end, value);
        if (failed == std::errc{}) found.push_back(value);
        at = failed == std::errc{} ? behind : at + 1;
    }
    return found;
}

/// The elements of a one-dimensional array of text (PostgreSQL 15, 8.15.6); nothing for NULL.
[[nodiscard]] std::vector<std::optional<std::string>> to_texts(std::string_view array);

} // namespace pgmend::control
