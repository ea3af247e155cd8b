#include "pgmend/rules/text_pattern.hpp"

#include <re2/re2.h>

namespace pgmend::rules {

struct text_pattern::program {
    explicit program(std::string_view text) : expression{text}, compiled{re2::StringPiece{text.data(), text.size()}, options()} {}

    static RE2::Options options() {
        RE2::Options out{RE2::Quiet};
        out.set_max_mem(1 << 20);
        return out;
    }

    std::string expression;
    RE2 compiled;
};

base::result<text_pattern> text_pattern::compile(std::string_view expression) {
    if (expression.size() > most_bytes) return base::fail(base::errc::too_large, "the regular expression is longer than 1000 bytes");
    auto made = std::make_shared<program const>(expression);
    if (!made->compiled.ok()) return base::fail(base::errc::invalid_input, "not a regular expression: " + made->compiled.error());
    return text_pattern{std::move(made)};
}

bool text_pattern::found_in(std::string_view text) const {
    return RE2::PartialMatch(re2::StringPiece{text.data(), text.size()}, program_->compiled);
}

std::string const& text_pattern::expression() const { return program_->expression; }

} // namespace pgmend::rules
