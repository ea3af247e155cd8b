// What a user knows about the schema and tells pgmend: rules, as plain values.
#pragma once

#include "pgmend/rules/statement_shape.hpp"
#include "pgmend/rules/text_pattern.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgmend::rules {

// Names are as the catalog has them: unquoted, folded. Of the old side they are names as the old code writes them, which need not exist.

/// A table, function, type or sequence.
struct object_name {
    std::string schema; ///< empty on the old side: whatever the schema is
    std::string name;

    bool operator==(object_name const&) const = default;
};

struct column_name {
    std::string schema; ///< empty: whatever the schema is
    std::string table;
    std::string column;

    bool operator==(column_name const&) const = default;
};

/// `column: public.users.email, now: email_address`
struct column_renamed {
    column_name column;
    std::string now; ///< a column of the same table

    bool operator==(column_renamed const&) const = default;
};

/// `column: users.legacy_flag, gone: { read: "false", write: discard }`
struct column_gone {
    /// refuse: a statement that writes the column is not healed. Both others leave the written value out; keep_in_audit needs a
    /// durable record of it first.
    enum class write_answer : std::uint8_t { refuse, discard, keep_in_audit };

    column_name column;
    std::optional<std::string> read; ///< a SQL expression to read instead, without parentheses around it; nothing: reads are not healed
    write_answer write{write_answer::refuse};

    bool operator==(column_gone const&) const = default;
};

/// `column: orders.region, default: "'eu'"`: what an INSERT that does not name the column stores in it.
struct column_default {
    column_name column;
    std::string expression; ///< SQL, without parentheses around it

    bool operator==(column_default const&) const = default;
};

/// `enum: mood.sad, now: unhappy`. Labels are literal, never folded.
struct label_renamed {
    object_name type;
    std::string label;
    std::string now;

    bool operator==(label_renamed const&) const = default;
};

enum class object_kind : std::uint8_t { table, function, type, sequence }; ///< table: also views

/// `table: customers, now: crm.clients`; `function:`, `type:` and `sequence:` likewise. A function's rule is for all that have its name.
struct object_renamed {
    object_kind kind{object_kind::table};
    object_name object;
    /// Without a schema: in the schema that the old name was written with; where it was written without one, along the search path.
    object_name now;

    bool operator==(object_renamed const&) const = default;
};

/// `table: users, star: [id, email]`: what `*` of this table means to the old code, in this order, under these labels.
struct star_pinned {
    object_name table;
    std::vector<std::string> columns; ///< not empty, no name twice

    bool operator==(star_pinned const&) const = default;
};

/// `statement: …, replace: …`: see statement_shape.hpp for what matches and how parameters are carried over.
struct statement_replaced {
    statement_shape statement;
    replacement_text now; ///< has the same parameters as `statement`

    bool operator==(statement_replaced const&) const = default;
};

/// `statement: …, fallback: { replica: true, stale: 5m }`: while its server does not answer, a replica may, or else the last good
/// answer will do, not older than that. `fallback: { error: true }`: neither, whatever a rule behind this one says.
struct statement_fallback {
    statement_shape statement;
    std::chrono::milliseconds stale{0}; ///< 0: no old answer will do
    bool replica{false};

    bool operator==(statement_fallback const&) const = default;
};

/// `table: events, on_error: { split: rows, dead_letter: true }`
struct batch_split {
    object_name table;
    bool dead_letter{false}; ///< false: rows that fail are not kept

    bool operator==(batch_split const&) const = default;
};

using action = std::variant<column_renamed, column_gone, column_default, label_renamed, object_renamed, star_pinned, statement_replaced,
                            statement_fallback, batch_split>;

/// Who sends a statement, and when: what decides whether a rule applies. Views into the caller's texts.
struct circumstances {
    std::string_view database;
    std::string_view user; ///< who logged in
    std::string_view application_name;
    std::chrono::sys_seconds now;
};

/// `when`: all that is given must hold.
struct condition {
    std::vector<std::string> databases;           ///< any of them; empty: every one
    std::vector<std::string> users;               ///< any of them; empty: every one
    std::optional<text_pattern> application_name; ///< found anywhere in it

    [[nodiscard]] bool always() const { return databases.empty() && users.empty() && !application_name; }
    [[nodiscard]] bool holds(circumstances const& who) const;
    bool operator==(condition const&) const = default;
};

enum class rule_mode : std::uint8_t { off, observe, heal };

/// Where a rule is written.
struct origin {
    std::string file;        ///< as the user named it
    std::uint32_t line{0};   ///< 1-based
    std::uint32_t column{0}; ///< 1-based, in characters

    bool operator==(origin const&) const = default;
};

struct rule {
    std::string name; ///< unique among all rules; what logs and the console call it
    action does;
    std::optional<rule_mode> mode; ///< nothing: as healing.mode says; the stricter of both wins
    condition when;
    std::optional<std::chrono::year_month_day> expires; ///< the last day (UTC) on which it applies
    std::string comment;
    origin where;
    bool learned{false}; ///< from a migration (`pgmend learn`), not from a person: other evidence, and it never overrides

    /// Whether it takes its old name even from what has that today: a person said for whom.
    [[nodiscard]] bool overrides() const { return !when.always() && !learned; }
    [[nodiscard]] bool expired(std::chrono::sys_seconds now) const;

    /// Not off, not expired, and `when` holds.
    [[nodiscard]] bool applies(circumstances const& who) const;

    bool operator==(rule const&) const = default;
};

} // namespace pgmend::rules
