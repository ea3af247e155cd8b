#include "pgmend/sql/commenter.hpp"

#include <cstddef>
#include <optional>

namespace pgmend::sql {
namespace {

constexpr std::size_t most_bytes = 256;
constexpr std::size_t most_tags = 32;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';'; }

int hexadecimal(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// URL decoding, and the backslash in front of a quote taken away.
std::string decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size() && out.size() < most_bytes; ++i) {
        char c = text[i];
        if (c == '%' && i + 2 < text.size() && hexadecimal(text[i + 1]) >= 0 && hexadecimal(text[i + 2]) >= 0) {
            c = static_cast<char>(hexadecimal(text[i + 1]) * 16 + hexadecimal(text[i + 2]));
            i += 2;
        } else if (c == '\\' && i + 1 < text.size()) {
            c = text[++i];
        }
        out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
    }
    return out;
}

/// What is between /* and */ at the end, or at the beginning.
std::optional<std::string_view> comment_of(std::string_view sql) {
    auto end = sql.size();
    while (end > 0 && is_space(sql[end - 1])) --end;
    auto const text = sql.substr(0, end);
    if (text.ends_with("*/")) {
        auto const begin = text.rfind("/*");
        if (begin != std::string_view::npos && begin + 4 <= text.size()) return text.substr(begin + 2, text.size() - begin - 4);
    }
    std::size_t begin = 0;
    while (begin < text.size() && is_space(text[begin])) ++begin;
    if (!text.substr(begin).starts_with("/*")) return std::nullopt;
    auto const close = text.find("*/", begin + 2);
    if (close == std::string_view::npos) return std::nullopt;
    return text.substr(begin + 2, close - begin - 2);
}

} // namespace

std::vector<std::pair<std::string, std::string>> comment_tags(std::string_view sql) {
    std::vector<std::pair<std::string, std::string>> out;
    auto const comment = comment_of(sql);
    if (!comment) return out;
    auto rest = *comment;
    while (!rest.empty() && out.size() < most_tags) {
        while (!rest.empty() && (is_space(rest.front()) || rest.front() == ',')) rest.remove_prefix(1);
        if (rest.empty()) break;
        auto const equals = rest.find("='");
        if (equals == std::string_view::npos || equals == 0 || equals > most_bytes) return {};
        auto const key = rest.substr(0, equals);
        if (key.find_first_of("' \t\n,") != std::string_view::npos) return {};
        std::size_t end = equals + 2;
        while (end < rest.size() && rest[end] != '\'') end += rest[end] == '\\' ? 2 : 1;
        if (end >= rest.size()) return {};
        out.emplace_back(decoded(key), decoded(rest.substr(equals + 2, end - equals - 2)));
        rest.remove_prefix(end + 1);
    }
    return out;
}

bool is_traceparent(std::string_view text) {
    if (text.size() != 55) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        bool const dash = i == 2 || i == 35 || i == 52;
        if (dash ? text[i] != '-' : hexadecimal(text[i]) < 0) return false;
    }
    return true;
}

} // namespace pgmend::sql
