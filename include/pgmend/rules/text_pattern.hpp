// A user's regular expression, compiled.
#pragma once

#include "pgmend/base/error.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace pgmend::rules {

/// A regular expression of RE2's syntax, looked for anywhere in a text, as PostgreSQL's `~` does: `^…$` binds it. RE2 takes time
/// linear in the text and bounded memory, whatever the expression; std::regex can use up the stack of the thread. The program is shared by
/// copies. Safe to use from any thread.
class text_pattern {
  public:
    static constexpr std::size_t most_bytes = 1000; ///< of the expression

    /// The error's text says what is wrong with the expression.
    [[nodiscard]] static base::result<text_pattern> compile(std::string_view expression);

    [[nodiscard]] bool found_in(std::string_view text) const;
    [[nodiscard]] std::string const& expression() const;

    bool operator==(text_pattern const& other) const { return expression() == other.expression(); }

  private:
    struct program;
    explicit text_pattern(std::shared_ptr<program const> compiled) : program_{std::move(compiled)} {}
    std::shared_ptr<program const> program_;
};

} // namespace pgmend::rules
