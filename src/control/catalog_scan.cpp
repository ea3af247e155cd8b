#include "catalog_scan.hpp"

#include "field_text.hpp"
#include "object_rows.hpp"
#include "relation_rows.hpp"

#include <fmt/format.h>

namespace pgmend::control {

namespace {

/// xmin has 32 bits, the snapshot 64. age() is quick, and tells nearly all rows; the rest is exact. A row that was
/// frozen more than 2^31 transactions ago keeps its xmin, and seems to be of the future.
std::string is_new(char const* row) {
    return fmt::format("pg_catalog.age({0}.xmin) <= (SELECT h.age FROM horizon h) AND pg_catalog.age({0}.xmin) >= 0 AND NOT pg_catalog.txid_visible_in_snapshot("
                       "(SELECT h.oldest FROM horizon h) + ({0}.xmin::pg_catalog.text::pg_catalog.int8 - (SELECT h.oldest FROM horizon h) % 4294967296"
                       " + 4294967296) % 4294967296, $1)",
                       row);
}

} // namespace

std::string scan_statement(int server_version) {
    auto const kinds = "c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'";
    return fmt::format(
        "WITH horizon AS (SELECT pg_catalog.txid_snapshot_xmin($1) AS oldest,"
        " pg_catalog.age((pg_catalog.txid_snapshot_xmin($1) % 4294967296)::pg_catalog.text::pg_catalog.xid) AS age)"
        " SELECT 'm', pg_catalog.txid_snapshot_xmax(s) - pg_catalog.txid_snapshot_xmin($1), s::pg_catalog.text FROM pg_catalog.txid_current_snapshot() AS s"
        " UNION ALL SELECT 'n', n.oid::pg_catalog.int8, n.nspname FROM pg_catalog.pg_namespace n WHERE {lasting}"
        " UNION ALL SELECT 'R', pg_catalog.count(*), '' FROM pg_catalog.pg_class c WHERE {kinds} AND c.oid >= {first}"
        " UNION ALL SELECT 'C', pg_catalog.count(*), '' FROM ({constraints} AND o.connamespace NOT IN"
        " (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE NOT ({lasting}))) AS o"
        " UNION ALL SELECT 'I', pg_catalog.count(*), '' FROM ({indexes}) AS i"
        " UNION ALL SELECT 'T', pg_catalog.count(*), '' FROM ({types}) AS t"
        " UNION ALL SELECT 'P', pg_catalog.count(*), '' FROM ({functions}) AS p"
        " UNION ALL SELECT 'r', COALESCE(i.indrelid, c.oid)::pg_catalog.int8, '' FROM pg_catalog.pg_class c"
        " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE c.oid >= {first} AND {new_c} AND c.relpersistence <> 't'"
        " UNION ALL SELECT DISTINCT 'r', a.attrelid::pg_catalog.int8, '' FROM pg_catalog.pg_attribute a WHERE {new_a}"
        " UNION ALL SELECT DISTINCT 'r', o.conrelid::pg_catalog.int8, '' FROM pg_catalog.pg_constraint o WHERE {new_o} AND o.conrelid <> 0"
        " UNION ALL SELECT DISTINCT 'r', i.indrelid::pg_catalog.int8, '' FROM pg_catalog.pg_index i WHERE {new_i}"
        " UNION ALL SELECT 't', t.oid::pg_catalog.int8, '' FROM pg_catalog.pg_type t WHERE t.oid >= {first} AND {new_t}"
        " UNION ALL SELECT DISTINCT 't', e.enumtypid::pg_catalog.int8, '' FROM pg_catalog.pg_enum e WHERE {new_e}"
        " UNION ALL SELECT 'p', p.oid::pg_catalog.int8, '' FROM pg_catalog.pg_proc p WHERE p.oid >= {first} AND {new_p}",
        fmt::arg("lasting", lasting_schema), fmt::arg("kinds", kinds), fmt::arg("first", catalog::first_user_oid),
        fmt::arg("constraints", constraints_statement()), fmt::arg("indexes", unique_indexes_statement(server_version)),
        fmt::arg("types", types_statement(origin::user)), fmt::arg("functions", functions_statement(server_version)),
        fmt::arg("new_c", is_new("c")), fmt::arg("new_a", is_new("a")), fmt::arg("new_o", is_new("o")), fmt::arg("new_i", is_new("i")),
        fmt::arg("new_t", is_new("t")), fmt::arg("new_e", is_new("e")), fmt::arg("new_p", is_new("p")));
}

scan to_scan(pg::rows const& answer) {
    scan found;
    for (std::size_t row = 0; row < answer.size(); ++row) {
        auto const number = answer.text(row, 1);
        switch (auto const kind = to_char(answer.text(row, 0))) {
        case 'm':
            found.moment = answer.text(row, 2);
            found.xids_since = to_number<std::size_t>(number);
            break;
        case 'n':
            found.schemas.push_back(std::make_shared<catalog::schema_entry const>(
                catalog::schema_entry{to_number<catalog::oid>(number), std::string{answer.text(row, 2)}}));
            break;
        case 'R': found.counts.relations = to_number<std::size_t>(number); break;
        case 'C': found.counts.constraints = to_number<std::size_t>(number); break;
        case 'I': found.counts.unique_indexes = to_number<std::size_t>(number); break;
        case 'T': found.counts.types = to_number<std::size_t>(number); break;
        case 'P': found.counts.functions = to_number<std::size_t>(number); break;
        default: found.changed.add(kind, to_number<catalog::oid>(number));
        }
    }
    return found;
}

/// Arrays rather than joins: those would go through all of pg_class and pg_type. Indexes and TOAST tables are of no interest by themselves.
std::string dependents_statement() {
    return "WITH RECURSIVE tables(id) AS ((SELECT pg_catalog.unnest($1) UNION"
           " SELECT t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = ANY($2) AND t.typrelid <> 0 UNION"
           " SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = ANY($1))"
           " UNION SELECT more.id FROM tables, LATERAL ("
           "SELECT h.inhrelid AS id FROM pg_catalog.pg_inherits h WHERE h.inhparent = tables.id UNION ALL"
           " SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.refclassid = 1259 AND d.refobjid = tables.id AND d.classid = 1259"
           " AND d.deptype IN ('a', 'i') AND NOT EXISTS (SELECT FROM pg_catalog.pg_class k WHERE k.oid = d.objid AND k.relkind IN ('i', 'I', 't'))) AS more),"
           " row_types(id) AS (SELECT pg_catalog.unnest($2) UNION"
           " SELECT c.reltype FROM pg_catalog.pg_class c WHERE c.oid = ANY(ARRAY(SELECT id FROM tables)) AND c.reltype <> 0)"
           " SELECT 'r', id FROM tables UNION ALL SELECT 't', id FROM row_types UNION ALL"
           " SELECT 't', t.typarray FROM pg_catalog.pg_type t WHERE t.oid = ANY(ARRAY(SELECT id FROM row_types)) AND t.typarray <> 0";
}

/// The oids are cast so that the names find the rows: a plan that is made while there are few of a user's would go through all of them.
std::string namesakes_statement() {
    auto const names = [](char const* column, char const* table, int ids) {
        return fmt::format("$1 || ARRAY(SELECT k.{} FROM pg_catalog.{} k WHERE k.oid = ANY(${}))", column, table, ids);
    };
    return fmt::format("SELECT 'r', c.oid FROM pg_catalog.pg_class c WHERE c.relname = ANY({relations})"
                       " AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND c.oid::pg_catalog.int8 >= {first}"
                       " UNION ALL SELECT 't', t.oid FROM pg_catalog.pg_type t WHERE t.typname = ANY({types}) AND t.oid::pg_catalog.int8 >= {first}"
                       " UNION ALL SELECT 'p', p.oid FROM pg_catalog.pg_proc p WHERE p.proname = ANY({functions}) AND p.oid::pg_catalog.int8 >= {first}",
                       fmt::arg("first", catalog::first_user_oid), fmt::arg("relations", names("relname", "pg_class", 2)),
                       fmt::arg("types", names("typname", "pg_type", 3)), fmt::arg("functions", names("proname", "pg_proc", 4)));
}

changed_objects to_changed(pg::rows const& answer) {
    changed_objects found;
    for (std::size_t row = 0; row < answer.size(); ++row) found.add(to_char(answer.text(row, 0)), to_number<catalog::oid>(answer.text(row, 1)));
    return found;
}

std::string array_literal(std::vector<catalog::oid> const& ids) { return fmt::format("'{{{}}}'", fmt::join(ids, ",")); }

} // namespace pgmend::control
