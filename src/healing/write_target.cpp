#include "healing/write_target.hpp"

namespace pgmend::healing {

std::size_t set_keyword(token_view const& tokens, std::size_t token) {
    if (!tokens.is(token + 1, "=") || token == 0) return token_view::none;
    if (!tokens.is(token - 1, "set") && !tokens.is(token - 1, ",")) return token_view::none;
    int depth = 0;
    for (auto i = token; i-- > 0;) {
        if (tokens.is(i, ")") || tokens.is(i, "]")) ++depth;
        if (tokens.is(i, "(") || tokens.is(i, "[")) --depth;
        if (depth < 0) return token_view::none;
        if (depth > 0) continue;
        if (tokens.is(i, "set")) return i;
        for (auto const* word : {"where", "from", "select", "returning", "values"}) {
            if (tokens.is(i, word)) return token_view::none;
        }
    }
    return token_view::none;
}

std::size_t insert_list(token_view const& tokens, std::size_t token, sql::resolution const& meaning) {
    if (token == 0 || (!tokens.is(token - 1, "(") && !tokens.is(token - 1, ","))) return token_view::none;
    int depth = 0;
    auto open = token;
    while (open-- > 0) {
        if (tokens.is(open, ")")) ++depth;
        if (tokens.is(open, "(") && depth-- == 0) break;
    }
    if (open == token_view::none) return token_view::none;
    if (open > 1 && tokens.is(open - 1, "insert") && tokens.is(open - 2, "then")) return open; // MERGE
    for (auto const& it : meaning.references) {
        if (it.kind != sql::reference::kind_type::relation || !it.target) continue;
        auto name = tokens.at(it.parts.back().begin);
        if (name == token_view::none) continue;
        auto const first = tokens.at(it.parts.front().begin);
        if (first == 0 || first == token_view::none || !tokens.is(first - 1, "into")) continue;
        if (tokens.is(name + 1, "as")) name += 2;
        if (name + 1 == open) return open;
    }
    return token_view::none;
}

bool is_write_target(token_view const& tokens, std::size_t token, sql::resolution const& meaning) {
    if (set_keyword(tokens, token) != token_view::none || insert_list(tokens, token, meaning) != token_view::none) return true;
    int depth = 0;
    for (auto i = token; i-- > 0;) {
        if (tokens.is(i, ")")) ++depth;
        if (tokens.is(i, "(") && depth-- == 0) return i >= 2 && tokens.is(i - 1, "conflict") && tokens.is(i - 2, "on");
    }
    return false;
}

} // namespace pgmend::healing
