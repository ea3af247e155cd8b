#include "pgmend/sql/abridged.hpp"

#include "pgmend/sql/characters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

namespace pgmend::sql {
namespace {

/// Shorter ones are not worth while.
constexpr std::uint32_t least_bytes = 64;

constexpr std::array<std::string_view, 4> query_words{"select", "with", "values", "table"};

class abridger {
  public:
    explicit abridger(std::string_view text) : text_{text}, list_{scan(text)} {}

    std::optional<abridged> run() {
        if (!list_.complete || list_.depends_on_backslashes) return std::nullopt;
        for (std::size_t i = 0; i + 1 < list_.tokens.size();) {
            auto const& it = list_.tokens[i++];
            if (is_word(text_, it, "values") && is('(', i)) i = take_elements(i, true);
            else if (is_word(text_, it, "in") && is('(', i) && !is_query(i + 1)) i = take_elements(i + 1, false);
            else if (is_word(text_, it, "array") && is('[', i)) i = take_elements(i + 1, false);
        }
        if (out_.cuts.empty()) return std::nullopt;
        find_parameters();
        out_.text.append(text_.substr(copied_));
        return std::move(out_);
    }

  private:
    [[nodiscard]] std::string_view bytes(std::size_t i) const { return text_.substr(list_.tokens[i].begin, list_.tokens[i].end - list_.tokens[i].begin); }
    [[nodiscard]] bool is(char punctuation, std::size_t i) const {
        return i < list_.tokens.size() && list_.tokens[i].kind == token_kind::punctuation && text_[list_.tokens[i].begin] == punctuation;
    }
    [[nodiscard]] bool is_query(std::size_t i) const {
        if (i >= list_.tokens.size() || is('(', i)) return true;
        return std::any_of(query_words.begin(), query_words.end(), [&](auto word) { return is_word(text_, list_.tokens[i], word); });
    }

    /// The token behind the element that begins with this one. A row ends with its bracket, anything else with a comma or what closes the list.
    [[nodiscard]] std::size_t end_of_element(std::size_t i, bool row) const {
        for (unsigned depth = 0; i < list_.tokens.size(); ++i) {
            bool const closes = is(')', i) || is(']', i);
            if (depth == 0 && (closes || is(',', i) || is(';', i))) return i;
            if (is('(', i) || is('[', i)) ++depth;
            if (closes && --depth == 0 && row) return i + 1;
        }
        return i;
    }

    /// Names of the first element: what the others say besides constants.
    void remember_names(std::size_t begin, std::size_t end) {
        names_.clear();
        for (auto i = begin; i < end; ++i) {
            auto const kind = list_.tokens[i].kind;
            if (kind == token_kind::word || kind == token_kind::quoted) names_.push_back(bytes(i));
        }
        std::sort(names_.begin(), names_.end());
        names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
    }

    /// A call with arguments, or regclass and the like: a constant in them may be a name (nextval('orders_id_seq')).
    [[nodiscard]] bool may_name_something(std::size_t i) const {
        auto const word = bytes(i);
        auto const starts_with = [&](std::string_view lower) { return word.size() >= lower.size() && std::ranges::equal(word.substr(0, lower.size()), lower, {}, characters::lower); };
        return (is('(', i + 1) && !is(')', i + 2)) || starts_with("reg") || starts_with("\"reg");
    }

    [[nodiscard]] bool is_constant(std::size_t i) const {
        auto const& it = list_.tokens[i];
        switch (it.kind) {
        case token_kind::string:
        case token_kind::parameter:
        case token_kind::number: return true;
        case token_kind::punctuation: return is(',', i) || is('(', i) || is(')', i) || is('[', i) || is(']', i) || is(':', i);
        case token_kind::operator_name: return bytes(i) == "-" || bytes(i) == "+" || bytes(i) == "::";
        case token_kind::word:
            for (auto const* known : {"null", "true", "false", "default"}) {
                if (is_word(text_, it, known)) return true;
            }
            [[fallthrough]];
        case token_kind::quoted: return std::binary_search(names_.begin(), names_.end(), bytes(i)) && !may_name_something(i);
        }
        return false;
    }

    /// Tokens [from, to): commas and constants.
    void leave_out(std::size_t from, std::size_t to) {
        if (from >= to) return;
        auto const begin = list_.tokens[from].begin, end = list_.tokens[to - 1].end;
        if (end - begin < least_bytes) return;
        out_.text.append(text_.substr(copied_, begin - copied_));
        out_.cuts.push_back({static_cast<std::uint32_t>(out_.text.size()), end - begin});
        copied_ = end;
        for (auto i = from; i < to; ++i) left_out_[i] = true;
    }

    void find_parameters() {
        std::vector<std::uint32_t> kept, gone;
        for (std::size_t i = 0; i < list_.tokens.size(); ++i) {
            if (list_.tokens[i].kind != token_kind::parameter) continue;
            auto const digits = bytes(i).substr(1);
            std::uint32_t number = 0;
            (void)std::from_chars(digits.data(), digits.data() + digits.size(), number);
            (left_out_[i] ? gone : kept).push_back(number);
        }
        for (auto* const all : {&kept, &gone}) {
            std::sort(all->begin(), all->end());
            all->erase(std::unique(all->begin(), all->end()), all->end());
        }
        std::set_difference(gone.begin(), gone.end(), kept.begin(), kept.end(), std::back_inserter(out_.parameters));
    }

    /// The elements from this token on; answers where the list ends.
    std::size_t take_elements(std::size_t first, bool rows) {
        auto const offset = [&](std::uint32_t of_whole) { return static_cast<std::uint32_t>(out_.text.size() + (of_whole - copied_)); };
        auto const cuts = out_.cuts.size();
        auto const begin = offset(list_.tokens[first].begin);
        auto end = end_of_element(first, rows);
        remember_names(first, end);
        auto kept = end; // behind the last one that stays
        while (is(',', end)) {
            auto const next = end_of_element(end + 1, rows);
            bool constant = next > end + 1;
            for (auto i = end + 1; constant && i < next; ++i) constant = is_constant(i);
            if (!constant) {
                leave_out(kept, end);
                kept = next;
            }
            end = next;
        }
        leave_out(kept, end);
        if (out_.cuts.size() > cuts) out_.lists.push_back({begin, offset(list_.tokens[end - 1].end)});
        return std::max(end, first);
    }

    std::string_view text_;
    token_list list_;
    abridged out_;
    std::vector<bool> left_out_ = std::vector<bool>(list_.tokens.size()); // by token
    std::size_t copied_{0};              // so much of the text is in out_, or left out
    std::vector<std::string_view> names_;
};

} // namespace

std::uint32_t abridged::whole_offset(std::uint32_t offset) const {
    auto whole = offset;
    for (auto const& it : cuts) {
        if (it.at > offset) break;
        whole += it.bytes;
    }
    return whole;
}

bool abridged::concerns_list(span bytes) const {
    return std::any_of(lists.begin(), lists.end(), [&](auto const& it) { return bytes.begin < it.end && bytes.end > it.begin; });
}

std::optional<abridged> abridge(std::string_view text) { return abridger{text}.run(); }

} // namespace pgmend::sql
