// Statements without their literals, for logs and reports.
#include "healing/masking.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/healing/shown_text.hpp"
#include "pgmend/sql/lexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pgmend::healing {
namespace {

constexpr std::string_view unscannable = "(unscannable statement)";

/// Calls `piece` with each token's text, or "?" for a constant, with what is written there, and whether something stood between it and the one before.
/// False where the text cannot be scanned, or where its literals end depends on a setting of the session.
template <class F>
bool each_piece(std::string_view sql, F&& piece) {
    auto const list = sql::scan(sql);
    if (!list.complete || list.depends_on_backslashes) return false;
    std::uint32_t end = 0;
    for (auto const& token : list.tokens) {
        bool const constant = token.kind == sql::token_kind::string || token.kind == sql::token_kind::number;
        auto const written = sql.substr(token.begin, token.end - token.begin);
        piece(constant ? std::string_view{"?"} : written, written, token.kind, end != 0 && token.begin > end);
        end = token.end;
    }
    return true;
}

void cut(std::string& text, std::size_t most) {
    if (text.size() <= most) return;
    auto end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.resize(end);
}

bool contains_folded(std::string_view text, std::string_view lower_case) {
    auto const same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b; };
    return std::search(text.begin(), text.end(), lower_case.begin(), lower_case.end(), same) != text.end();
}

/// The tokens of one text, statement by statement.
class secrets {
  public:
    secrets(std::string_view text, sql::token_list const& list) : text_{text}, tokens_{list.tokens} {}

    /// Nothing in it is of a kind that has passwords.
    [[nodiscard]] bool none() {
        static constexpr std::array<std::string_view, 3> telling{"passw", "secret", "crypt"};
        for (auto const it : telling)
            if (contains_folded(text_, it)) return false;
        if (auto const uri = text_.find("://"); uri != std::string_view::npos && text_.find('@', uri) != std::string_view::npos) return false;
        while (at_ < tokens_.size()) {
            if (!statement()) return false;
        }
        return true;
    }

  private:
    [[nodiscard]] bool sign(std::string_view what) const {
        return at_ < tokens_.size() && text_.substr(tokens_[at_].begin, tokens_[at_].end - tokens_[at_].begin) == what;
    }
    [[nodiscard]] bool any(std::initializer_list<std::string_view> words) {
        if (at_ == tokens_.size()) return false;
        bool const found = std::any_of(words.begin(), words.end(), [&](auto word) { return sql::is_word(text_, tokens_[at_], word); });
        if (found) ++at_;
        return found;
    }

    bool statement() {
        while (sign("(")) ++at_;
        if (sign(";")) return ++at_, true;
        bool const copies = any({"copy"});
        bool const plain = copies || any({"select", "insert", "update", "delete", "merge", "with", "values", "table", "explain", "declare", "prepare", "execute",
                                          "lock", "truncate", "analyze"});
        if (!plain) {
            if (!any({"create"})) return false;
            while (any({"or", "replace", "global", "local", "temp", "temporary", "unlogged", "recursive", "materialized", "unique"})) {}
            if (!any({"table", "view", "index"})) return false;
        }
        for (; at_ < tokens_.size(); ++at_) {
            if (sign(";")) return ++at_, true;
            if (copies && any({"program"})) return false; // a command line
        }
        return true;
    }

    std::string_view text_;
    std::vector<sql::token> const& tokens_;
    std::size_t at_{0};
};

} // namespace

std::string normalized(std::string_view sql, std::size_t most) { return normalized_but_names(sql, {}, most); }

std::string normalized_but_names(std::string_view sql, std::vector<std::string> const& names, std::size_t most) {
    std::string out;
    auto const is_name = [&names](std::string_view literal) {
        return literal.size() > 2 && literal.front() == '\'' && std::find(names.begin(), names.end(), literal.substr(1, literal.size() - 2)) != names.end();
    };
    bool const scanned = each_piece(sql, [&](std::string_view text, std::string_view written, sql::token_kind kind, bool blank) {
        if (out.size() > most) return;
        if (blank) out += ' ';
        out += kind == sql::token_kind::string && is_name(written) ? written : text;
    });
    if (!scanned) out = unscannable;
    cut(out, most);
    return out;
}

std::string shown_text(std::string_view sql, statement_form form, std::size_t most) {
    if (form == statement_form::normalized) return normalized(sql, most);
    auto const list = sql::scan(sql);
    if (!list.complete || list.depends_on_backslashes) return std::string{unscannable};
    if (!secrets{sql, list}.none()) return normalized(sql, most);
    std::string out{sql.substr(0, most + 1)};
    cut(out, most);
    return out;
}

std::string fingerprint(std::string_view sql) {
    std::uint64_t hash = 0xcbf29ce484222325U; // FNV-1a
    auto const mix = [&](char c) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3U;
    };
    bool const scanned = each_piece(sql, [&](std::string_view text, std::string_view, sql::token_kind kind, bool) {
        for (char const c : text) {
            bool const fold = kind == sql::token_kind::word && c >= 'A' && c <= 'Z';
            mix(fold ? static_cast<char>(c + ('a' - 'A')) : c);
        }
        mix('\0'); // tokens, not white space
    });
    if (!scanned) {
        for (char const c : unscannable) mix(c);
    }
    return fmt::format("{:016x}", hash);
}

} // namespace pgmend::healing
