#include "pgmend/session/batch.hpp"

#include "pgmend/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pgmend::session {
namespace {

using sql::token_kind;

/// Words that stand for a constant, or belong to one or to a type's name.
constexpr std::array<std::string_view, 22> constant_words{
    "null", "true", "false", "default", "array", "interval", "date", "time", "timestamp", "timestamptz", "with", "without", "zone", "current_timestamp",
    "current_date", "current_time", "localtimestamp", "localtime", "current_user", "session_user", "point", "uuid"};
/// They read no table, and nothing that another row writes.
constexpr std::array<std::string_view, 5> plain_functions{"now", "nextval", "gen_random_uuid", "clock_timestamp", "statement_timestamp"};

class values_reader {
  public:
    values_reader(base::byte_view text, std::size_t least_rows) : text_{text}, list_{sql::scan(text)}, least_rows_{least_rows} {}

    std::optional<batch> read() {
        if (!list_.complete || list_.depends_on_backslashes) return std::nullopt;
        if (!read_table()) return std::nullopt;
        if (is("(") && !skip_brackets()) return std::nullopt;
        if (word("overriding") && !((word("system") || word("user")) && word("value"))) return std::nullopt;
        if (at_ == list_.tokens.size()) return std::nullopt;
        out_.values = list_.tokens[at_].begin;
        if (!word("values")) return std::nullopt;
        do {
            if (!row()) return std::nullopt;
        } while (sign(","));
        (void)sign(";");
        if (at_ != list_.tokens.size() || out_.rows.size() < least_rows_) return std::nullopt;
        return std::move(out_);
    }

    std::optional<std::string> table() {
        if (!read_table()) return std::nullopt;
        return std::move(out_.table);
    }

  private:
    bool read_table() {
        if (!word("insert") || !word("into")) return false;
        auto first = name();
        if (!first) return false;
        if (sign(".")) {
            auto second = name();
            if (!second) return false;
            out_.schema = std::move(*first);
            out_.table = std::move(*second);
        } else {
            out_.table = std::move(*first);
        }
        return true;
    }

    [[nodiscard]] std::string_view text(std::size_t i) const { return text_.substr(list_.tokens[i].begin, list_.tokens[i].end - list_.tokens[i].begin); }
    [[nodiscard]] bool is(std::string_view what) const { return at_ < list_.tokens.size() && text(at_) == what; }
    bool sign(std::string_view what) {
        if (!is(what)) return false;
        ++at_;
        return true;
    }
    bool word(std::string_view what) {
        if (at_ == list_.tokens.size() || !sql::is_word(text_, list_.tokens[at_], what)) return false;
        ++at_;
        return true;
    }
    std::optional<std::string> name() {
        if (at_ == list_.tokens.size()) return std::nullopt;
        auto const it = text(at_);
        switch (list_.tokens[at_].kind) {
        case token_kind::word:
            for (char const c : it)
                if (static_cast<unsigned char>(c) >= 0x80) return std::nullopt; // how it is folded depends on the locale
            ++at_;
            return base::in_small_letters(it);
        case token_kind::quoted: {
            if (!it.starts_with('"')) return std::nullopt;
            std::string out;
            for (std::size_t i = 1; i + 1 < it.size(); ++i) {
                out += it[i];
                if (it[i] == '"') ++i;
            }
            ++at_;
            return out;
        }
        default: return std::nullopt;
        }
    }
    bool skip_brackets() {
        int depth = 0;
        for (; at_ < list_.tokens.size(); ++at_) {
            if (is("(")) ++depth;
            else if (is(")") && --depth == 0) return ++at_, true;
        }
        return false;
    }

    bool row() {
        if (!is("(")) return false;
        auto const begin = list_.tokens[at_].begin;
        int depth = 0;
        std::size_t columns = 1;
        std::vector<std::uint32_t> numbers;
        bool type_follows = false;
        for (; at_ < list_.tokens.size(); ++at_) {
            auto const it = text(at_);
            bool const type = std::exchange(type_follows, false);
            switch (list_.tokens[at_].kind) {
            case token_kind::string:
            case token_kind::number: break;
            case token_kind::parameter: {
                std::uint32_t n = 0;
                std::from_chars(it.data() + 1, it.data() + it.size(), n);
                if (n == 0 || n > 65535) return false;
                numbers.push_back(n);
                break;
            }
            case token_kind::quoted:
                if (!type) return false;
                type_follows = at_ + 1 < list_.tokens.size() && text(at_ + 1) == ".";
                break;
            case token_kind::word: {
                auto const folded = base::in_small_letters(it);
                bool const called = at_ + 1 < list_.tokens.size() && text(at_ + 1) == "(";
                bool const plain = called && !type && std::find(plain_functions.begin(), plain_functions.end(), folded) != plain_functions.end();
                bool const constant = std::find(constant_words.begin(), constant_words.end(), folded) != constant_words.end();
                // A type's modifiers: numeric(10,2).
                if (!type && !plain && !(constant && (!called || folded == "timestamp" || folded == "time" || folded == "interval"))) return false;
                type_follows = type && at_ + 1 < list_.tokens.size() && (text(at_ + 1) == "." || folded == "double" || folded == "character");
                break;
            }
            case token_kind::operator_name:
                if (it == "::") {
                    type_follows = true;
                    break;
                }
                if (it != "-" && it != "+") return false;
                break;
            case token_kind::punctuation:
                if (it == "(" || it == "[") {
                    ++depth;
                } else if (it == ")" || it == "]") {
                    if (--depth == 0) {
                        out_.rows.push_back({begin, list_.tokens[at_].end});
                        out_.parameters.push_back(std::move(numbers));
                        if (out_.rows.size() == 1) out_.columns = columns;
                        ++at_;
                        return columns == out_.columns;
                    }
                } else if (it == ",") {
                    if (depth == 1) ++columns;
                } else if (it == ":") {
                    type_follows = true;
                } else if (it == ".") {
                    if (!type) return false;
                    type_follows = true;
                } else {
                    return false;
                }
                break;
            }
        }
        return false;
    }

    base::byte_view text_;
    sql::token_list list_;
    std::size_t least_rows_;
    std::size_t at_{0};
    batch out_;
};

} // namespace

std::optional<batch> read_batch(base::byte_view sql, std::size_t least_rows) { return values_reader{sql, least_rows}.read(); }

std::optional<std::string> table_inserted_into(base::byte_view sql) {
    constexpr std::size_t most_looked_at = 1024;
    return values_reader{sql.substr(0, most_looked_at), 0}.table();
}

std::string rows_alone(base::byte_view sql, batch const& of, std::size_t first, std::size_t last) {
    std::vector<std::size_t> kept;
    for (auto i = first; i < last; ++i) kept.push_back(i);
    return rows_alone(sql, of, kept);
}

std::string rows_alone(base::byte_view sql, batch const& of, std::vector<std::size_t> const& kept) {
    if (kept.empty()) {
        std::string out{sql.substr(0, of.values)};
        out += "SELECT ";
        for (std::size_t i = 0; i < of.columns; ++i) out += i == 0 ? "NULL" : ", NULL";
        return out += " WHERE false";
    }
    std::string out{sql.substr(0, of.rows.front().begin)};
    for (auto const i : kept) {
        if (i != kept.front()) out += ", ";
        out += sql.substr(of.rows[i].begin, of.rows[i].end - of.rows[i].begin);
    }
    return out;
}

} // namespace pgmend::session
