#include "pgmend/session/relation_glimpse.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pgmend::session {
namespace {

// Operators and types are qualified: the session's search_path may begin with somebody's schema. Older servers than PostgreSQL 12 lack
// attgenerated, and refuse.
constexpr base::byte_view relations_sql =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated"
    " FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2"
    " AND NOT a.attisdropped"
    " WHERE c.relname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])"
    " AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}'::pg_catalog.\"char\"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog.\"char\""
    " ORDER BY c.oid, a.attnum";

/// The columns of the answer, in order.
enum field : std::size_t {
    relation_id, schema_name, relation_name, kind, number, column_name, type, type_modifier, not_null, has_default, identity, generated, fields,
};

template <class T>
T to(base::byte_view text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

char first(base::byte_view text) { return text.empty() ? '\0' : text.front(); }

std::string array_of(std::vector<std::string> const& names) {
    std::string out = "{";
    for (auto const& name : names) {
        if (out.size() > 1) out += ',';
        out += '"';
        for (char const c : name) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        out += '"';
    }
    return out += '}';
}

} // namespace

std::vector<std::string> relation_glimpse::names_for(std::string_view sql, rules::rule_set const& rules, rules::circumstances const& who) {
    auto names = healing::identifiers(sql);
    if (auto const replaced = rules.replacement(rules::scanned_text{sql}, who)) {
        auto const more = healing::identifiers(replaced->edit.sql);
        names.insert(names.end(), more.begin(), more.end());
    }
    for (std::size_t before = names.size() + 1; before != names.size();) { // rules lead from name to name
        before = names.size();
        for (auto const* rule : rules.renaming(std::vector<std::string>{names})) {
            if (auto const* column = std::get_if<rules::column_renamed>(&rule->does)) names.push_back(column->column.table);
            else if (auto const* gone = std::get_if<rules::column_gone>(&rule->does)) names.push_back(gone->column.table);
            else if (auto const* object = std::get_if<rules::object_renamed>(&rule->does)) names.insert(names.end(), {object->object.name, object->now.name});
        }
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
    }
    return names;
}

std::string relation_glimpse::begin() const {
    std::string out;
    auto const names = array_of(names_);
    base::byte_view const parameters[] = {names};
    append_own_parse(out, relations_sql, {});
    wire::append_bind(out, own_name, own_name, parameters);
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
    wire::append_sync(out);
    return out;
}

relation_glimpse::step relation_glimpse::on_server(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    switch (header.type) {
    case 'A':
    case 'S': to_client.append(frame); break;
    case 'E': failed_ = true; break;
    case 'D': on_row(wire::body_of(frame, header)); break;
    default: break;
    }
    return header.type == 'Z' ? step::answered : step::need_more;
}

void relation_glimpse::on_row(base::byte_view body) {
    auto const row = wire::read_data_row(body);
    if (!row || row->size() != fields || !(*row)[relation_id]) {
        failed_ = true;
        return;
    }
    auto const text = [&](field which) { return (*row)[which].value_or(base::byte_view{}); };
    auto& relation = relations_[to<catalog::oid>(text(relation_id))];
    if (!relation) {
        relation = std::make_shared<catalog::relation>();
        relation->id = to<catalog::oid>(text(relation_id));
        relation->schema = text(schema_name);
        relation->name = text(relation_name);
        relation->kind = first(text(kind));
    }
    if (!(*row)[number]) return; // a table without columns
    relation->columns.push_back({
        .number = to<std::int16_t>(text(number)),
        .name = std::string{text(column_name)},
        .type = to<catalog::oid>(text(type)),
        .type_modifier = to<std::int32_t>(text(type_modifier)),
        .not_null = text(not_null) == "t",
        .has_default = text(has_default) == "t",
        .identity = first(text(identity)),
        .generated = first(text(generated)),
    });
}

std::shared_ptr<catalog::history const> relation_glimpse::schema() const {
    if (failed_) return nullptr;
    std::vector<catalog::snapshot::relation_ptr> found;
    for (auto const& [id, relation] : relations_) found.push_back(relation);
    return std::make_shared<catalog::history const>(std::make_shared<catalog::snapshot const>(catalog::database_identity{}, std::move(found)));
}

} // namespace pgmend::session
