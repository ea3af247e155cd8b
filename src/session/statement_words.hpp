// One statement as words, to tell what it is without a parse.
#pragma once

#include "pgmend/base/text.hpp"
#include "pgmend/sql/lexer.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::session {

/// The tokens of one statement.
struct statement_words {
    std::string_view text;
    std::vector<sql::token> tokens;

    explicit statement_words(std::string_view statement) : text{statement}, tokens{sql::scan(statement).tokens} {}

    [[nodiscard]] bool is(std::size_t i, std::string_view lower_case) const { return i < tokens.size() && tokens[i].kind == sql::token_kind::word && sql::is_word(text, tokens[i], lower_case); }
    [[nodiscard]] bool is(std::size_t i, std::string_view first, std::string_view second) const { return is(i, first) && is(i + 1, second); }
    [[nodiscard]] bool has(std::string_view lower_case) const {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            if (is(i, lower_case)) return true;
        return false;
    }
    [[nodiscard]] std::string_view raw(std::size_t i) const { return text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin); }
    /// As PostgreSQL reads an identifier; empty: it is none, or one of a kind that is not read here.
    [[nodiscard]] std::string name(std::size_t i) const {
        if (i >= tokens.size()) return {};
        auto const it = raw(i);
        if (tokens[i].kind == sql::token_kind::word) return base::in_small_letters(it);
        if (tokens[i].kind != sql::token_kind::quoted || it.front() != '"') return {};
        std::string out;
        for (std::size_t k = 1; k + 1 < it.size(); ++k) {
            out.push_back(it[k]);
            if (it[k] == '"') ++k; // doubled
        }
        return out;
    }
};

} // namespace pgmend::session
