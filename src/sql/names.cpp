#include "pgmend/sql/names.hpp"

#include "pgmend/sql/lexer.hpp"
#include "sql/nodes.hpp"

#include <algorithm>

namespace pgmend::sql {
namespace {

constexpr bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool is_plain(std::string_view name) {
    auto const fits = [](char c, bool first) {
        return (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
    };
    if (name.empty()) return false;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (!fits(name[i], i == 0)) return false;
    }
    int const keyword = ScanKeywordLookup(std::string{name}.c_str(), &ScanKeywords);
    return keyword < 0 || ScanKeywordCategories[keyword] == UNRESERVED_KEYWORD;
}

} // namespace

std::string quoted_name(std::string_view name) {
    if (is_plain(name)) return std::string{name};
    std::string out{'"'};
    for (char const c : name) {
        if (c == '"') out += '"';
        out += c;
    }
    return out += '"';
}

bool is_keyword(std::string_view lower_case) { return ScanKeywordLookup(std::string{lower_case}.c_str(), &ScanKeywords) >= 0; }

std::optional<std::string> quoted_literal(std::string_view text) {
    if (text.find('\\') != std::string_view::npos) return std::nullopt;
    std::string out{'\''};
    for (char const c : text) {
        if (c == '\'') out += '\'';
        out += c;
    }
    return out += '\'';
}

std::optional<std::vector<std::string>> split_name(std::string_view text) {
    auto const list = scan(text);
    if (!list.complete || list.tokens.empty() || list.tokens.size() % 2 == 0) return std::nullopt;
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < list.tokens.size(); ++i) {
        auto const& token = list.tokens[i];
        auto const written = text.substr(token.begin, token.end - token.begin);
        if (i % 2 == 1) {
            if (written != ".") return std::nullopt;
        } else if (token.kind == token_kind::word) {
            std::string folded{written};
            std::transform(folded.begin(), folded.end(), folded.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
            parts.push_back(std::move(folded));
        } else if (token.kind == token_kind::quoted && written.front() == '"') {
            std::string name;
            for (std::size_t k = 1; k + 1 < written.size(); ++k) {
                name += written[k];
                if (written[k] == '"') ++k;
            }
            parts.push_back(std::move(name));
        } else {
            return std::nullopt;
        }
    }
    return parts;
}

std::optional<std::uint32_t> byte_offset(std::string_view text, std::uint32_t character) {
    std::uint32_t seen = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (continues_character(text[i])) continue;
        if (seen++ == character) return static_cast<std::uint32_t>(i);
    }
    if (seen == character) return static_cast<std::uint32_t>(text.size());
    return std::nullopt;
}

std::uint32_t count_characters(std::string_view text, std::uint32_t bytes) {
    auto const head = text.substr(0, bytes);
    return static_cast<std::uint32_t>(std::count_if(head.begin(), head.end(), [](char c) { return !continues_character(c); }));
}

} // namespace pgmend::sql
