// Statement rules: a statement recognised token by token, and the text to run instead.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/sql/lexer.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::rules {

/// A client's text, scanned once for all rules. Views into the text.
class scanned_text {
  public:
    /// The text must be in an encoding whose multi-byte characters hold no ASCII bytes (UTF-8, and every encoding that a server may have).
    explicit scanned_text(std::string_view text);

    /// Exactly one statement, whose tokens mean the same under every setting. Others match nothing.
    [[nodiscard]] bool matchable() const { return matchable_; }

    [[nodiscard]] std::string_view text() const { return text_; }
    [[nodiscard]] std::span<sql::token const> tokens() const { return list_.tokens; } ///< without a final `;`
    [[nodiscard]] std::uint64_t hash() const { return hash_; } ///< equal for all texts that one statement_shape matches

  private:
    std::string_view text_;
    sql::token_list list_;
    std::uint64_t hash_{0};
    bool matchable_{false};
};

/// What the parameters of a rule stand for in a client's text: [n - 1] is $n; empty where the rule has no such parameter.
using parameter_values = std::vector<std::string_view>;

/// A rule's `statement`. It matches a text that has the same tokens: key words and unquoted names without regard to case, a quoted name like
/// an unquoted one where that means the same, white space and comments left out of account. `$n` matches one constant (with its sign), TRUE,
/// FALSE, NULL or one parameter; a parameter written twice must stand for the same text twice. Other constants match themselves only.
class statement_shape {
  public:
    /// Errors' texts are for people: what is wrong with the statement. Needs the parser: on a thread that may parse (sql/parse.hpp).
    [[nodiscard]] static base::result<statement_shape> compile(std::string text);

    [[nodiscard]] std::string const& text() const { return text_; }
    [[nodiscard]] std::uint64_t hash() const { return hash_; }
    [[nodiscard]] std::vector<std::uint32_t> const& parameters() const { return parameters_; } ///< ascending, each once
    /// A word that every text it matches has, and few others: its longest one that is no key word. Empty: there is none. In lower case, or as quoted.
    [[nodiscard]] std::string telling_word() const;
    [[nodiscard]] std::optional<parameter_values> match(scanned_text const& client) const;

    bool operator==(statement_shape const& other) const { return text_ == other.text_; }

  private:
    std::string text_;
    std::vector<sql::token> tokens_;
    std::vector<std::uint32_t> parameters_;
    std::uint64_t hash_{0};
};

/// A rule's `replace`: one statement with parameters.
class replacement_text {
  public:
    [[nodiscard]] static base::result<replacement_text> compile(std::string text);

    [[nodiscard]] std::string const& text() const { return text_; }
    [[nodiscard]] std::vector<std::uint32_t> const& parameters() const { return parameters_; } ///< ascending, each once

    /// The statement with the values in the places of its parameters. A constant with a sign is put into parentheses.
    [[nodiscard]] std::string with(parameter_values const& values) const;

    bool operator==(replacement_text const& other) const { return text_ == other.text_; }

  private:
    std::string text_; ///< without a final `;`
    std::vector<sql::token> parameter_tokens_;
    std::vector<std::uint32_t> parameters_;
};

/// One edit: bytes [begin, end) of the client's text, which are its statement, become `statement`; comments around it and a final `;` stay.
struct replaced_statement {
    std::uint32_t begin{0};
    std::uint32_t end{0};
    std::string statement;
    std::string sql; ///< the whole text after the edit
};

/// Nothing where the shape does not match. Pure.
[[nodiscard]] std::optional<replaced_statement> replace(statement_shape const& shape, replacement_text const& now, scanned_text const& client);

} // namespace pgmend::rules
