// The tokens of one statement of DDL, for schema_script.
#pragma once

#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/names.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::healing::testing {

struct script_reader {
    std::string_view text;
    std::vector<sql::token> tokens;
    std::size_t at{0};

    explicit script_reader(std::string_view statement) : text{statement}, tokens{sql::scan(statement).tokens} {}

    [[nodiscard]] bool done() const { return at >= tokens.size(); }
    [[nodiscard]] std::string_view here() const {
        return done() ? std::string_view{} : text.substr(tokens[at].begin, tokens[at].end - tokens[at].begin);
    }
    [[nodiscard]] bool is(std::string_view word) const {
        return !done() && (sql::is_word(text, tokens[at], word) || here() == word);
    }
    [[nodiscard]] bool is_one_of(std::initializer_list<std::string_view> words) const {
        for (auto const word : words) {
            if (is(word)) return true;
        }
        return false;
    }
    /// The words one after the other, separated by a blank: all or none.
    bool accept(std::string_view words) {
        auto const began = at;
        while (!words.empty()) {
            auto const blank = words.find(' ');
            if (!is(words.substr(0, blank))) {
                at = began;
                return false;
            }
            ++at;
            words = blank == std::string_view::npos ? std::string_view{} : words.substr(blank + 1);
        }
        return true;
    }
    void expect(std::string_view words) {
        if (!accept(words)) fail("expected " + std::string{words});
    }
    [[noreturn]] void fail(std::string const& what) const { throw std::runtime_error{what + " in: " + std::string{text}}; }

    std::string name() {
        auto const parts = sql::split_name(here());
        if (!parts || parts->size() != 1) fail("expected a name");
        ++at;
        return parts->front();
    }
    std::pair<std::string, std::string> qualified() {
        auto first = name();
        if (!accept(".")) return {"public", std::move(first)};
        return {std::move(first), name()};
    }
    /// 'text'
    std::string literal() {
        auto const quoted = here();
        if (quoted.size() < 2 || quoted.front() != '\'') fail("expected a literal");
        ++at;
        std::string plain;
        for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
            plain += quoted[i];
            if (quoted[i] == '\'') ++i;
        }
        return plain;
    }
    /// To the next comma or closing bracket of this level.
    void skip_item() {
        int depth = 0;
        while (!done() && !(depth == 0 && (is(",") || is(")")))) {
            if (is("(")) ++depth;
            if (is(")")) --depth;
            ++at;
        }
    }
    /// Past the closing bracket of the one that is here; returns what is between.
    std::string_view bracketed() {
        expect("(");
        auto const begin = at;
        for (int depth = 1; !done(); ++at) {
            if (is("(")) ++depth;
            if (is(")") && --depth == 0) break;
        }
        auto const inside = at == begin ? std::string_view{} : text.substr(tokens[begin].begin, tokens[at - 1].end - tokens[begin].begin);
        expect(")");
        return inside;
    }
};

} // namespace pgmend::healing::testing
