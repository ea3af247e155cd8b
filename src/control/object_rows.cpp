#include "object_rows.hpp"

#include "field_text.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

namespace pgmend::control {

using catalog::oid;

std::string types_statement(origin which) {
    return fmt::format("SELECT t.oid, n.nspname, t.typname, t.typtype,"
                       " CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typarray, t.typbasetype, t.typrelid"
                       " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
                       " WHERE t.typisdefined AND {} AND {}",
                       lasting_schema,
                       which == origin::system ? fmt::format("t.oid < {} AND t.typrelid = 0", catalog::first_user_oid)
                                               : fmt::format("t.oid >= {}", catalog::first_user_oid));
}

std::string labels_statement(std::string_view condition) {
    return fmt::format("SELECT e.enumtypid, e.oid, e.enumlabel FROM pg_catalog.pg_enum e WHERE {} ORDER BY e.enumtypid, e.enumsortorder", condition);
}

std::string functions_statement(int server_version) {
    // A body in the standard's form (PostgreSQL 14) is kept as a tree of nodes: 2078 is set_config. It cannot hold SET.
    auto const tree = server_version >= 140000 ? " OR p.prosqlbody::pg_catalog.text LIKE '%:funcid 2078 %'" : "";
    return fmt::format("SELECT p.oid, n.nspname, p.proname, p.prokind, p.proargtypes, p.pronargdefaults, p.provariadic,"
                       " p.prorettype, p.proretset, p.provolatile,"
                       " l.lanname IN ('c', 'internal') OR p.prosrc ~*"
                       " 'set_config|search_path|session_authorization|\\mrole\\M|\\mtemp|execute|\\mreset\\M|\\mdiscard\\M'"
                       " OR pg_catalog.array_to_string(p.proconfig, ' ') ~* 'search_path|role|session_authorization|temp'{},"
                       " p.proargmodes, p.proargnames"
                       " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
                       " JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= {} AND {}",
                       tree, catalog::first_user_oid, lasting_schema);
}

std::string schemas_statement() {
    return fmt::format("SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE {}", lasting_schema);
}

std::string system_functions_statement() {
    return fmt::format("SELECT DISTINCT p.proname FROM pg_catalog.pg_proc p"
                       " WHERE p.oid < {} AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace",
                       catalog::first_user_oid);
}

std::vector<catalog::snapshot::type_ptr> to_types(pg::rows const& types, pg::rows const* labels) {
    std::unordered_map<oid, std::vector<catalog::enum_label>> labels_of;
    for (std::size_t row = 0; labels && row < labels->size(); ++row) {
        labels_of[to_number<oid>(labels->text(row, 0))].push_back(
            {to_number<oid>(labels->text(row, 1)), std::string{labels->text(row, 2)}});
    }
    std::vector<catalog::snapshot::type_ptr> found;
    found.reserve(types.size());
    for (std::size_t row = 0; row < types.size(); ++row) {
        catalog::type_entry type{
            .id = to_number<oid>(types.text(row, 0)),
            .schema = std::string{types.text(row, 1)},
            .name = std::string{types.text(row, 2)},
            .kind = to_char(types.text(row, 3)),
            .element = to_number<oid>(types.text(row, 4)),
            .array = to_number<oid>(types.text(row, 5)),
            .base = to_number<oid>(types.text(row, 6)),
            .relation = to_number<oid>(types.text(row, 7)),
        };
        if (auto const its = labels_of.find(type.id); its != labels_of.end()) type.labels = std::move(its->second);
        found.push_back(std::make_shared<catalog::type_entry const>(std::move(type)));
    }
    return found;
}

std::vector<catalog::snapshot::function_ptr> to_functions(pg::rows const& answer) {
    std::vector<catalog::snapshot::function_ptr> found;
    found.reserve(answer.size());
    for (std::size_t row = 0; row < answer.size(); ++row) {
        catalog::function_entry function{
            .id = to_number<oid>(answer.text(row, 0)),
            .schema = std::string{answer.text(row, 1)},
            .name = std::string{answer.text(row, 2)},
            .kind = to_char(answer.text(row, 3)),
            .arguments = to_numbers<oid>(answer.text(row, 4)),
            .defaults = to_number<std::uint16_t>(answer.text(row, 5)),
            .variadic = to_number<oid>(answer.text(row, 6)),
            .result = to_number<oid>(answer.text(row, 7)),
            .returns_set = answer.text(row, 8) == "t",
            .volatility = to_char(answer.text(row, 9)),
            .changes_session = answer.text(row, 10) == "t",
        };
        auto const modes = to_texts(answer.text(row, 11));
        auto const names = to_texts(answer.text(row, 12));
        for (std::size_t i = 0; i < modes.size(); ++i) {
            if (modes[i] != "o" && modes[i] != "b" && modes[i] != "t") continue;
            function.output_names.push_back(i < names.size() ? names[i].value_or("") : "");
        }
        found.push_back(std::make_shared<catalog::function_entry const>(std::move(function)));
    }
    return found;
}

std::vector<catalog::snapshot::schema_ptr> to_schemas(pg::rows const& answer) {
    std::vector<catalog::snapshot::schema_ptr> found;
    for (std::size_t row = 0; row < answer.size(); ++row) {
        found.push_back(std::make_shared<catalog::schema_entry const>(
            catalog::schema_entry{to_number<oid>(answer.text(row, 0)), std::string{answer.text(row, 1)}}));
    }
    return found;
}

std::vector<std::string> to_sorted_names(pg::rows const& answer) {
    std::vector<std::string> found;
    found.reserve(answer.size());
    for (std::size_t row = 0; row < answer.size(); ++row) found.emplace_back(answer.text(row, 0));
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

} // namespace pgmend::control
