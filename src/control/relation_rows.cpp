#include "relation_rows.hpp"

#include "field_text.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace pgmend::control {

namespace {

/// The columns of relations_statement, in order.
enum field : std::size_t {
    relation_id, schema, relation_name, kind,
    number, column_name, type, type_modifier, not_null, has_default, identity, generated,
};

catalog::column to_column(pg::rows const& answer, std::size_t row) {
    return {
        .number = to_number<std::int16_t>(answer.text(row, number)),
        .name = std::string{answer.text(row, column_name)},
        .type = to_number<catalog::oid>(answer.text(row, type)),
        .type_modifier = to_number<std::int32_t>(answer.text(row, type_modifier)),
        .not_null = answer.text(row, not_null) == "t",
        .has_default = answer.text(row, has_default) == "t",
        .identity = to_char(answer.text(row, identity)),
        .generated = to_char(answer.text(row, generated)),
    };
}

} // namespace

std::string relations_statement(origin which, int server_version) {
    return fmt::format("SELECT c.oid, n.nspname, c.relname, c.relkind,"
                       " a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity, {}"
                       " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                       " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                       " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND c.oid {} {}",
                       server_version >= 120000 ? "a.attgenerated" : "''", which == origin::system ? "<" : ">=",
                       catalog::first_user_oid);
}

std::string constraints_statement() {
    return fmt::format("SELECT o.conrelid, o.oid, o.conname, o.contype, o.conkey FROM pg_catalog.pg_constraint o"
                       " WHERE o.conrelid >= {} AND o.contype IN ('p', 'u', 'x', 'c', 'f')",
                       catalog::first_user_oid);
}

/// Included columns are no part of a key. 99 is pg_toast: each toast table has a unique index.
std::string unique_indexes_statement(int server_version) {
    return fmt::format("SELECT i.indrelid, c.oid, c.relname, i.indkey, {}, i.indisprimary, i.indimmediate, {},"
                       " pg_catalog.pg_get_expr(i.indpred, i.indrelid), pg_catalog.pg_get_expr(i.indexprs, i.indrelid)"
                       " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
                       " WHERE i.indisunique AND i.indisvalid AND i.indrelid >= {} AND c.relpersistence <> 't'"
                       " AND c.relnamespace <> 99",
                       server_version >= 110000 ? "i.indnkeyatts" : "i.indnatts",
                       server_version >= 150000 ? "i.indnullsnotdistinct" : "false", catalog::first_user_oid);
}

void relation_rows::add_columns(pg::rows const& answer) {
    catalog::relation* r = nullptr;
    for (std::size_t row = 0; row < answer.size(); ++row) {
        auto const id = to_number<catalog::oid>(answer.text(row, relation_id));
        if (!r || r->id != id) {
            auto& slot = by_id_[id];
            if (!slot) {
                slot = std::make_shared<catalog::relation>();
                slot->id = id;
                slot->schema = answer.text(row, schema);
                slot->name = answer.text(row, relation_name);
                slot->kind = to_char(answer.text(row, kind));
            }
            r = slot.get();
        }
        if (!answer.is_null(row, number)) r->columns.push_back(to_column(answer, row));
    }
}

void relation_rows::add_constraints(pg::rows const& answer) {
    for (std::size_t row = 0; row < answer.size(); ++row) {
        auto const found = by_id_.find(to_number<catalog::oid>(answer.text(row, 0)));
        if (found == by_id_.end()) continue;
        found->second->constraints.push_back({
            .id = to_number<catalog::oid>(answer.text(row, 1)),
            .name = std::string{answer.text(row, 2)},
            .kind = to_char(answer.text(row, 3)),
            .columns = to_numbers<std::int16_t>(answer.text(row, 4)),
        });
    }
}

void relation_rows::add_unique_indexes(pg::rows const& answer) {
    for (std::size_t row = 0; row < answer.size(); ++row) {
        auto const found = by_id_.find(to_number<catalog::oid>(answer.text(row, 0)));
        if (found == by_id_.end()) continue;
        auto columns = to_numbers<std::int16_t>(answer.text(row, 3));
        columns.resize(std::min(columns.size(), to_number<std::size_t>(answer.text(row, 4))));
        found->second->unique_indexes.push_back({
            .id = to_number<catalog::oid>(answer.text(row, 1)),
            .name = std::string{answer.text(row, 2)},
            .columns = std::move(columns),
            .unique = true,
            .primary = answer.text(row, 5) == "t",
            .immediate = answer.text(row, 6) == "t",
            .nulls_not_distinct = answer.text(row, 7) == "t",
            .predicate = std::string{answer.text(row, 8)},
            .expressions = std::string{answer.text(row, 9)},
        });
    }
}

std::vector<catalog::snapshot::relation_ptr> relation_rows::take() {
    std::vector<catalog::snapshot::relation_ptr> relations;
    relations.reserve(by_id_.size());
    for (auto& [id, found] : by_id_) {
        std::ranges::sort(found->columns, {}, &catalog::column::number);
        std::ranges::sort(found->constraints, {}, &catalog::constraint_entry::id);
        std::ranges::sort(found->unique_indexes, {}, &catalog::index_entry::id);
        relations.push_back(std::move(found));
    }
    by_id_.clear();
    return relations;
}

} // namespace pgmend::control
