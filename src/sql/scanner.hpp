// The tokens of a text one after the other, for passes that do not want to keep them.
#pragma once

#include "pgmend/sql/characters.hpp"
#include "pgmend/sql/lexer.hpp"

#include <limits>
#include <string_view>

namespace pgmend::sql {
/// One pass over one text, token by token; allocates nothing.
class scanner {
  public:
    explicit scanner(std::string_view text)
        : text_{text}, complete_{text.size() < std::numeric_limits<std::uint32_t>::max()} {}

    /// The next token; false at the end of the text, or where it is not complete.
    bool next(token& out) {
        if (!complete_ || !skip_blank()) return false;
        read();
        out = token_;
        return complete_;
    }

    [[nodiscard]] bool complete() const { return complete_; }
    [[nodiscard]] bool depends_on_backslashes() const { return depends_on_backslashes_; }
    [[nodiscard]] std::uint32_t deepest() const { return deepest_; }

  private:
    [[nodiscard]] char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }
    [[nodiscard]] bool two(char a, char b) const { return at(at_) == a && at(at_ + 1) == b && at_ + 1 < text_.size(); }

    void give_up() { complete_ = false; }

    void emit(token_kind kind, std::size_t begin) {
        token_ = {kind, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)};
    }

    /// Goes to the next token; false at the end of the text.
    bool skip_blank() {
        while (at_ < text_.size()) {
            if (characters::is_space(text_[at_])) {
                ++at_;
            } else if (two('-', '-')) {
                while (at_ < text_.size() && !characters::is_newline(text_[at_])) ++at_;
            } else if (two('/', '*')) {
                if (!skip_block_comment()) {
                    give_up();
                    return false;
                }
            } else {
                return true;
            }
        }
        return false;
    }

    bool skip_block_comment() { // they nest
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            if (two('/', '*')) {
                ++depth;
                at_ += 2;
            } else if (two('*', '/')) {
                at_ += 2;
                if (--depth == 0) return true;
            } else {
                ++at_;
            }
        }
        return false;
    }

    void read() {
        auto const begin = at_;
        char const c = text_[at_];
        if (characters::is_word_start(c)) return word(begin);
        if (c == '"') return quoted_name(begin);
        if (c == '\'') return literal(begin, false, true);
        if (c == '$') return dollar(begin);
        if (characters::is_digit(c) || (c == '.' && characters::is_digit(at(at_ + 1)))) return number(begin);
        if (characters::is_operator_part(c)) return operator_name(begin);
        at_ += two('.', '.') ? 2 : 1;
        if (c == '(' || c == '[') {
            if (++depth_ > deepest_) deepest_ = depth_;
        } else if ((c == ')' || c == ']') && depth_ > 0) {
            --depth_;
        }
        emit(token_kind::punctuation, begin);
    }

    void word(std::size_t begin) {
        char const c = characters::lower(text_[begin]);
        if (at(begin + 1) == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
            ++at_;
            return literal(begin, c == 'e', c == 'n');
        }
        if (c == 'u' && at(begin + 1) == '&' && at(begin + 2) == '\'') {
            at_ += 2;
            return literal(begin, false, true);
        }
        if (c == 'u' && at(begin + 1) == '&' && at(begin + 2) == '"') {
            at_ += 2;
            return quoted_name(begin);
        }
        while (at_ < text_.size() && characters::is_word_part(text_[at_])) ++at_;
        emit(token_kind::word, begin);
    }

    void quoted_name(std::size_t begin) {
        ++at_;
        while (at_ < text_.size()) {
            if (text_[at_] != '"') {
                ++at_;
            } else if (at(at_ + 1) == '"') {
                at_ += 2;
            } else {
                ++at_;
                return emit(token_kind::quoted, begin);
            }
        }
        give_up();
    }

    /// `at_` is at the opening quote. `escapes`: a backslash takes the next character with it.
    void literal(std::size_t begin, bool escapes, bool plain) {
        do {
            ++at_;
            if (!literal_part(escapes, plain)) return give_up();
        } while (continues());
        emit(token_kind::string, begin);
    }

    bool literal_part(bool escapes, bool plain) {
        while (at_ < text_.size()) {
            char const c = text_[at_];
            if (c == '\\') {
                if (plain && at(at_ + 1) == '\'') depends_on_backslashes_ = true;
                at_ += escapes ? 2 : 1;
            } else if (c != '\'') {
                ++at_;
            } else if (at(at_ + 1) == '\'') {
                at_ += 2;
            } else {
                ++at_;
                return true;
            }
        }
        return false;
    }

    /// Two literals with a line break between them are one (scan.l, quotecontinue). Goes to the next quote then.
    bool continues() {
        bool broken = false;
        auto ahead = at_;
        while (ahead < text_.size()) {
            char const c = text_[ahead];
            if (characters::is_newline(c)) {
                broken = true;
                ++ahead;
            } else if (characters::is_space(c)) {
                ++ahead;
            } else if (c == '-' && at(ahead + 1) == '-') {
                while (ahead < text_.size() && !characters::is_newline(text_[ahead])) ++ahead;
            } else {
                break;
            }
        }
        if (!broken || at(ahead) != '\'') return false;
        at_ = ahead;
        return true;
    }

    void dollar(std::size_t begin) {
        if (characters::is_digit(at(at_ + 1))) {
            ++at_;
            while (at_ < text_.size() && characters::is_digit(text_[at_])) ++at_;
            skip_junk();
            return emit(token_kind::parameter, begin);
        }
        auto tag_end = at_ + 1;
        if (characters::is_word_start(at(tag_end)) && tag_end < text_.size()) {
            while (tag_end < text_.size() && characters::is_word_part(text_[tag_end]) && text_[tag_end] != '$') ++tag_end;
        }
        if (at(tag_end) != '$' || tag_end >= text_.size()) {
            ++at_;
            return emit(token_kind::punctuation, begin);
        }
        auto const tag = text_.substr(begin, tag_end + 1 - begin);
        auto const close = text_.find(tag, tag_end + 1);
        if (close == std::string_view::npos) return give_up();
        at_ = close + tag.size();
        emit(token_kind::string, begin);
    }

    void number(std::size_t begin) {
        auto const digits = [this] {
            while (at_ < text_.size() && characters::is_digit(text_[at_])) ++at_;
        };
        digits();
        if (at(at_) == '.' && at(at_ + 1) != '.') { // 1..10 is two numbers
            ++at_;
            digits();
        }
        if (characters::lower(at(at_)) == 'e') {
            auto const sign = at(at_ + 1) == '+' || at(at_ + 1) == '-';
            if (characters::is_digit(at(at_ + (sign ? 2 : 1)))) {
                at_ += sign ? 2 : 1;
                digits();
            }
        }
        skip_junk();
        emit(token_kind::number, begin);
    }

    /// Later versions have 0x1F and 1_000; in version 15 a word directly after a number is an error. Either way it is
    /// part of what the client wrote as a number. A dollar begins something new.
    void skip_junk() {
        while (at_ < text_.size() && (characters::is_word_start(text_[at_]) || characters::is_digit(text_[at_]))) ++at_;
    }

    void operator_name(std::size_t begin) {
        if (begin < signs_end_) { // each sign is an operator of its own
            at_ = begin + 1;
            return emit(token_kind::operator_name, begin);
        }
        while (at_ < text_.size() && characters::is_operator_part(text_[at_]) && !two('-', '-') && !two('/', '*')) ++at_;
        // SQL's own operators end before a sign: a=-1 is a = -1. Others may have one: a @- b.
        auto const run = text_.substr(begin, at_ - begin);
        if (run.find_first_of("~!@#^&|`?%") == std::string_view::npos) {
            signs_end_ = at_; // a long run of them is looked through once
            auto const last = run.find_last_not_of("+-");
            at_ = begin + (last == std::string_view::npos ? 1 : last + 1);
        }
        emit(token_kind::operator_name, begin);
    }

    std::size_t signs_end_{0}; ///< up to here nothing but signs
    std::string_view text_;
    std::size_t at_{0};
    bool complete_{true};
    bool depends_on_backslashes_{false};
    std::uint32_t depth_{0};
    std::uint32_t deepest_{0};
    token token_;
};

} // namespace pgmend::sql
