#include "pgmend/healing/undone.hpp"

#include "pgmend/sql/facts.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace pgmend::healing {
namespace {

/// Functions of PostgreSQL's own, and of its contrib modules, whose work outlives a rollback, or that run a text.
bool reaches_out(std::string_view name) {
    static constexpr std::string_view beginnings[] = {"dblink", "pg_advisory_", "pg_try_advisory_", "lo_", "pg_logical_", "pg_replication_",
                                                      "pg_create_", "pg_drop_", "pg_copy_", "pg_file_", "pg_stat_reset", "pg_backup_",
                                                      "pg_start_", "pg_stop_", "pg_switch_", "pg_rotate_", "pg_reload_", "pg_promote",
                                                      "pg_terminate_", "pg_cancel_", "pg_prewarm", "pg_wal_", "pg_export_snapshot",
                                                      "query_to_", "cursor_to_", "table_to_", "schema_to_", "database_to_", "ts_stat",
                                                      "ts_rewrite", "crosstab", "connectby"};
    return std::any_of(std::begin(beginnings), std::end(beginnings), [&](std::string_view it) { return name.starts_with(it); });
}

/// One of that name, in whatever schema: a user's.
bool is_volatile(std::string_view name, catalog::snapshot const& schema) {
    auto const& all = schema.functions();
    return std::any_of(all.begin(), all.end(), [&](auto const& it) { return it->name == name && it->volatility == 'v'; });
}

/// What volatile functions of users there are that a statement may run without calling them by name.
struct hidden_code {
    bool in_reads{false};  ///< by views and operators
    bool in_writes{false}; ///< by triggers, rules, defaults and constraints too
};

constexpr catalog::oid event_trigger = 3838; // runs for DDL only

hidden_code hidden_in(catalog::snapshot const& schema) {
    constexpr catalog::oid trigger = 2279;
    hidden_code found;
    for (auto const& function : schema.functions()) {
        if (function->volatility != 'v' || function->result == event_trigger) continue;
        found.in_writes = true;
        found.in_reads = found.in_reads || function->result != trigger;
    }
    return found;
}

/// Relations behind which anything may happen: views, where functions of users may hide in them, and foreign tables.
sql::name_set opaque_relations(catalog::snapshot const& schema, hidden_code hidden) {
    std::vector<std::string> names;
    for (auto const& relation : schema.relations())
        if (relation->kind == 'f' || (relation->kind == 'v' && hidden.in_reads)) names.push_back(relation->name);
    return sql::name_set{names};
}

/// Of PostgreSQL's own: what a user's type may have made of them is not looked for.
bool is_common_operator(std::string_view name) {
    static constexpr std::string_view common[] = {"=",  "<",  ">",  "<=", ">=", "<>",  "!=",  "+",  "-",  "*",   "/",  "%",  "^",  "||", "~",
                                                  "~*", "!~", "!~*", "~~", "->", "->>", "#>>", "@>", "<@", "&&", "&", "|", "::", ":=", "=>"};
    return std::find(std::begin(common), std::end(common), name) != std::end(common);
}

bool shows_all_it_does(std::string_view text, hidden_code hidden) {
    static constexpr std::string_view writing[] = {"insert", "update", "delete", "merge"};
    for (auto const& token : sql::scan(text).tokens) {
        if (token.kind == sql::token_kind::operator_name && hidden.in_reads &&
            !is_common_operator(text.substr(token.begin, token.end - token.begin)))
            return false;
        if (token.kind == sql::token_kind::word && hidden.in_writes &&
            std::any_of(std::begin(writing), std::end(writing), [&](auto it) { return sql::is_word(text, token, it); }))
            return false;
    }
    return true;
}

} // namespace

bool undone_by_rollback(std::string_view text, catalog::snapshot const& schema) {
    auto const facts = sql::classify(text);
    if (!facts.complete || facts.depends_on_backslashes) return false;
    for (auto const& statement : facts.statements) {
        if (!sql::is_of_rows(statement.kind) || statement.changes_session_meaning || statement.controls_transaction) return false;
        for (auto const written : statement.functions) {
            std::string name{written};
            std::transform(name.begin(), name.end(), name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
            if (name.starts_with('"') || reaches_out(name) || is_volatile(name, schema)) return false;
        }
    }
    auto const hidden = hidden_in(schema);
    return shows_all_it_does(text, hidden) && !sql::mentions(text, opaque_relations(schema, hidden));
}

bool may_have_event_triggers(catalog::snapshot const& schema) {
    auto const& all = schema.functions();
    return std::any_of(all.begin(), all.end(), [](auto const& it) {
        return it->result == event_trigger && !(it->schema == "pgmend" && it->name == "notify_of_change"); // at the end of a command
    });
}

} // namespace pgmend::healing
