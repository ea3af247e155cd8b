// What can be said of a text without parsing it: the names it mentions, and what kind of statements it holds.
#pragma once

#include "pgmend/sql/lexer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::sql {

/// Names as the catalog has them, to be looked for in many texts (`mentions`). Immutable: safe to use from any thread.
class name_set {
  public:
    name_set() = default;
    explicit name_set(std::vector<std::string> const& names);

    [[nodiscard]] bool empty() const { return entries_.empty() && odd_.empty(); }
    [[nodiscard]] std::size_t size() const { return entries_.size() + odd_.size(); }

  private:
    friend class mention_search;

    /// A name by one of its words: all of `email`, `b` or so of `a-b`.
    struct entry {
        std::string name;    ///< letters A-Z as small ones
        std::uint32_t at{0}; ///< where the word begins
        std::uint32_t length{0};
        std::uint32_t next{0}; ///< index + 1 of the next entry with the same word
    };

    std::vector<entry> entries_;
    std::vector<std::string> odd_;             ///< names without any letter or digit
    std::vector<std::uint32_t> slots_;         ///< open addressing, a power of two; index + 1 of an entry, 0: free
    std::array<std::uint64_t, 256> lengths_{}; ///< by a word's first byte: a bit for each length that there is (63: and more)
};

/// Whether the text mentions one of the names: as a word, as a "quoted" identifier, or inside a literal, as all of it or as a word
/// of it (a body in $$, the name of a relation, an enum's label). Case is not looked at, and what cannot be told in one pass
/// (escapes, an open quote) counts as a mention: never misses one, may report one too many. Comments are left out.
/// Cost: under 1 µs for each KiB; allocates nothing unless the text has escapes.
[[nodiscard]] bool mentions(std::string_view text, name_set const& names);

enum class statement_kind : std::uint8_t {
    empty, ///< never in a list: the text holds no statement
    select, insert, update, remove, merge, values, table, with, copy, explain,
    begin, commit, rollback, savepoint, release, rollback_to, prepare_transaction, finish_prepared,
    set_transaction, ///< SET TRANSACTION, SET SESSION CHARACTERISTICS, SET CONSTRAINTS
    set, set_local, reset, discard,
    prepare, execute, deallocate, declare, fetch, close,
    ddl, call_or_do, listen_notify, show, lock, vacuum_like,
    other,
};

/// Reads or changes rows, and does nothing else: PostgreSQL analyses it as soon as it is parsed.
[[nodiscard]] bool is_of_rows(statement_kind kind);

/// One statement of a text. Views and spans point into the text.
struct statement_facts {
    span text; ///< from its first to its last token
    statement_kind kind{statement_kind::other};
    /// Names may mean something else for the session afterwards: it may have changed search_path, the role, the temporary or the
    /// permanent relations, or a setting that is not known to be harmless. What it did is undone by a ROLLBACK, and what
    /// SET LOCAL did by a COMMIT too: `controls_transaction` tells of those.
    bool changes_session_meaning{false};
    bool controls_transaction{false};
    bool chain{false};  ///< COMMIT or ROLLBACK AND CHAIN
    std::vector<std::string_view> functions; ///< words before a bracket, as written: the last part of a qualified name

    bool operator==(statement_facts const&) const = default;
};

struct text_facts {
    std::vector<statement_facts> statements; ///< those that are not empty, in order
    bool complete{false};                    ///< false: a quote or a comment is not closed; what is said of the last statement is not certain
    bool depends_on_backslashes{false};      ///< see token_list

    [[nodiscard]] statement_kind kind() const { return statements.empty() ? statement_kind::empty : statements.front().kind; }
    [[nodiscard]] bool several() const { return statements.size() > 1; }
    [[nodiscard]] bool changes_session_meaning() const;
    [[nodiscard]] bool controls_transaction() const;
};

/// Tells statements apart and says what each is, from its tokens alone (bodies in BEGIN ATOMIC … END and the brackets of CREATE RULE are
/// part of their statement). Cost: about 4 µs for each KiB.
[[nodiscard]] text_facts classify(std::string_view text);

/// What `classify` would say of a text that holds one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or WITH which changes nothing for the
/// session and controls no transaction: its kind. `empty`: it may be something else, ask `classify`. An open quote may go unnoticed
/// (the server takes no such text). Cost: about 0.3 µs for each KiB; allocates nothing.
[[nodiscard]] statement_kind plain_statement(std::string_view text);

} // namespace pgmend::sql
