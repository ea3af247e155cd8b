// SQL text as statements, by the grammar of PostgreSQL 15 (libpg_query).
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/sql/ddl.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/resolution.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::sql {

/// A parsed text. Guards come first: bytes, tokens and depth of brackets are bounded, so that no text can exhaust the
/// stack; walks over the tree have a bound on depth of their own. Live on one thread: made, used and destroyed there (the
/// library's memory is the thread's). Threads that parse should be few and long-lived: the library takes a
/// pthread key for each one.
class parsed_text {
  public:
    static constexpr std::size_t most_bytes = 65536;
    static constexpr std::size_t most_tokens = 30000;
    static constexpr std::uint32_t most_brackets = 400;

    /// Errors: too_large, not_supported (the grammar cannot read it), invalid_input (a NUL byte, an open quote).
    [[nodiscard]] static base::result<parsed_text> parse(std::string text);

    parsed_text(parsed_text&&) noexcept;
    parsed_text& operator=(parsed_text&&) noexcept;
    ~parsed_text();

    [[nodiscard]] std::string const& text() const;
    [[nodiscard]] std::vector<token> const& tokens() const;

    /// The statements' bytes, in order, without the semicolons; white space around them may be within.
    [[nodiscard]] std::vector<span> const& statements() const;

    /// What the names of statement `index` mean. `careful`: a name that could also mean something further out, or an
    /// output column, is ambiguous (for a source whose names are not those of one moment).
    [[nodiscard]] resolve_outcome resolve(std::size_t index, relation_source& source, bool careful) const;

    /// What statement `index` does to names, in order; nothing for what is not DDL, or changes no name. Not looked into: DO, and what
    /// functions do.
    [[nodiscard]] std::vector<ddl_action> names_changed(std::size_t index) const;

  private:
    struct tree;
    explicit parsed_text(std::unique_ptr<tree> parsed);
    std::unique_ptr<tree> tree_;
};

} // namespace pgmend::sql
