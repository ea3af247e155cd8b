#include "type_text.hpp"

#include <string_view>

#include <fmt/format.h>

namespace pgmend::catalog {

namespace {

// Oids of pg_type.dat.
enum : oid { int8 = 20, int2 = 21, int4 = 23, text = 25, float4 = 700, float8 = 701, bpchar = 1042, varchar = 1043, numeric = 1700 };

constexpr std::int32_t header = 4; // VARHDRSZ is part of these modifiers

/// Common types of the system, for versions that were kept without them.
std::string_view built_in(oid type) {
    struct entry {
        oid id;
        std::string_view name;
    };
    static constexpr entry types[] = {
        {16, "bool"}, {17, "bytea"}, {18, "char"}, {19, "name"}, {20, "int8"}, {21, "int2"}, {23, "int4"}, {25, "text"}, {26, "oid"},
        {114, "json"}, {142, "xml"}, {600, "point"}, {650, "cidr"}, {700, "float4"}, {701, "float8"}, {790, "money"}, {829, "macaddr"},
        {869, "inet"}, {1000, "bool[]"}, {1005, "int2[]"}, {1007, "int4[]"}, {1009, "text[]"}, {1015, "varchar[]"}, {1016, "int8[]"},
        {1042, "bpchar"}, {1043, "varchar"}, {1082, "date"}, {1083, "time"}, {1114, "timestamp"}, {1184, "timestamptz"},
        {1186, "interval"}, {1231, "numeric[]"}, {1266, "timetz"}, {1560, "bit"}, {1562, "varbit"}, {1700, "numeric"}, {2249, "record"},
        {2278, "void"}, {2279, "trigger"}, {2950, "uuid"}, {2951, "uuid[]"}, {3614, "tsvector"}, {3615, "tsquery"}, {3802, "jsonb"},
        {3807, "jsonb[]"}, {3904, "int4range"}, {3910, "tstzrange"}, {3912, "daterange"},
    };
    for (auto const& t : types) {
        if (t.id == type) return t.name;
    }
    return "?";
}

bool takes_all(std::int32_t before, std::int32_t after) { return after < 0 || (before >= 0 && after >= before); }

/// numeric(p,s): p in the upper half, s in the lower (numeric.c, make_numeric_typmod).
bool takes_all_digits(std::int32_t before, std::int32_t after) {
    if (after < 0) return true;
    if (before < 0) return false;
    return (before & 0xffff) == (after & 0xffff) && after >= before;
}

} // namespace

bool is_widening(column const& before, column const& after) {
    if (before.type == after.type) {
        switch (before.type) {
        case varchar: return takes_all(before.type_modifier, after.type_modifier);
        case numeric: return takes_all_digits(before.type_modifier, after.type_modifier);
        default: return false;
        }
    }
    bool const open = after.type_modifier < 0;
    switch (before.type) {
    case int2: return after.type == int4 || after.type == int8 || (after.type == numeric && open);
    case int4: return after.type == int8 || (after.type == numeric && open);
    case int8: return after.type == numeric && open;
    case float4: return after.type == float8;
    case varchar: return after.type == text;
    case text: return after.type == varchar && open;
    default: return false;
    }
}

std::string type_text(snapshot const& version, oid type, std::int32_t modifier) {
    auto const* found = version.find_type(type);
    if (found && found->element != 0) {
        auto const* element = version.find_type(found->element);
        bool const nested = element && element->element != 0; // in damaged data only
        if (!nested) return type_text(version, found->element, modifier) + "[]";
    }
    auto name = !found                          ? std::string{built_in(type)}
                : found->schema == "pg_catalog" ? found->name
                                                : found->schema + "." + found->name;
    if (modifier < 0) return name;
    if (type == varchar || type == bpchar) return fmt::format("{}({})", name, modifier - header);
    if (type == numeric) return fmt::format("{}({},{})", name, (modifier - header) >> 16 & 0xffff, (modifier - header) & 0x7ff);
    return fmt::format("{}({})", name, modifier);
}

} // namespace pgmend::catalog
