#include "pgmend/rules/statement_shape.hpp"

#include "pgmend/sql/characters.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/sql/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pgmend::rules {
namespace {

using sql::token;
using sql::token_kind;

constexpr std::uint32_t most_parameter = 65535; // a Bind message cannot have more

std::string_view written(std::string_view text, token const& t) { return text.substr(t.begin, t.end - t.begin); }

using sql::characters::lower;

bool same_word(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

/// Words that stand for a constant.
bool is_constant_word(std::string_view word) { return same_word(word, "null") || same_word(word, "true") || same_word(word, "false"); }

/// "a name" without its quotes; nothing for U&"…" and for a name that holds quotes: those are compared as they are written.
std::optional<std::string_view> plain_content(std::string_view quoted) {
    if (quoted.size() < 2 || quoted.front() != '"') return std::nullopt;
    auto const inside = quoted.substr(1, quoted.size() - 2);
    if (inside.find('"') != std::string_view::npos) return std::nullopt;
    return inside;
}

class hasher {
  public:
    void add(std::string_view text, bool fold) {
        for (char const c : text) step(fold ? lower(c) : c);
        step('\0');
    }
    [[nodiscard]] std::uint64_t value() const { return value_; }

  private:
    void step(char c) { value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U; } // FNV-1a
    std::uint64_t value_{0xcbf29ce484222325U};
};

/// What may differ between two texts of one shape is left out: constants and their signs, quotes and the case of names.
std::uint64_t hash_of(std::string_view text, std::vector<token> const& tokens) {
    hasher h;
    for (auto const& t : tokens) {
        auto const w = written(text, t);
        switch (t.kind) {
            case token_kind::word: h.add(is_constant_word(w) ? "?" : w, true); break;
            case token_kind::quoted: h.add(plain_content(w).value_or(w), false); break;
            case token_kind::string:
            case token_kind::number:
            case token_kind::parameter: h.add("?", false); break;
            case token_kind::punctuation: h.add(w, false); break;
            case token_kind::operator_name:
                if (w != "-" && w != "+") h.add(w, false);
                break;
        }
    }
    return h.value();
}

/// Takes final semicolons away; false: there is another one, or nothing else.
bool trim_to_one_statement(std::string_view text, std::vector<token>& tokens) {
    auto const ends = [&](token const& t) { return t.kind == token_kind::punctuation && written(text, t) == ";"; };
    while (!tokens.empty() && ends(tokens.back())) tokens.pop_back();
    return !tokens.empty() && std::none_of(tokens.begin(), tokens.end(), ends);
}

std::uint32_t parameter_number(std::string_view parameter) { // 0: none that can be
    std::uint32_t n = 0;
    auto const parsed = std::from_chars(parameter.data() + 1, parameter.data() + parameter.size(), n);
    bool const good = parsed.ec == std::errc{} && parsed.ptr == parameter.data() + parameter.size() && n <= most_parameter;
    return good ? n : 0;
}

struct compiled {
    std::vector<token> tokens;
    std::vector<std::uint32_t> parameters;
};

base::error wrong(std::string text) { return base::fail(base::errc::invalid_input, std::move(text)); }

base::result<compiled> compile_text(std::string const& text) {
    auto list = sql::scan(text);
    if (!list.complete) return wrong("a quote or a comment is not closed");
    if (list.depends_on_backslashes) return wrong("a constant has a backslash before a quote; write it as E'…'");
    if (list.tokens.empty()) return wrong("there is no statement");
    if (!trim_to_one_statement(text, list.tokens)) return wrong("it must be one statement");
    compiled out;
    for (auto const& t : list.tokens) {
        if (t.kind != token_kind::parameter) continue;
        auto const n = parameter_number(written(text, t));
        if (n == 0) return wrong(fmt::format("parameters are $1 to ${}", most_parameter));
        out.parameters.push_back(n);
    }
    std::sort(out.parameters.begin(), out.parameters.end());
    out.parameters.erase(std::unique(out.parameters.begin(), out.parameters.end()), out.parameters.end());

    auto const parsed = sql::parsed_text::parse(text);
    if (!parsed) {
        bool const question_mark = std::any_of(list.tokens.begin(), list.tokens.end(), [&](token const& t) {
            return t.kind == token_kind::operator_name && written(text, t) == "?";
        });
        return wrong(parsed.error().text + (question_mark ? "; parameters are written $1, $2, …, not ?" : ""));
    }
    if (parsed->statements().size() != 1) return wrong("it must be one statement");
    out.tokens = std::move(list.tokens);
    return out;
}

/// Walks a shape's tokens and a client's side by side.
class matching {
  public:
    matching(std::string_view rule, std::span<token const> rule_tokens, scanned_text const& client)
        : rule_{rule}, rule_tokens_{rule_tokens}, client_{client.text()}, client_tokens_{client.tokens()} {}

    std::optional<parameter_values> run(std::uint32_t highest) {
        values_.resize(highest);
        for (std::size_t i = 0; i < rule_tokens_.size(); ++i) {
            if (at_ >= client_tokens_.size()) return std::nullopt;
            bool const good = rule_tokens_[i].kind == token_kind::parameter ? take_value(i) : same(i, client_tokens_[at_++]);
            if (!good) return std::nullopt;
        }
        if (at_ != client_tokens_.size()) return std::nullopt;
        return std::move(values_);
    }

  private:
    [[nodiscard]] std::string_view client_text(std::size_t i) const {
        return i < client_tokens_.size() ? written(client_, client_tokens_[i]) : std::string_view{};
    }

    bool take_value(std::size_t i) {
        auto const begin = client_tokens_[at_].begin;
        bool const sign = client_text(at_) == "-" || client_text(at_) == "+";
        if (sign) {
            ++at_;
            if (at_ >= client_tokens_.size() || client_tokens_[at_].kind != token_kind::number) return false;
            // A cast binds the number before the sign does: that is not one constant.
            auto const next = client_text(at_ + 1);
            if (next == "." || next == "[" || next == ":" || next == "::") return false;
        }
        auto const& t = client_tokens_[at_];
        bool const constant = t.kind == token_kind::string || t.kind == token_kind::number || t.kind == token_kind::parameter ||
                              (t.kind == token_kind::word && is_constant_word(client_text(at_)));
        if (!constant) return false;
        ++at_;
        auto const value = client_.substr(begin, t.end - begin);
        auto& kept = values_[parameter_number(written(rule_, rule_tokens_[i])) - 1];
        if (!kept.empty() && kept != value) return false;
        kept = value;
        return true;
    }

    bool same(std::size_t i, token const& c) const {
        auto const& r = rule_tokens_[i];
        auto const a = written(rule_, r);
        auto const b = written(client_, c);
        if (r.kind == token_kind::word && c.kind == token_kind::word) return same_word(a, b);
        if (r.kind == token_kind::word && c.kind == token_kind::quoted) return same_name(i, b, a);
        if (r.kind == token_kind::quoted && c.kind == token_kind::word) return same_name(i, a, b);
        return r.kind == c.kind && a == b;
    }

    /// `"users"` and `users` are the same name; `"year"` and the key word `year` are not, unless its place shows that it is a name.
    [[nodiscard]] bool same_name(std::size_t i, std::string_view quoted, std::string_view word) const {
        auto const content = plain_content(quoted);
        if (!content) return false;
        bool const folded = std::equal(content->begin(), content->end(), word.begin(), word.end(), [](char q, char w) { return q == lower(w); });
        return folded && (beside_period(i) || !sql::is_keyword(*content));
    }

    [[nodiscard]] bool beside_period(std::size_t i) const {
        auto const period = [this](std::size_t k) { return k < rule_tokens_.size() && written(rule_, rule_tokens_[k]) == "."; };
        return (i > 0 && period(i - 1)) || period(i + 1);
    }

    std::string_view rule_;
    std::span<token const> rule_tokens_;
    std::string_view client_;
    std::span<token const> client_tokens_;
    std::size_t at_{0};
    parameter_values values_;
};

} // namespace

scanned_text::scanned_text(std::string_view text) : text_{text}, list_{sql::scan(text)} {
    bool const clear = list_.complete && !list_.depends_on_backslashes;
    matchable_ = clear && trim_to_one_statement(text_, list_.tokens);
    if (matchable_) hash_ = hash_of(text_, list_.tokens);
}

base::result<statement_shape> statement_shape::compile(std::string text) {
    auto done = compile_text(text);
    if (!done) return done.error();
    statement_shape out;
    out.hash_ = hash_of(text, done->tokens);
    out.text_ = std::move(text);
    out.tokens_ = std::move(done->tokens);
    out.parameters_ = std::move(done->parameters);
    return out;
}

std::string statement_shape::telling_word() const {
    constexpr std::size_t longest_name = 59; // PostgreSQL cuts longer ones, at 60 to 63 bytes: what is left depends on the encoding
    std::string_view best;
    for (auto const& t : tokens_) {
        auto word = written(text_, t);
        if (t.kind == token_kind::quoted) word = plain_content(word).value_or(std::string_view{});
        else if (t.kind != token_kind::word) continue;
        if (word.size() <= best.size() || word.size() > longest_name || word.find_first_of("'\\") != std::string_view::npos) continue;
        std::string folded{word};
        std::transform(folded.begin(), folded.end(), folded.begin(), lower);
        if (!sql::is_keyword(folded)) best = word;
    }
    std::string out{best};
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

std::optional<parameter_values> statement_shape::match(scanned_text const& client) const {
    if (!client.matchable() || client.hash() != hash_) return std::nullopt;
    return matching{text_, tokens_, client}.run(parameters_.empty() ? 0 : parameters_.back());
}

base::result<replacement_text> replacement_text::compile(std::string text) {
    auto done = compile_text(text);
    if (!done) return done.error();
    replacement_text out;
    for (auto const& t : done->tokens)
        if (t.kind == token_kind::parameter) out.parameter_tokens_.push_back(t);
    text.resize(done->tokens.back().end); // a comment behind it could be one to the end of the line
    auto const begin = done->tokens.front().begin;
    text.erase(0, begin);
    for (auto& t : out.parameter_tokens_) {
        t.begin -= begin;
        t.end -= begin;
    }
    out.text_ = std::move(text);
    out.parameters_ = std::move(done->parameters);
    return out;
}

std::string replacement_text::with(parameter_values const& values) const {
    std::string out;
    std::size_t copied = 0;
    for (auto const& t : parameter_tokens_) {
        auto const value = values[parameter_number(written(text_, t)) - 1];
        char const next = t.end < text_.size() ? text_[t.end] : '\0';
        // `a -$1` must not become a comment, nor `$1.x` a number with a decimal point.
        bool const brackets = value.front() == '-' || value.front() == '+' || ((next == '.' || next == '[') && value.front() != '$');
        out.append(text_, copied, t.begin - copied).append(brackets ? "(" : "").append(value).append(brackets ? ")" : "");
        copied = t.end;
    }
    return out.append(text_, copied);
}

std::optional<replaced_statement> replace(statement_shape const& shape, replacement_text const& now, scanned_text const& client) {
    auto const values = shape.match(client);
    if (!values) return std::nullopt;
    replaced_statement out;
    out.begin = client.tokens().front().begin;
    out.end = client.tokens().back().end;
    out.statement = now.with(*values);
    out.sql.append(client.text().substr(0, out.begin)).append(out.statement).append(client.text().substr(out.end));
    return out;
}

} // namespace pgmend::rules
