#include "healing/type_text.hpp"

#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

namespace pgmend::healing {
namespace {

/// Oids that every database has (pg_type.dat), for snapshots that do not know the system's types.
constexpr std::array<std::pair<catalog::oid, std::string_view>, 23> built_in = {{
    {16, "bool"}, {17, "bytea"}, {19, "name"}, {20, "int8"}, {21, "int2"}, {23, "int4"}, {25, "text"}, {26, "oid"}, {114, "json"},
    {700, "float4"}, {701, "float8"}, {1007, "_int4"}, {1009, "_text"}, {1015, "_varchar"}, {1016, "_int8"}, {1042, "bpchar"}, {1043, "varchar"},
    {1082, "date"}, {1114, "timestamp"}, {1184, "timestamptz"}, {1700, "numeric"}, {2950, "uuid"}, {3802, "jsonb"},
}};

/// A type modifier as its type's typmodout function prints it (varchar.c, numeric.c, timestamp.c, date.c, varbit.c).
std::optional<std::string> modifier_text(std::string_view name, std::int32_t modifier) {
    if (modifier < 0) return std::string{};
    if (name.starts_with('_')) name.remove_prefix(1);
    if (name == "varchar" || name == "bpchar") return fmt::format("({})", modifier - 4);
    if (name == "numeric") {
        auto const packed = modifier - 4;
        int const scale = ((packed & 0x7ff) ^ 1024) - 1024; // 11 bits with a sign
        return fmt::format("({},{})", (packed >> 16) & 0xffff, scale);
    }
    if (name == "timestamp" || name == "timestamptz" || name == "time" || name == "timetz" || name == "bit" || name == "varbit") {
        return fmt::format("({})", modifier);
    }
    return std::nullopt;
}

} // namespace

std::optional<std::string> written_type(catalog::snapshot const& schema, catalog::oid type, std::int32_t modifier) {
    std::string_view where = "pg_catalog";
    std::string_view name;
    if (auto const* known = schema.find_type(type)) {
        where = known->schema;
        name = known->name;
    } else {
        for (auto const& [id, text] : built_in) {
            if (id == type) name = text;
        }
    }
    if (name.empty()) return std::nullopt;
    auto const suffix = where == "pg_catalog" ? modifier_text(name, modifier) : modifier < 0 ? std::optional<std::string>{""} : std::nullopt;
    if (!suffix) return std::nullopt;
    return fmt::format("{}.{}{}", sql::quoted_name(where), sql::quoted_name(name), *suffix);
}

} // namespace pgmend::healing
