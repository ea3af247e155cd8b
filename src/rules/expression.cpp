#include "expression.hpp"

#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/parse.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace pgmend::rules {
namespace {

using sql::token;
using sql::token_kind;

/// They would make one row of many, or many of one.
constexpr std::array<std::string_view, 20> changes_rows{"count",    "sum",         "avg",      "min",        "max",        "array_agg",      "string_agg",
                                                        "json_agg", "jsonb_agg",   "bool_and", "bool_or",    "every",      "json_object_agg", "jsonb_object_agg",
                                                        "stddev",   "variance",    "unnest",   "generate_series", "regexp_split_to_table", "mode"};

/// Knows no relation, so that every column is unknown.
class no_relations final : public sql::relation_source {
  public:
    answer find(std::string_view, std::string_view) override { return {}; }
    bool is_temporary(std::string_view) const override { return false; }
};

class examination {
  public:
    examination(std::string const& text, sql::token_list const& list) : text_{text}, tokens_{list.tokens} {}

    [[nodiscard]] std::optional<std::string> tokens_mistake() const {
        if (comment()) return "must hold no comment";
        int depth = 0;
        bool changes_number = false;
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            auto const w = written(i);
            auto const kind = tokens_[i].kind;
            if (kind == token_kind::parameter) return "must hold no parameter: there is nothing it could stand for";
            if (kind == token_kind::punctuation) {
                if (w == ";") return "must be one expression: it holds a semicolon";
                if (w == "(" || w == "[") ++depth;
                if ((w == ")" || w == "]") && --depth < 0) return "must be one expression: it closes a bracket that it did not open";
                if (w == "," && depth == 0) return "must be one expression, not a list";
            }
            if (kind == token_kind::operator_name && w == "*" && i > 0 && written(i - 1) == ".") return "must be one value, not all columns";
            if (sql::is_word(text_, tokens_[i], "default")) return "must be a value: DEFAULT is none";
            if (sql::is_word(text_, tokens_[i], "over")) changes_number = true;
            if (is_call(i) && std::any_of(changes_rows.begin(), changes_rows.end(), [&](auto f) { return sql::is_word(text_, tokens_[i], f); }))
                changes_number = true;
        }
        bool const own_query = any({"select", "values", "table"});
        if (changes_number && !own_query) return "must be a value of one row: an aggregate, window or set-returning function is none";
        if (any({"with"}) && any({"insert", "update", "delete", "merge"})) return "must not write";
        return std::nullopt;
    }

  private:
    [[nodiscard]] std::string_view written(std::size_t i) const {
        return std::string_view{text_}.substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin);
    }

    [[nodiscard]] bool is_call(std::size_t i) const { return i + 1 < tokens_.size() && written(i + 1) == "("; }

    [[nodiscard]] bool any(std::initializer_list<std::string_view> words) const {
        return std::any_of(tokens_.begin(), tokens_.end(), [&](token const& t) {
            return std::any_of(words.begin(), words.end(), [&](auto w) { return sql::is_word(text_, t, w); });
        });
    }

    /// What is neither a token nor white space.
    [[nodiscard]] bool comment() const {
        std::size_t at = 0;
        auto const blank_until = [&](std::size_t end) {
            return std::string_view{text_}.substr(at, end - at).find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
        };
        for (auto const& t : tokens_) {
            if (!blank_until(t.begin)) return true;
            at = t.end;
        }
        return !blank_until(text_.size());
    }

    std::string const& text_;
    std::vector<token> const& tokens_;
};

} // namespace

std::optional<std::string> expression_mistake(std::string const& text, expression_use use) {
    auto const list = sql::scan(text);
    if (!list.complete) return "has a quote or a comment that is not closed";
    if (list.depends_on_backslashes) return "has a constant with a backslash before a quote; write it as E'…'";
    if (list.tokens.empty()) return "is empty";
    if (auto mistake = examination{text, list}.tokens_mistake()) return mistake;
    auto const parsed = sql::parsed_text::parse("SELECT (" + text + ")");
    if (!parsed) return "is no SQL expression: " + parsed.error().text;
    if (parsed->statements().size() != 1) return "must be one expression";
    if (use == expression_use::written) {
        no_relations nothing;
        auto const outcome = parsed->resolve(0, nothing, false);
        auto const* const unresolved = std::get_if<sql::unresolved>(&outcome);
        if (unresolved != nullptr && unresolved->kind == sql::unresolved::kind_type::unknown_column) {
            bool const name = list.tokens.size() == 1;
            return name ? fmt::format("names a column, and there is none to take it from; text is written \"'{}'\"", text)
                        : std::string{"names a column, and there is none to take it from"};
        }
    }
    return std::nullopt;
}

} // namespace pgmend::rules
