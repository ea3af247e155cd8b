// SQL text as tokens, by the rules of PostgreSQL's own scanner (src/backend/parser/scan.l, version 15).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pgmend::sql {

/// Bytes [begin, end) of a text.
struct span {
    std::uint32_t begin{0};
    std::uint32_t end{0};

    bool operator==(span const&) const = default;
};

enum class token_kind : std::uint8_t {
    word,        ///< unquoted identifier or key word
    quoted,      ///< "identifier", also U&"identifier"
    string,      ///< any constant in quotes: '…' E'…' U&'…' B'…' X'…' N'…' $tag$…$tag$, with its continuation lines
    number,
    parameter,   ///< $1
    punctuation, ///< one of , ( ) [ ] . ; :
    operator_name,
};

struct token {
    token_kind kind{token_kind::word};
    std::uint32_t begin{0};
    std::uint32_t end{0};
};

/// The tokens of a text, without white space and comments.
struct token_list {
    std::vector<token> tokens;
    std::uint32_t deepest{0};  ///< most brackets open at once
    bool complete{false};      ///< false: a quote or a comment is not closed, or the text is too long to be scanned
    /// A plain literal has a backslash before a quote: where it ends depends on standard_conforming_strings.
    bool depends_on_backslashes{false};
};

/// Never fails: look at `complete`. Offsets are 32 bits, so texts of 4 GB and more are not complete.
[[nodiscard]] token_list scan(std::string_view text);

/// Whether the unquoted word is this key word (`lower_case` in lower case).
[[nodiscard]] bool is_word(std::string_view text, token const& candidate, std::string_view lower_case);

} // namespace pgmend::sql
