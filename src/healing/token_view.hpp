// Walks over the tokens of a text: brackets, lists, key words.
#pragma once

#include "pgmend/sql/lexer.hpp"

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::healing {

class token_view {
  public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    token_view(std::string_view text, std::vector<sql::token> const& tokens) : text_{text}, tokens_{tokens} {}

    [[nodiscard]] std::size_t size() const { return tokens_.size(); }
    [[nodiscard]] sql::token const& operator[](std::size_t i) const { return tokens_[i]; }
    [[nodiscard]] std::size_t at(std::uint32_t byte) const;       ///< the token that begins there, or `none`
    [[nodiscard]] std::size_t from(std::uint32_t byte) const;     ///< the first one that begins there or later
    [[nodiscard]] std::string_view text(std::size_t i) const;
    [[nodiscard]] bool is(std::size_t i, std::string_view word_or_sign) const;
    [[nodiscard]] std::size_t closing(std::size_t open) const;    ///< the bracket that closes this one, or `none`

    struct item {
        std::size_t first{0}; ///< tokens [first, last]
        std::size_t last{0};
    };
    /// What stands between the commas inside a pair of brackets; empty where there is nothing inside.
    [[nodiscard]] std::vector<item> items(std::size_t open) const;

    [[nodiscard]] sql::span bytes(item const& it) const { return {tokens_[it.first].begin, tokens_[it.last].end}; }

  private:
    std::string_view text_;
    std::vector<sql::token> const& tokens_;
};

} // namespace pgmend::healing
