// What every name of one statement means under one version of a schema.
#pragma once

#include "pgmend/sql/lexer.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgmend::sql {

/// A column as a relation_source offers it.
struct offered_column {
    std::string_view name;
    std::int16_t number{0};
    bool several_meanings{false}; ///< the name must not be used: it meant different columns at different times
    std::uint32_t type{0};        ///< pg_type.oid; 0: not known, or not always the same
};

/// A unique, primary key or exclusion constraint.
struct offered_constraint {
    std::uint32_t id{0}; ///< pg_constraint.oid
    std::string_view name;
    bool several_meanings{false};
};

struct offered_relation {
    std::uint32_t id{0};
    char kind{'r'};                      ///< pg_class.relkind
    std::vector<offered_column> columns; ///< in order of their numbers
    bool columns_certain{true};          ///< false: `*` and positional use have no one meaning
    std::vector<offered_constraint> constraints{};
    bool constraints_known{false};
};

/// A label of an enum.
struct offered_label {
    std::uint32_t id{0}; ///< pg_enum.oid
    std::string_view text;
    bool several_meanings{false};
};

struct offered_type {
    std::uint32_t id{0};
    char kind{'b'};            ///< pg_type.typtype
    std::uint32_t element{0};  ///< of a true array
    std::uint32_t array{0};    ///< the array of this
    std::uint32_t base{0};     ///< of a domain
    std::uint32_t relation{0}; ///< of a row type: pg_class.oid
    bool system{false};        ///< initdb made it
    std::vector<offered_label> labels;
};

/// A function of a user.
struct offered_function {
    std::uint32_t id{0};
    char kind{'f'}; ///< pg_proc.prokind
    std::vector<std::uint32_t> arguments; ///< types of the input
    std::size_t defaults{0};              ///< so many of the last arguments may be left out
    bool variadic{false};
    std::uint32_t result{0};
    std::vector<std::string> output_names; ///< of OUT, INOUT and TABLE arguments
};

/// Port: where relation names are looked up. What it returns stays valid and unchanged as long as the source.
class relation_source {
  public:
    struct answer {
        offered_relation const* relation{nullptr};
        bool several_meanings{false};
    };

    virtual ~relation_source() = default;

    /// `schema` empty: along the search path.
    [[nodiscard]] virtual answer find(std::string_view schema, std::string_view name) = 0;

    /// By oid: whose row type a function's result or a column is. nullptr: not known.
    [[nodiscard]] virtual offered_relation const* relation(std::uint32_t id);

    /// Whether the session has a temporary relation of that name.
    [[nodiscard]] virtual bool is_temporary(std::string_view name) const = 0;

    struct function_answer {
        std::vector<offered_function> functions; ///< in the order of the path
        bool known{false};                       ///< false: functions are not known here, names are PostgreSQL's business
        bool built_in{false};                    ///< pg_catalog has one by that name too
    };

    /// All functions of that name. `schema` empty: along the search path, pg_catalog included.
    [[nodiscard]] virtual function_answer find_functions(std::string_view schema, std::string_view name);

    struct type_answer {
        offered_type const* type{nullptr};
        bool several_meanings{false};
        bool known{false}; ///< false: types are not known here
    };

    [[nodiscard]] virtual type_answer find_type(std::string_view schema, std::string_view name);

    /// By oid; nullptr: not known.
    [[nodiscard]] virtual offered_type const* type(std::uint32_t id);
};

/// One place where a name stands and what it means there. All spans are bytes of the whole text.
struct reference {
    enum class kind_type : std::uint8_t {
        relation,  ///< the relation itself, in FROM, as a target, …
        literal,   ///< a relation's name inside a literal: nextval('s'), 's'::regclass
        column,    ///< a column under its name in the catalog
        column_literal, ///< a column's name inside a literal: the second one of pg_get_serial_sequence('t', 'id')
        whole_row, ///< a row of the relation as one value
        local,     ///< an alias, a column of a subquery, a column merged by USING: not a name of the catalog
        function,  ///< a function or procedure of a user: one of `candidates`
        type,      ///< a type of a user
        enum_label, ///< a literal that is a label of an enum; of an array's literal, one label in it: then its parts are the literal and the element
        constraint, ///< ON CONFLICT ON CONSTRAINT
    };
    kind_type kind{kind_type::column};
    std::vector<span> parts;       ///< as written: [[[database.]schema.]relation.]column or [[database.]schema.]relation
    std::uint32_t relation{0};     ///< pg_class.oid; 0 where a local name stands for no single column
    std::int16_t column{0};        ///< attnum; negative: a system column; 0: the relation
    std::uint32_t item{0};         ///< the FROM item that it makes (relation) or is found in
    std::string name;              ///< the last part, unquoted
    std::string qualifier;         ///< column: the name of the FROM item, where it may be written in front; else empty
    std::uint32_t object{0};       ///< of a type, enum label or constraint
    std::uint32_t type{0};         ///< of an enum label: its enum
    std::vector<std::uint32_t> candidates; ///< function: those that have the name and may have the arguments, in the order of the path
    bool built_in{false};          ///< function: pg_catalog has one of that name too, which may be meant

    bool value_only{false};        ///< whole_row: only its values and their names count, not its type (to_jsonb(t), count(t))
    bool argument{false};          ///< whole_row: only a way to its fields, or of functions that take rows of this relation; how they use them is theirs
    bool of_value{false};          ///< column: of a value of the relation's row type, and not of what stands in FROM
    bool called{false};            ///< column: written like a call, email(u)
    bool as_field{false};          ///< function: written like a column, u.f; it takes no schema
    std::size_t output{0};         ///< local: GROUP BY names this output column, counted from 1

    bool qualified{false};         ///< written with its schema

    // Of relations, and of functions in FROM:
    bool aliased{false};           ///< has an alias already
    bool takes_alias{false};       ///< an alias may be written, and something may use the name
    std::uint32_t alias_at{0};     ///< where
    bool replaceable{false};       ///< a subquery with the same name may stand in its place: in FROM, without ONLY and *
    bool target{false};            ///< what INSERT, UPDATE, DELETE or MERGE changes
};

/// An output column whose label is that of a reference and has to be kept.
struct kept_label {
    std::size_t reference{0};
    std::uint32_t at{0}; ///< where `AS label` may be written
    std::string label;
};

struct star_column {
    std::string qualifier;     ///< the name of the FROM item that it belongs to; empty: it cannot be written
    std::string label;
    std::uint32_t relation{0}; ///< 0: not a column of a relation; its label is its name
    std::int16_t column{0};
    bool of_function{false};   ///< in a row that a function returns

    bool operator==(star_column const&) const = default;
};

/// A `*` or `t.*` in an output list.
struct star {
    span text;
    bool labels_matter{false};
    bool certain{true};
    std::vector<std::uint32_t> relations; ///< those that it covers
    std::vector<star_column> columns;
};

/// INSERT or COPY without a list of columns.
struct positional_target {
    std::uint32_t relation{0};
    bool every_column{false};          ///< COPY: all there are; INSERT: as many as there are values
    std::uint32_t list_at{0};          ///< where the list may be written
    std::vector<std::int16_t> columns; ///< that get a value

    bool operator==(positional_target const&) const = default;
};

/// JOIN … USING (name) or a NATURAL join: one name for a column on each side.
struct merged_columns {
    std::string name;
    std::uint32_t left_relation{0};
    std::uint32_t right_relation{0};
    std::int16_t left_column{0};
    std::int16_t right_column{0};
    std::uint32_t left_item{0}; ///< the FROM items that the columns come from
    std::uint32_t right_item{0};

    bool operator==(merged_columns const&) const = default;
};

/// A literal that is compared with an enum's value as a text: feels::text = 'happy'.
struct text_label {
    std::uint32_t type{0}; ///< the enum
    std::string text;
};

struct result_column {
    std::string label;
    std::uint32_t relation{0}; ///< 0: not a plain column
    std::int16_t column{0};
    bool of_function{false};   ///< it has the column's type, but does not come from there
};

/// What PostgreSQL calls an index that is given no name: after its table and its columns.
struct made_index_name {
    std::string name;
    std::uint32_t at{0};                 ///< where one may be written
    std::vector<std::size_t> references; ///< those that it is made of
};

/// The meaning of one statement.
struct resolution {
    std::vector<reference> references; ///< in the order of one fixed walk
    std::vector<kept_label> labels;
    std::vector<star> stars;
    std::vector<positional_target> positional_targets;
    std::vector<merged_columns> merged;
    std::vector<span> loose_literals;   ///< literals of which it is not known what type they get: they may be labels of an enum
    std::vector<text_label> text_labels;
    std::vector<std::uint32_t> enum_texts; ///< enums whose values are looked at as texts, beyond an answer's column and an equality with a literal
    std::optional<made_index_name> index_name; ///< of CREATE INDEX without one
    std::vector<std::string> row_types; ///< relations whose row type is named ("schema\0name", schema may be empty)
    /// The statement with every catalog name replaced by its meaning, every `*` by its columns: equal for two texts
    /// only if PostgreSQL's parse analysis gives both the same meaning.
    std::string canonical;
    std::optional<std::vector<result_column>> columns; ///< the answer's, where it has rows
    /// The types that PostgreSQL gives to parameters without a declared one, $1 first; 0: not known.
    std::vector<std::uint32_t> parameter_types;
    bool writes{false};
};

/// Why a statement has no meaning under this version.
struct unresolved {
    enum class kind_type : std::uint8_t {
        unknown_relation,
        unknown_column,
        unknown_object, ///< a function, type, enum label or constraint
        ambiguous,
        not_understood, ///< this version has nothing to do with it: pgmend does not know the construct
    };
    kind_type kind{kind_type::not_understood};
    std::string text; ///< one sentence, names identifiers only
    std::string column; ///< ambiguous: the unqualified column name that several FROM items have
};

using resolve_outcome = std::variant<resolution, unresolved>;

} // namespace pgmend::sql
