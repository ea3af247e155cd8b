#include "pgmend/sql/array_text.hpp"

namespace pgmend::sql {
namespace {

constexpr std::string_view space = " \t\n\r\v\f"; // array_isspace()

bool is_null(std::string_view word) {
    constexpr std::string_view null = "null";
    if (word.size() != null.size()) return false;
    for (std::size_t i = 0; i < null.size(); ++i) {
        if ((word[i] | 0x20) != null[i]) return false;
    }
    return true;
}

/// Reads one array.
class reader {
  public:
    explicit reader(std::string_view text) : text_{text} {}

    std::optional<std::vector<array_element>> run() {
        pass_space();
        if (!take('{')) return std::nullopt;
        pass_space();
        std::vector<array_element> out;
        if (!take('}')) {
            do {
                auto one = element();
                if (!one) return std::nullopt;
                out.push_back(std::move(*one));
            } while (take(','));
            if (!take('}')) return std::nullopt;
        }
        pass_space();
        return at_ == text_.size() ? std::optional{std::move(out)} : std::nullopt;
    }

  private:
    bool take(char wanted) {
        if (at_ >= text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    void pass_space() {
        at_ = text_.find_first_not_of(space, at_);
        if (at_ == std::string_view::npos) at_ = text_.size();
    }

    /// And the white space around it.
    std::optional<array_element> element() {
        pass_space();
        auto one = at_ < text_.size() && text_[at_] == '"' ? quoted() : plain();
        pass_space();
        return one;
    }

    std::optional<array_element> quoted() {
        auto const begin = at_++;
        std::string value;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && ++at_ == text_.size()) return std::nullopt;
            value += text_[at_];
        }
        if (!take('"')) return std::nullopt;
        return array_element{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_), std::move(value)};
    }

    std::optional<array_element> plain() {
        auto const begin = at_;
        at_ = text_.find_first_of("\"\\{},", begin);
        if (at_ == std::string_view::npos || (text_[at_] != ',' && text_[at_] != '}')) return std::nullopt;
        auto const last = text_.substr(0, at_).find_last_not_of(space);
        if (last == std::string_view::npos || last < begin) return std::nullopt; // array_in does not take it for ''
        auto const word = text_.substr(begin, last + 1 - begin);
        array_element out{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(last + 1), std::nullopt};
        if (!is_null(word)) out.value = word;
        return out;
    }

    std::string_view text_;
    std::size_t at_{0};
};

} // namespace

std::optional<std::vector<array_element>> array_elements(std::string_view text) { return reader{text}.run(); }

std::string array_element_of(std::string_view value) {
    std::string out{"\""};
    for (char const c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out += '"';
}

} // namespace pgmend::sql
