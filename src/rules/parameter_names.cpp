#include "parameter_names.hpp"

#include "pgmend/sql/characters.hpp"
#include "pgmend/sql/lexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace pgmend::rules {
namespace {

using sql::token;
using sql::token_kind;

class tokens_of {
  public:
    explicit tokens_of(std::string_view text) : text_{text}, list_{sql::scan(text)} {}

    [[nodiscard]] std::vector<token> const& all() const { return list_.tokens; }
    [[nodiscard]] std::string_view written(std::size_t i) const { return text_.substr(list_.tokens[i].begin, list_.tokens[i].end - list_.tokens[i].begin); }

    /// Whether token i, a colon, and the word behind it are a parameter. `in_brackets`: square ones.
    [[nodiscard]] bool begins_name(std::size_t i, bool in_brackets) const {
        auto const& t = list_.tokens;
        if (written(i) != ":" || i + 1 == t.size() || t[i + 1].kind != token_kind::word || t[i + 1].begin != t[i].end) return false;
        if (i > 0 && written(i - 1) == ":" && t[i - 1].end == t[i].begin) return false; // ::type
        if (!in_brackets || i == 0) return true;
        // a[1:n] is a slice, and so is a[:n]; ARRAY[:n] is none.
        bool const first = written(i - 1) == "[" && i > 1 && sql::is_word(text_, t[i - 2], "array");
        return first || written(i - 1) == "," || written(i - 1) == "(" || t[i - 1].kind == token_kind::operator_name;
    }

  private:
    std::string_view text_;
    sql::token_list list_;
};

} // namespace

std::string parameter_names::numbered(std::string const& text) {
    tokens_of const tokens{text};
    std::string out;
    std::size_t copied = 0;
    int brackets = 0;
    for (std::size_t i = 0; i < tokens.all().size(); ++i) {
        auto const& t = tokens.all()[i];
        if (t.kind == token_kind::parameter) numbers_ = true;
        if (t.kind != token_kind::punctuation) continue;
        if (tokens.written(i) == "[") ++brackets;
        if (tokens.written(i) == "]") --brackets;
        if (!tokens.begins_name(i, brackets > 0)) continue;
        std::string name{tokens.written(i + 1)};
        std::transform(name.begin(), name.end(), name.begin(), sql::characters::lower);
        auto const known = std::find(names_.begin(), names_.end(), name);
        auto const n = known - names_.begin() + 1;
        if (known == names_.end()) names_.push_back(std::move(name));
        out.append(text, copied, t.begin - copied);
        if (i > 0 && tokens.all()[i - 1].end == t.begin && tokens.all()[i - 1].kind == token_kind::word) out += ' '; // LIMIT:n
        out += fmt::format("${}", n);
        copied = tokens.all()[i + 1].end;
    }
    return out.append(text, copied);
}

std::string parameter_names::called(std::uint32_t n) const { return n <= names_.size() ? ":" + names_[n - 1] : fmt::format("${}", n); }

} // namespace pgmend::rules
