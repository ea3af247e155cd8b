#include "healing/token_view.hpp"

#include <algorithm>

namespace pgmend::healing {

std::size_t token_view::from(std::uint32_t byte) const {
    auto const found = std::lower_bound(tokens_.begin(), tokens_.end(), byte,
                                        [](sql::token const& t, std::uint32_t at) { return t.begin < at; });
    return static_cast<std::size_t>(found - tokens_.begin());
}

std::size_t token_view::at(std::uint32_t byte) const {
    auto const found = from(byte);
    return found < tokens_.size() && tokens_[found].begin == byte ? found : none;
}

std::string_view token_view::text(std::size_t i) const {
    return i < tokens_.size() ? text_.substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin) : std::string_view{};
}

bool token_view::is(std::size_t i, std::string_view word_or_sign) const {
    if (i >= tokens_.size()) return false;
    auto const& t = tokens_[i];
    if (t.kind == sql::token_kind::word) return sql::is_word(text_, t, word_or_sign);
    return (t.kind == sql::token_kind::punctuation || t.kind == sql::token_kind::operator_name) && text(i) == word_or_sign;
}

std::size_t token_view::closing(std::size_t open) const {
    int depth = 0;
    for (auto i = open; i < tokens_.size(); ++i) {
        if (is(i, "(") || is(i, "[")) ++depth;
        if ((is(i, ")") || is(i, "]")) && --depth == 0) return i;
    }
    return none;
}

std::vector<token_view::item> token_view::items(std::size_t open) const {
    std::vector<item> out;
    auto const end = closing(open);
    if (end == none || end == open + 1) return out;
    auto first = open + 1;
    for (auto i = first; i <= end; ++i) {
        if (i == end || is(i, ",")) {
            out.push_back({first, i - 1});
            first = i + 1;
        } else if (is(i, "(") || is(i, "[")) {
            i = closing(i); // inside of brackets that close
        }
    }
    return out;
}

} // namespace pgmend::healing
