// A quick look at a text: most hold one statement that neither ends a transaction nor changes what names mean.
#include "pgmend/sql/facts.hpp"

#include "sql/scanner.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace pgmend::sql {
namespace {

/// Positions looked at in one go, without a branch: compilers make vector instructions of it.
constexpr std::size_t block = 64;
constexpr std::size_t ahead = 4; ///< bytes that are read behind a position

struct signs {
    std::uint8_t odd{0};    ///< what needs a scanner: comments, backslashes, dollar quotes, a semicolon, U&"…"
    std::uint8_t into{0};   ///< SELECT INTO, perhaps
    std::uint8_t config{0}; ///< set_config(), perhaps
    std::uint8_t single{0}; ///< an odd number of single quotes
    std::uint8_t twice{0};  ///< of double quotes
};

void look_at(char const* p, signs& found) {
    auto const small = [](char c) { return static_cast<char>(c | 0x20); };
    std::uint8_t odd = 0, into = 0, config = 0, single = 0, twice = 0;
    for (std::size_t i = 0; i < block; ++i) {
        char const c = p[i], d = p[i + 1];
        bool const comment = ((c == '-') & (d == '-')) | ((c == '/') & (d == '*'));
        bool const dollar = (c == '$') & (static_cast<std::uint8_t>(d - '0') > 9);
        odd = static_cast<std::uint8_t>(odd | comment | dollar | (c == '\\') | (c == ';') | ((c == '&') & (d == '"')));
        single = static_cast<std::uint8_t>(single ^ (c == '\''));
        twice = static_cast<std::uint8_t>(twice ^ (c == '"'));
        into = static_cast<std::uint8_t>(into | ((small(c) == 'i') & (small(d) == 'n') & (small(p[i + 2]) == 't') & (small(p[i + 3]) == 'o')));
        config = static_cast<std::uint8_t>(config | ((small(c) == 's') & (small(d) == 'e') & (small(p[i + 2]) == 't') & (p[i + 3] == '_') & (small(p[i + 4]) == 'c')));
    }
    found.odd |= odd;
    found.into |= into;
    found.config |= config;
    found.single ^= single;
    found.twice ^= twice;
}

signs look_at(std::string_view text) {
    signs found;
    std::size_t at = 0;
    for (; at + block + ahead <= text.size() && found.odd == 0; at += block) look_at(text.data() + at, found);
    // The rest, with blanks behind it.
    while (at < text.size() && found.odd == 0) {
        std::array<char, block + ahead> rest;
        rest.fill(' ');
        auto const count = std::min(text.size() - at, rest.size());
        std::memcpy(rest.data(), text.data() + at, count);
        look_at(rest.data(), found);
        at += block;
    }
    return found;
}

/// White space and whole comments in front.
std::string_view without_beginning(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        if (characters::is_space(text[at])) {
            ++at;
        } else if (text.substr(at).starts_with("--")) {
            while (at < text.size() && !characters::is_newline(text[at])) ++at;
        } else if (text.substr(at).starts_with("/*")) {
            auto const end = text.find("*/", at + 2);
            auto const nested = text.find("/*", at + 2);
            if (end == std::string_view::npos || nested < end) return {};
            at = end + 2;
        } else {
            break;
        }
    }
    return text.substr(at);
}

/// Whether quotes are closed at the end of a text without comments, backslashes and dollar quotes.
bool quotes_close(std::string_view text) {
    char inside = 0;
    for (char const c : text) {
        if (inside != 0) {
            if (c == inside) inside = 0; // a doubled one opens it again at once
        } else if (c == '\'' || c == '"') {
            inside = c;
        }
    }
    return inside == 0;
}

std::string_view without_end(std::string_view text) {
    while (!text.empty() && characters::is_space(text.back())) text.remove_suffix(1);
    return text;
}

/// The kind that the first word tells, where such a statement never changes a session; else `empty`.
statement_kind kind_of(std::string_view text) {
    struct entry {
        std::string_view word;
        statement_kind kind;
    };
    static constexpr entry words[] = {{"select", statement_kind::select}, {"insert", statement_kind::insert}, {"update", statement_kind::update},
                                      {"delete", statement_kind::remove}, {"with", statement_kind::with},     {"merge", statement_kind::merge},
                                      {"values", statement_kind::values}};
    for (auto const& [word, kind] : words) {
        if (text.size() <= word.size() || characters::is_word_part(text[word.size()])) continue;
        if (is_word(text, {token_kind::word, 0, static_cast<std::uint32_t>(word.size())}, word)) return kind;
    }
    return statement_kind::empty;
}

} // namespace

statement_kind plain_statement(std::string_view text) {
    text = without_end(without_beginning(text));
    // A comment at the very end, as sqlcommenter writes it.
    bool const commented = text.ends_with("*/");
    if (commented) {
        auto const begin = text.rfind("/*");
        if (begin == std::string_view::npos || text.find("*/", begin) + 2 != text.size()) return statement_kind::empty;
        text = without_end(text.substr(0, begin));
    }
    if (text.ends_with(';')) text = without_end(text.substr(0, text.size() - 1));
    auto const kind = kind_of(text);
    if (kind == statement_kind::empty) return kind;
    auto const found = look_at(text);
    if (found.odd != 0 || found.config != 0 || found.single != 0 || found.twice != 0 || (commented && !quotes_close(text))) return statement_kind::empty;
    bool const may_make = kind == statement_kind::select || kind == statement_kind::with;
    return found.into != 0 && may_make ? statement_kind::empty : kind;
}

} // namespace pgmend::sql
