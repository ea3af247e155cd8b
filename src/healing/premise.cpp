#include "pgmend/healing/premise.hpp"

#include "pgmend/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

namespace pgmend::healing {

// Operators and types are qualified: the session's search_path may begin with somebody's schema.
std::string_view const premise_sql =
    "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN"
    // $6, $7, $8: each of these relations is called so, and is in this schema.
    " (SELECT pg_catalog.count(*) FROM ROWS FROM (pg_catalog.unnest($6::pg_catalog.oid[]), pg_catalog.unnest($7::pg_catalog.name[]),"
    " pg_catalog.unnest($8::pg_catalog.name[])) AS w(r, n, s)"
    " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) w.r AND c.relname OPERATOR(pg_catalog.=) w.n"
    " JOIN pg_catalog.pg_namespace AS m ON m.oid OPERATOR(pg_catalog.=) c.relnamespace AND m.nspname OPERATOR(pg_catalog.=) w.s)"
    " OPERATOR(pg_catalog.=) pg_catalog.cardinality($6::pg_catalog.oid[])"
    // $9, $10, $11: each of these columns is called so.
    " AND (SELECT pg_catalog.count(*) FROM ROWS FROM (pg_catalog.unnest($9::pg_catalog.oid[]), pg_catalog.unnest($10::pg_catalog.int2[]),"
    " pg_catalog.unnest($11::pg_catalog.name[])) AS w(r, k, n)"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) w.r AND a.attnum OPERATOR(pg_catalog.=) w.k"
    " AND a.attname OPERATOR(pg_catalog.=) w.n)"
    " OPERATOR(pg_catalog.=) pg_catalog.cardinality($9::pg_catalog.oid[])"
    // $1, $2: none of these relations has such a column,
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[])"
    " AND a.attname OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.name[]) AND NOT a.attisdropped)"
    // or a function of its rows that may be written like one.
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_class AS c ON c.reltype OPERATOR(pg_catalog.=) p.proargtypes[0]"
    " WHERE p.proname OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.name[]) AND p.pronargs OPERATOR(pg_catalog.=) 1"
    " AND c.oid OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.oid[]))"
    // $3, $4, $5: no relation but these has such a name in such a schema, or is temporary. Indexes and row types are never taken for one.
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relname OPERATOR(pg_catalog.=) ANY ($3::pg_catalog.name[])"
    " AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t,c}'::pg_catalog.\"char\"[])"
    " AND c.oid OPERATOR(pg_catalog.<>) ALL ($5::pg_catalog.oid[]) AND (c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"
    " OR EXISTS (SELECT FROM pg_catalog.pg_namespace AS m WHERE m.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " AND m.nspname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]))))"
    // Nor has any other relation the name that one of these has now.
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relname OPERATOR(pg_catalog.=) ANY ($7::pg_catalog.name[])"
    " AND c.relkind OPERATOR(pg_catalog.<>) ALL ('{i,I,t,c}'::pg_catalog.\"char\"[])"
    " AND c.oid OPERATOR(pg_catalog.<>) ALL ($6::pg_catalog.oid[]) AND (c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"
    " OR EXISTS (SELECT FROM pg_catalog.pg_namespace AS m WHERE m.oid OPERATOR(pg_catalog.=) c.relnamespace"
    " AND m.nspname OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.name[]))))"
    " THEN 1 ELSE 0 END";

namespace {

/// An array as PostgreSQL reads it.
class array_text {
  public:
    void add(std::string_view name) {
        begin();
        text_ += '"';
        for (char const c : name) {
            if (c == '"' || c == '\\') text_ += '\\';
            text_ += c;
        }
        text_ += '"';
    }
    void add(std::int64_t number) {
        begin();
        text_ += std::to_string(number);
    }
    [[nodiscard]] std::string take() && { return std::move(text_ += '}'); }

  private:
    void begin() {
        if (text_.size() > 1) text_ += ',';
    }
    std::string text_{"{"};
};

template <class List>
std::string array_of(List const& list) {
    array_text out;
    for (auto const& it : list) out.add(it);
    return std::move(out).take();
}

/// Parameters in the encoding of the session: nothing where that is not known.
std::optional<std::vector<std::string>> in_encoding_of(session_view const& session, std::vector<std::string> parameters) {
    bool const plain = std::all_of(parameters.begin(), parameters.end(), [](std::string const& it) { return base::is_ascii(it); });
    if (!plain && session.client_encoding != "UTF8") return std::nullopt;
    return parameters;
}

/// Whether the session may find something else by this name than these relations.
bool finds_another(std::string const& name, std::set<catalog::oid> const& than, std::set<std::string> const& schemas, catalog::snapshot const& now, session_view const& session) {
    auto const& temporary = session.temporary_relations;
    return std::find(temporary.begin(), temporary.end(), name) != temporary.end() || std::any_of(schemas.begin(), schemas.end(), [&](auto const& schema) {
               auto const* found = now.find(schema, name);
               return found != nullptr && !than.contains(found->id);
           });
}

/// Where it looks for them.
std::set<std::string> schemas_of(session_view const& session, std::vector<std::string> const& original) {
    std::set<std::string> schemas{session.search_path.begin(), session.search_path.end()};
    schemas.insert(original.begin(), original.end()); // one of them may be a schema's
    return schemas;
}

} // namespace

std::optional<std::vector<std::string>> premise_of(sql::resolution const& meant, std::vector<std::string> const& original, catalog::snapshot const& now,
                                                   session_view const& session) {
    using kind = sql::reference::kind_type;
    std::set<catalog::oid> relations;
    std::set<catalog::oid> moved;   // those that the text does not call by their name
    std::set<std::string> names;    // of relations, in the text
    std::set<std::string> columns;  // that were renamed: in the text
    std::set<std::tuple<catalog::oid, std::int16_t, std::string>> renamed;
    for (auto const& it : meant.references) {
        if (it.kind == kind::function) return std::nullopt; // its rows may have any columns
        if (it.of_value || it.called) return std::nullopt; // whose field it is depends on a type, and a function may be called so
        if (it.relation == 0) continue;
        auto const* relation = now.find(it.relation);
        if (relation == nullptr) return std::nullopt;
        relations.insert(it.relation);
        if (it.kind == kind::relation || it.kind == kind::literal) {
            names.insert(it.name);
            if (relation->name != it.name) moved.insert(it.relation);
        } else if ((it.kind == kind::column || it.kind == kind::column_literal) && it.column > 0) {
            auto const* column = relation->find_column(it.column);
            if (column == nullptr) return std::nullopt;
            if (column->name == it.name) continue;
            columns.insert(it.name);
            renamed.emplace(it.relation, it.column, column->name);
        }
    }
    for (auto const& it : meant.merged) { // the text has their name once, for both
        auto const is_called_so = [&](catalog::oid id, std::int16_t number) {
            auto const* relation = now.find(id);
            auto const* column = relation != nullptr ? relation->find_column(number) : nullptr;
            return id == 0 || (column != nullptr && column->name == it.name);
        };
        if (!is_called_so(it.left_relation, it.left_column) || !is_called_so(it.right_relation, it.right_column)) return std::nullopt;
    }
    for (auto const& it : meant.stars) relations.insert(it.relations.begin(), it.relations.end());
    if (relations.empty()) return std::nullopt;
    auto const schemas = schemas_of(session, original);
    std::set<catalog::oid> kept;
    std::set_difference(relations.begin(), relations.end(), moved.begin(), moved.end(), std::inserter(kept, kept.end()));

    array_text called, placed, of, numbers, now_called;
    for (auto const id : relations) {
        auto const* relation = now.find(id);
        if (relation == nullptr) return std::nullopt;
        for (auto const& name : columns) {
            if (relation->find_column(std::string_view{name}) != nullptr) return std::nullopt;
        }
        if (finds_another(relation->name, relations, schemas, now, session)) return std::nullopt;
        called.add(relation->name);
        placed.add(relation->schema);
    }
    for (auto const& name : names) {
        if (finds_another(name, kept, schemas, now, session)) return std::nullopt;
    }
    for (auto const& [relation, number, name] : renamed) {
        of.add(relation);
        numbers.add(number);
        now_called.add(name);
    }
    std::vector<std::string> out{array_of(relations),  array_of(columns),       array_of(names),          array_of(schemas),
                                 array_of(kept),       array_of(relations),     std::move(called).take(), std::move(placed).take(),
                                 std::move(of).take(), std::move(numbers).take(), std::move(now_called).take()};
    return in_encoding_of(session, std::move(out));
}

std::vector<std::string> meaning_of(std::vector<sql::resolution const*> const& meant, std::vector<std::string> const& original, catalog::snapshot const& now,
                                    session_view const& session) {
    std::set<catalog::oid> all;
    for (auto const* of_one : meant) {
        for (auto const& it : of_one->references) all.insert(it.relation);
        for (auto const& it : of_one->stars) all.insert(it.relations.begin(), it.relations.end());
    }
    auto const schemas = schemas_of(session, original);
    std::set<catalog::oid> relations;
    array_text called, placed;
    for (auto const id : all) {
        auto const* relation = now.find(id);
        if (relation == nullptr || finds_another(relation->name, all, schemas, now, session)) continue; // the text tells them apart
        relations.insert(id);
        called.add(relation->name);
        placed.add(relation->schema);
    }
    if (relations.empty()) return {};
    std::string const none{"{}"};
    auto out = in_encoding_of(session, {none, none, none, array_of(schemas), none, array_of(relations), std::move(called).take(), std::move(placed).take(), none, none, none});
    return std::move(out).value_or(std::vector<std::string>{});
}

} // namespace pgmend::healing
