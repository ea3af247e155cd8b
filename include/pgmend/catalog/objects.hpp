// The objects of a schema, as PostgreSQL's catalogs describe them: plain values, compared by value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::catalog {

using oid = std::uint32_t;

/// Objects that initdb made have smaller oids (FirstNormalObjectId, access/transam.h): they stay as long as the server.
inline constexpr oid first_user_oid = 16384;

/// One live column (pg_attribute with attnum > 0 and not attisdropped).
struct column {
    std::int16_t number{0}; ///< attnum: survives renames, never used again after a drop
    std::string name;
    oid type{0};            ///< atttypid
    std::int32_t type_modifier{-1};
    bool not_null{false};
    bool has_default{false}; ///< atthasdef: a default, or a generated column's expression
    char identity{0};        ///< attidentity: 0, 'a' (always) or 'd' (by default)
    char generated{0};       ///< attgenerated: 0, 's' (stored) or 'v' (virtual)

    bool operator==(column const&) const = default;
};

/// A constraint of a relation (pg_constraint). What a check says is not kept.
struct constraint_entry {
    oid id{0};
    std::string name;
    char kind{0};                      ///< contype: p u x c f
    std::vector<std::int16_t> columns; ///< conkey; empty where the catalog has none

    bool operator==(constraint_entry const&) const = default;
};

/// A valid unique index (pg_index): what ON CONFLICT may infer.
struct index_entry {
    oid id{0};
    std::string name;
    std::vector<std::int16_t> columns; ///< key columns in order; 0: an expression
    bool unique{true};
    bool primary{false};
    bool immediate{true};              ///< false: deferrable
    bool nulls_not_distinct{false};
    std::string predicate;             ///< of a partial index, as pg_get_expr prints it; else empty
    std::string expressions;           ///< of the key columns that are 0, in order, the same way

    bool operator==(index_entry const&) const = default;
};

/// A table, view, materialized view, foreign table, partitioned table, sequence or composite type (pg_class).
struct relation {
    oid id{0};              ///< pg_class.oid: survives renames and moves
    std::string schema;
    std::string name;
    char kind{'r'};         ///< pg_class.relkind: r p v m f S, and c: no statement can name that as a relation
    std::vector<column> columns{};                ///< live ones, ascending by number
    std::vector<constraint_entry> constraints{};  ///< ascending by oid
    std::vector<index_entry> unique_indexes{};    ///< ascending by oid

    [[nodiscard]] column const* find_column(std::string_view column_name) const;
    [[nodiscard]] column const* find_column(std::int16_t number) const;
    bool operator==(relation const&) const = default;
};

struct enum_label {
    oid id{0}; ///< pg_enum.oid: survives RENAME VALUE
    std::string label;

    bool operator==(enum_label const&) const = default;
};

/// A type (pg_type), also the array and row types that PostgreSQL makes by itself.
struct type_entry {
    oid id{0};               ///< survives renames and moves
    std::string schema;
    std::string name;
    char kind{'b'};          ///< typtype: b d e r m c p
    oid element{0};          ///< of a true array (typcategory A): what it is an array of
    oid array{0};            ///< typarray: the array of this; 0: none
    oid base{0};             ///< of a domain: the type behind it
    oid relation{0};         ///< of a row type: pg_class.oid (also of a composite type, where it has the attributes)
    std::vector<enum_label> labels{}; ///< of an enum, in sort order

    bool operator==(type_entry const&) const = default;
};

/// A function, procedure, aggregate or window function of a user (pg_proc).
struct function_entry {
    oid id{0};                    ///< survives renames, moves and CREATE OR REPLACE
    std::string schema;
    std::string name;
    char kind{'f'};               ///< prokind: f p a w
    std::vector<oid> arguments{}; ///< of input, in order; of a variadic one the array type
    std::uint16_t defaults{0};    ///< so many of the last arguments may be left out
    oid variadic{0};              ///< element type of the last argument; 0: not variadic
    oid result{0};
    bool returns_set{false};
    char volatility{'v'};         ///< provolatile: i s v
    /// It may change what names mean in the session (search_path, role, temporary tables): not excluded by its body.
    bool changes_session{false};
    std::vector<std::string> output_names{}; ///< of OUT, INOUT and TABLE arguments, in order; empty for one without a name

    bool operator==(function_entry const&) const = default;
};

/// A schema (pg_namespace) that is not temporary.
struct schema_entry {
    oid id{0}; ///< survives renames
    std::string name;

    bool operator==(schema_entry const&) const = default;
};

} // namespace pgmend::catalog
