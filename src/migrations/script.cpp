#include "pgmend/migrations/script.hpp"

#include "pgmend/base/text.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/parse.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace pgmend::migrations {
namespace {

std::string_view trimmed(std::string_view text) {
    auto const blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Words of psql that change no name, and hide none.
constexpr std::array<std::string_view, 19> harmless{"echo", "set", "unset", "pset", "timing", "q", "qecho", "warn", "encoding", "x", "a", "t", "f",
                                                    "o", "prompt", "getenv", "restrict", "unrestrict", "."};

/// The text with everything blank that PostgreSQL would not get; lines stay where they are.
class cleaner {
  public:
    cleaner(std::string_view text, std::vector<unread>& problems) : text_{text}, problems_{problems} {}

    std::string run() {
        if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
        std::string out;
        std::size_t at = 0;
        for (std::uint32_t line = 1; at < text_.size(); ++line) {
            auto const end = text_.find('\n', at);
            auto const one = text_.substr(at, end == std::string_view::npos ? end : end - at);
            out += take(one, line);
            if (end == std::string_view::npos) break;
            out += '\n';
            at = end + 1;
        }
        return out;
    }

  private:
    /// What is left of a line.
    std::string take(std::string_view line, std::uint32_t number) {
        auto const bare = trimmed(line);
        if (data_) {
            if (bare == "\\.") data_ = false;
            return {};
        }
        if (bare.starts_with("--")) return comment(bare);
        if (back_) return {};
        if (bare.starts_with("\\")) {
            meta(bare, number);
            return {};
        }
        auto const words = base::in_small_letters(bare);
        if (!copying_) copying_ = words.starts_with("copy ") || words == "copy";
        if (copying_) {
            from_stdin_ = from_stdin_ || words.find("from stdin") != std::string::npos;
            if (words.ends_with(";")) data_ = std::exchange(from_stdin_, false), copying_ = false;
        }
        return std::string{line};
    }

    std::string comment(std::string_view bare) {
        auto text = bare;
        while (text.starts_with("-")) text.remove_prefix(1);
        auto const words = base::in_small_letters(trimmed(text));
        auto const is = [&](std::string_view marker) { return words == marker || words.starts_with(std::string{marker} + " "); };
        if (is("+goose down") || is("+migrate down") || is("migrate:down") || is("+micrate down") || words == "rambler down" || words == "//@undo" || is("+down"))
            back_ = true;
        else if (is("+goose up") || is("+migrate up") || is("migrate:up") || is("+micrate up") || words == "rambler up" || is("+up"))
            back_ = false;
        return bare == "--;;" && !back_ ? ";" : ""; // what clojure's tools separate statements by
    }

    void meta(std::string_view bare, std::uint32_t number) {
        auto word = bare.substr(1, bare.find_first_of(" \t;", 1) - 1);
        auto const known = base::in_small_letters(word);
        if (std::ranges::find(harmless, known) != harmless.end()) return;
        std::string safe;
        for (char const c : word.substr(0, 20)) safe += c > ' ' && c < 0x7f ? c : '?';
        problems_.push_back({number, fmt::format("psql's \\{}", safe)});
    }

    std::string_view text_;
    std::vector<unread>& problems_;
    bool back_{false};      ///< in the part that undoes
    bool data_{false};      ///< of COPY
    bool copying_{false};   ///< in a COPY statement
    bool from_stdin_{false};
};

/// Whether the words of a text may be about a change of names: of DO, and of what cannot be parsed.
bool suspicious(std::string_view text) {
    auto const words = base::in_small_letters(text);
    return words.find("rename") != std::string::npos || words.find("alter ") != std::string::npos || words.find("drop ") != std::string::npos ||
           words.find("set schema") != std::string::npos;
}

bool begins(std::string_view statement, std::string_view word) {
    return statement.size() > word.size() && base::in_small_letters(statement.substr(0, word.size())) == word;
}

/// Statements that can say anything about names; all others need no look.
bool relevant(std::string_view statement) {
    return begins(statement, "alter") || begins(statement, "create") || begins(statement, "drop") || begins(statement, "set") || begins(statement, "reset");
}

/// The kind of a statement in a few words, without anything that it names.
std::string words_of(std::string_view statement) {
    std::string out;
    for (std::size_t i = 0, words = 0; i < statement.size() && words < 2; ++i) {
        char const c = statement[i];
        bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter) out += static_cast<char>(c & ~0x20);
        else if (!out.empty() && out.back() != ' ') out += ' ', ++words;
        if (!letter && c != ' ' && c != '\n' && c != '\t' && c != '\r') break;
    }
    return std::string{trimmed(out)};
}

} // namespace

script read_script(std::string_view raw) {
    script out;
    if (raw.starts_with("\xFF\xFE") || raw.starts_with("\xFE\xFF")) {
        out.problems.push_back({1, "the file is UTF-16"});
        return out;
    }
    if (raw.find('\0') != std::string_view::npos) {
        out.problems.push_back({1, "the file holds NUL bytes"});
        return out;
    }
    auto const text = cleaner{raw, out.problems}.run();
    auto const facts = sql::classify(text);
    std::uint32_t line = 1;
    std::size_t counted = 0;
    for (std::size_t i = 0; i < facts.statements.size(); ++i) {
        auto const& it = facts.statements[i];
        line += static_cast<std::uint32_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(counted), text.begin() + it.text.begin, '\n'));
        counted = it.text.begin;
        auto const statement = std::string_view{text}.substr(it.text.begin, it.text.end - it.text.begin);
        if (!facts.complete && i + 1 == facts.statements.size()) {
            out.problems.push_back({line, "a quote or a comment is not closed"});
            break;
        }
        if (begins(statement, "do")) {
            if (suspicious(statement)) out.problems.push_back({line, "a DO block that may change names"});
            continue;
        }
        if (!relevant(statement)) {
            // Templates of all sorts begin so; queries and writes do not.
            if (it.kind == sql::statement_kind::other && suspicious(statement)) out.problems.push_back({line, "not SQL that can be understood"});
            continue;
        }
        auto const parsed = sql::parsed_text::parse(std::string{statement});
        if (!parsed || parsed->statements().size() != 1) {
            out.problems.push_back({line, fmt::format("{}: {}", words_of(statement), parsed ? "several statements in one" : parsed.error().text)});
            continue;
        }
        for (auto& action : parsed->names_changed(0)) out.actions.push_back({std::move(action), line});
    }
    if (!facts.complete && facts.statements.empty()) out.problems.push_back({1, "a quote or a comment is not closed"});
    std::ranges::stable_sort(out.problems, {}, &unread::line);
    return out;
}

} // namespace pgmend::migrations
