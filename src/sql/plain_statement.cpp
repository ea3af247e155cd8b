// A quick look at a text: most hold one statement that neither ends a transaction nor changes what names mean.
#include "pgmend/sql/facts.hpp"

#include "sql/byte_block.hpp"
#include "sql/scanner.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace pgmend::sql {
namespace {

struct signs {
    bool odd{false};    ///< what needs a scanner: comments, backslashes, dollar quotes, a semicolon, U&"…", an open quote
    bool into{false};   ///< SELECT INTO, perhaps
    bool config{false}; ///< set_config(), perhaps
};

/// Whether these letters stand there, in any case.
bool letters(char const* p, std::string_view small) {
    for (auto const c : small) {
        if (characters::lower(*p++) != c) return false;
    }
    return true;
}

/// `text`: of a SELECT or the like, so it does not begin with any of what is looked for.
signs look_at(std::string_view text) {
    signs found;
    std::uint64_t single = 0, twice = 0; // as many bits as there are quotes, or an even number fewer
    auto const next = [text](std::size_t i) { return i + 1 < text.size() ? text[i + 1] : ' '; };
    for (std::size_t at = 0; at < text.size(); at += byte_block::size) {
        byte_block const block{text, at};
        if (block.equal('\\', ';') != 0) {
            found.odd = true;
            return found;
        }
        for (auto it = block.equal('-', '/', '&', '$'); it != 0; it &= it - 1) {
            auto const i = at + static_cast<std::size_t>(std::countr_zero(it));
            char const c = text[i], d = next(i);
            if (c == '-' ? d == '-' : c == '/' ? d == '*' : c == '&' ? d == '"' : !characters::is_digit(d)) {
                found.odd = true;
                return found;
            }
        }
        single ^= block.equal('\'');
        twice ^= block.equal('"');
        for (auto it = block.equal('_', 'o', 'O'); it != 0; it &= it - 1) {
            auto const i = at + static_cast<std::size_t>(std::countr_zero(it));
            if (i < 4) continue;
            if (text[i] == '_') {
                if (characters::lower(text[i - 1]) == 't' && letters(text.data() + i - 3, "set") && characters::lower(next(i)) == 'c') found.config = true;
            } else if (characters::lower(text[i - 1]) == 't' && letters(text.data() + i - 3, "int")) {
                found.into = true;
            }
        }
    }
    found.odd = std::popcount(single) % 2 != 0 || std::popcount(twice) % 2 != 0;
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
    if (found.odd || found.config || (commented && !quotes_close(text))) return statement_kind::empty;
    bool const may_make = kind == statement_kind::select || kind == statement_kind::with;
    return found.into && may_make ? statement_kind::empty : kind;
}

} // namespace pgmend::sql
