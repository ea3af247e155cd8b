#include "pgmend/sql/facts.hpp"

#include "sql/byte_block.hpp"
#include "sql/scanner.hpp"

#include <algorithm>
#include <bit>
#include <optional>

namespace pgmend::sql {
namespace {

using characters::lower;

/// What a byte may begin.
enum class role : std::uint8_t { nothing, word, quote, name_quote, dollar, minus, slash, backslash };

constexpr auto roles = [] {
    std::array<role, 256> out{};
    for (unsigned i = 0; i < 256; ++i) {
        char const c = static_cast<char>(i);
        if (characters::is_word_start(c) || characters::is_digit(c)) out[i] = role::word;
    }
    out['\''] = role::quote;
    out['"'] = role::name_quote;
    out['$'] = role::dollar;
    out['-'] = role::minus;
    out['/'] = role::slash;
    out['\\'] = role::backslash;
    return out;
}();

constexpr auto word_bytes = [] {
    std::array<bool, 256> out{};
    for (unsigned i = 0; i < 256; ++i) out[i] = characters::is_word_part(static_cast<char>(i));
    return out;
}();

constexpr auto folded = [] {
    std::array<char, 256> out{};
    for (unsigned i = 0; i < 256; ++i) out[i] = lower(static_cast<char>(i));
    return out;
}();

[[nodiscard]] std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

/// Identifiers are cut to this many bytes (NAMEDATALEN - 1), or up to three fewer, at a character.
constexpr std::size_t longest_name = 63;

std::uint64_t hash_of(std::string_view word) { // FNV-1a over the folded word
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (char const c : word) hash = (hash ^ index_of(folded[index_of(c)])) * 0x100000001b3U;
    return hash ^ (hash >> 29U);
}

bool same_folded(std::string_view text, std::string_view lower_case) {
    return text.size() == lower_case.size() &&
           std::equal(text.begin(), text.end(), lower_case.begin(), [](char a, char b) { return folded[index_of(a)] == b; });
}

std::uint64_t length_bit(std::size_t length) { return std::uint64_t{1} << std::min<std::size_t>(length, 63); }

} // namespace

name_set::name_set(std::vector<std::string> const& names) {
    for (auto const& name : names) {
        entry made;
        made.name.resize(name.size());
        std::transform(name.begin(), name.end(), made.name.begin(), lower);
        for (std::size_t i = 0; i < made.name.size();) { // its longest word
            if (roles[index_of(made.name[i])] != role::word) {
                ++i;
                continue;
            }
            auto end = i;
            while (end < made.name.size() && word_bytes[index_of(made.name[end])]) ++end;
            if (end - i > made.length) {
                made.at = static_cast<std::uint32_t>(i);
                made.length = static_cast<std::uint32_t>(end - i);
            }
            i = end;
        }
        if (made.length == 0) {
            odd_.push_back(std::move(made.name));
        } else {
            entries_.push_back(std::move(made));
        }
    }
    auto const order = [](entry const& a, entry const& b) { return a.name < b.name; };
    std::sort(entries_.begin(), entries_.end(), order);
    entries_.erase(std::unique(entries_.begin(), entries_.end(), [](entry const& a, entry const& b) { return a.name == b.name; }),
                   entries_.end());
    if (entries_.empty()) return;
    slots_.resize(std::bit_ceil(entries_.size() * 2));
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
        auto& it = entries_[i];
        auto const word = std::string_view{it.name}.substr(it.at, it.length);
        for (std::size_t first = 0; first < lengths_.size(); ++first) { // capitals too
            if (folded[first] == word.front()) lengths_[first] |= length_bit(word.size());
        }
        auto slot = hash_of(word) & (slots_.size() - 1);
        while (slots_[slot] != 0) {
            auto const& other = entries_[slots_[slot] - 1];
            if (std::string_view{other.name}.substr(other.at, other.length) == word) break;
            slot = (slot + 1) & (slots_.size() - 1);
        }
        it.next = slots_[slot];
        slots_[slot] = i + 1;
    }
}

/// One pass over one text.
class mention_search {
  public:
    mention_search(std::string_view text, name_set const& names) : text_{text}, names_{names} {}

    bool run() {
        for (auto const& name : names_.odd_) {
            if (name.empty() ? text_.find("''") != std::string_view::npos || text_.find("$$") != std::string_view::npos
                             : text_.find(name) != std::string_view::npos) {
                return true;
            }
        }
        if (names_.entries_.empty() || nothing_like_it()) return false;
        return pass() || (escapes_ && decoded());
    }

  private:
    [[nodiscard]] char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

    /// Whether no word of the text can be one of the names, wherever it stands: then nobody needs to know where quotes and comments
    /// begin and end. As with most texts; looks at 64 bytes at a time. false: it has to be read.
    [[nodiscard]] bool nothing_like_it() const {
        std::uint64_t words = 0;
        std::size_t begin = 0; // of the word that goes on
        bool open = false;
        for (std::size_t at = 0; at < text_.size(); at += byte_block::size) {
            byte_block const block{text_, at};
            for (auto signs = block.equal('\\', '&', '-', '\n', '\r'); signs != 0; signs &= signs - 1) {
                if (may_escape(at + static_cast<std::size_t>(std::countr_zero(signs)))) return false;
            }
            auto const here = block.words();
            auto const before = behind(here, words);
            auto starts = here & ~before;
            for (auto ends = before & ~here; ends != 0; ends &= ends - 1) {
                if (!open) {
                    begin = at + static_cast<std::size_t>(std::countr_zero(starts));
                    starts &= starts - 1;
                }
                open = false;
                if (like_a_name(begin, at + static_cast<std::size_t>(std::countr_zero(ends)))) return false;
            }
            if (starts != 0) {
                begin = at + static_cast<std::size_t>(std::countr_zero(starts));
                open = true;
            }
        }
        return !open || !like_a_name(begin, text_.size());
    }

    /// Whether the word may be one of the names, or has more than one in it.
    [[nodiscard]] bool like_a_name(std::size_t begin, std::size_t end) const {
        auto const first = index_of(text_[begin]);
        auto const length = end - begin;
        if (length > longest_name) return true;
        if (first <= '9') { // a number or a parameter
            for (auto i = begin + 1; i < end; ++i) {
                if (!characters::is_digit(text_[i])) return true;
            }
            if (length == 1 && first == '$') return true;
        }
        return (names_.lengths_[first] >> length & 1U) != 0 && look_up(text_.substr(begin, length), begin);
    }

    /// Whether a literal or a name may say something else than its bytes because of the sign at `at`: a backslash, U&, or a newline or a
    /// comment between two literals, which then are one.
    [[nodiscard]] bool may_escape(std::size_t at) const {
        switch (text_[at]) {
        case '\\': return true;
        case '&': return this->at(at + 1) == '\'' || this->at(at + 1) == '"';
        case '-': return this->at(at + 1) == '-' && literal_before(at);
        default: break;
        }
        auto next = at;
        while (next < text_.size() && characters::is_space(text_[next])) ++next;
        return this->at(next) == '\'' && literal_before(at);
    }

    /// Whether what ends in front of `at` is a literal.
    [[nodiscard]] bool literal_before(std::size_t at) const {
        while (at > 0 && characters::is_space(text_[at - 1])) --at;
        return at > 0 && text_[at - 1] == '\'';
    }

    /// The words of the text; sets `escapes_` where a literal or a name may say something else than its bytes.
    bool pass() {
        bool after_literal = false;
        while (at_ < text_.size()) {
            auto const c = text_[at_];
            switch (roles[index_of(c)]) {
            case role::word:
                if (word(text_.size())) return true;
                break;
            case role::quote: {
                if (after_literal) escapes_ = true; // two literals may be one
                char const before = at_ > 0 ? text_[at_ - 1] : ' ';
                bool const escaped = (before == 'e' || before == 'E') && (at_ < 2 || !word_bytes[index_of(text_[at_ - 2])]);
                if (before == '&') escapes_ = true;
                if (literal(escaped)) return true;
                after_literal = true;
                continue;
            }
            case role::name_quote:
                if (at_ > 0 && text_[at_ - 1] == '&') escapes_ = true;
                ++at_; // what is inside is looked at like anything else; a quote or a comment's sign in it must not count
                if (quoted()) return true;
                break;
            case role::dollar:
                if (dollar()) return true;
                break;
            case role::minus:
                ++at_;
                if (at(at_) == '-') {
                    while (at_ < text_.size() && !characters::is_newline(text_[at_])) ++at_;
                    continue;
                }
                break;
            case role::slash:
                ++at_;
                if (at(at_) == '*') {
                    --at_;
                    comment();
                    continue;
                }
                break;
            case role::nothing:
            case role::backslash:
                ++at_;
                if (characters::is_space(c)) continue;
                break;
            }
            after_literal = false;
        }
        return false;
    }

    /// The word that begins at `at_`; goes behind it.
    bool word(std::size_t limit) {
        auto const begin = at_;
        while (at_ < limit && word_bytes[index_of(text_[at_])]) ++at_;
        auto const length = at_ - begin;
        auto const first = index_of(text_[begin]);
        bool const letter = first < '0' || first > '9';
        if (letter && length <= longest_name && (names_.lengths_[first] >> length & 1U) == 0) return false; // as most words
        auto const found = text_.substr(begin, length);
        if (look_up(found, begin)) return true;
        if (characters::is_digit(found.front())) { // servers before version 15 read 1and as two words
            std::size_t digits = 1;
            while (digits < found.size() && characters::is_digit(found[digits])) ++digits;
            if (digits < found.size() && look_up(found.substr(digits), begin + digits)) return true;
        }
        return false;
    }

    [[nodiscard]] bool look_up(std::string_view word, std::size_t begin) const {
        if (word.size() > longest_name) {
            for (std::size_t cut = longest_name; cut > longest_name - 4; --cut) {
                if (look_up(word.substr(0, cut), begin)) return true;
            }
            return false;
        }
        if ((names_.lengths_[index_of(word.front())] & length_bit(word.size())) == 0) return false;
        auto slot = hash_of(word) & (names_.slots_.size() - 1);
        for (; names_.slots_[slot] != 0; slot = (slot + 1) & (names_.slots_.size() - 1)) {
            auto const* it = &names_.entries_[names_.slots_[slot] - 1];
            if (!same_folded(word, std::string_view{it->name}.substr(it->at, it->length))) continue;
            for (;; it = &names_.entries_[it->next - 1]) {
                if (around(*it, begin)) return true;
                if (it->next == 0) return false;
            }
        }
        return false;
    }

    /// Whether all of the name stands there, not only its word.
    [[nodiscard]] bool around(name_set::entry const& it, std::size_t begin) const {
        if (it.length == it.name.size()) return true;
        if (it.name.size() + 4 > longest_name || it.name.find_first_of("'\"\\") != std::string::npos) return true; // written differently
        return begin >= it.at && same_folded(text_.substr(begin - it.at, it.name.size()), it.name);
    }

    /// To the end of the literal that begins at `at_`.
    bool literal(bool escaped) {
        ++at_;
        while (at_ < text_.size()) {
            switch (roles[index_of(text_[at_])]) {
            case role::word:
                if (word(text_.size())) return true;
                break;
            case role::quote:
                ++at_;
                if (at(at_) != '\'') return false;
                ++at_;
                break;
            case role::backslash:
                if (escaped) {
                    escapes_ = true;
                    at_ += 2;
                } else if (at(at_ + 1) == '\'') {
                    return true; // where it ends depends on a setting
                } else {
                    ++at_;
                }
                break;
            default: ++at_;
            }
        }
        return false;
    }

    bool quoted() {
        while (at_ < text_.size()) {
            auto const c = text_[at_];
            if (c == '"') {
                ++at_;
                return false;
            }
            if (roles[index_of(c)] == role::word) {
                if (word(text_.size())) return true;
            } else {
                ++at_;
            }
        }
        return false;
    }

    /// A body in dollar quotes, or a parameter.
    bool dollar() {
        ++at_;
        if (characters::is_digit(at(at_))) {
            while (at_ < text_.size() && characters::is_digit(text_[at_])) ++at_; // a word may follow directly
            return false;
        }
        auto tag_end = at_;
        if (tag_end < text_.size() && characters::is_word_start(text_[tag_end])) {
            while (tag_end < text_.size() && characters::is_word_part(text_[tag_end]) && text_[tag_end] != '$') ++tag_end;
        }
        if (at(tag_end) != '$' || tag_end >= text_.size()) return false;
        auto const tag = text_.substr(at_ - 1, tag_end + 2 - at_);
        auto const close = text_.find(tag, tag_end + 1);
        auto const limit = close == std::string_view::npos ? text_.size() : close;
        at_ = tag_end + 1;
        while (at_ < limit) {
            if (roles[index_of(text_[at_])] == role::word) {
                if (word(limit)) return true;
            } else {
                ++at_;
            }
        }
        at_ = close == std::string_view::npos ? text_.size() : limit + tag.size();
        return false;
    }

    void comment() { // they nest
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            if (text_[at_] == '/' && at(at_ + 1) == '*') {
                ++depth;
                at_ += 2;
            } else if (text_[at_] == '*' && at(at_ + 1) == '/') {
                at_ += 2;
                if (--depth == 0) return;
            } else {
                ++at_;
            }
        }
    }

    /// Names and literals with escapes, as what they say. What cannot be told counts as a mention.
    [[nodiscard]] bool decoded() const {
        scanner tokens{text_};
        for (token it; tokens.next(it);) {
            if (it.kind == token_kind::word && is_word(text_, it, "uescape")) return true;
            if (it.kind != token_kind::string && it.kind != token_kind::quoted) continue;
            auto const content = content_of(it);
            if (!content) return true;
            if (*content != text_.substr(it.begin, it.end - it.begin) && mention_search{*content, names_}.words()) return true;
        }
        return !tokens.complete();
    }

    /// The text as words only, whatever quotes it has.
    bool words() {
        while (at_ < text_.size()) {
            if (roles[index_of(text_[at_])] == role::word) {
                if (word(text_.size())) return true;
            } else {
                ++at_;
            }
        }
        return false;
    }

    /// Nothing where it cannot be told.
    [[nodiscard]] std::optional<std::string> content_of(token const& it) const {
        auto const written = text_.substr(it.begin, it.end - it.begin);
        if (written.front() == '$') return std::string{written};
        char const first = lower(written.front());
        bool const unicode = first == 'u';
        bool const escaped = first == 'e';
        auto const quote = it.kind == token_kind::string ? '\'' : '"';
        std::string out;
        bool inside = false;
        for (std::size_t i = written.find(quote); i < written.size(); ++i) {
            char const c = written[i];
            if (!inside) {
                if (c == '-') { // a comment between the lines of a literal
                    while (i + 1 < written.size() && !characters::is_newline(written[i + 1])) ++i;
                }
                inside = c == quote;
            } else if (c == quote) {
                if (i + 1 < written.size() && written[i + 1] == quote) {
                    out += c;
                    ++i;
                } else {
                    inside = false;
                }
            } else if (c == '\\' && unicode) {
                return std::nullopt;
            } else if (c == '\\' && escaped) {
                if (++i >= written.size()) return std::nullopt;
                char const what = written[i];
                if ((what >= '0' && what <= '7') || what == 'x' || what == 'u' || what == 'U') return std::nullopt;
                static constexpr std::string_view letters = "bfnrtv";
                static constexpr std::string_view meanings = "\b\f\n\r\t\v";
                auto const known = letters.find(what);
                out += known == std::string_view::npos ? what : meanings[known];
            } else {
                out += c;
            }
        }
        return out;
    }

    std::string_view text_;
    name_set const& names_;
    std::size_t at_{0};
    bool escapes_{false};
};

bool mentions(std::string_view text, name_set const& names) { return mention_search{text, names}.run(); }

} // namespace pgmend::sql
