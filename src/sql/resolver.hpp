// Names of one statement against one version of a schema, as PostgreSQL's parse analysis resolves them.
#pragma once

#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/resolution.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sql/nodes.hpp"

namespace pgmend::sql {

/// Decides what each name of one statement means, following PostgreSQL's src/backend/parser (parse_clause.c,
/// parse_relation.c, parse_expr.c, parse_target.c, analyze.c; version 15), and writes the statement's canonical form on the way.
/// A node type without a case of its own here ends the walk: nothing is skipped silently.
/// Used once. Errors stick: after `fail` every step returns at once.
class resolver {
  public:
    resolver(std::string_view text, std::vector<token> const& tokens, relation_source& source, bool careful)
        : text_{text}, tokens_{tokens}, source_{source}, careful_{careful} {}

    resolve_outcome run(Node* statement);

  private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr unsigned most_depth = 500;
    static constexpr unsigned most_steps = 200000; ///< recursive queries are walked twice, and those in them four times

    /// A column of a FROM item.
    struct column_entry {
        std::string name;
        std::string sense;         ///< canonical: what it is, independent of its name
        std::uint32_t relation{0}; ///< 0: no relation's column
        std::int16_t number{0};
        std::uint32_t item{0};     ///< the item it comes from (a join passes on those of its sides)
        std::string qualifier;     ///< that item's name, where `qualifier.name` reaches it
        bool catalog_name{false};  ///< `name` is the relation's own name for it, not an alias
        bool several_meanings{false};
        std::uint32_t type{0};     ///< 0: not known
        bool of_function{false};   ///< in a row that a function returns: an answer does not say whose column it is
    };

    /// PostgreSQL's ParseNamespaceItem.
    struct from_item {
        std::uint32_t serial{0};
        std::string name;
        bool relation_visible{true};
        bool columns_visible{true};
        bool lateral_only{false};
        bool lateral_ok{true};
        std::uint32_t relation{0}; ///< of a plain relation
        char kind{0};
        bool aliased{false};
        bool columns_known{true};
        bool columns_certain{true};
        bool subquery{false};      ///< its row is not a relation's, whatever the columns are
        std::vector<column_entry> columns;
        offered_relation const* offered{nullptr}; ///< of a plain relation
        std::uint32_t row_of{0};   ///< of a function: the relation whose rows it returns, and nothing beside them
        bool row_known{true};      ///< false: what the row of a function is like is not known
    };

    struct output {
        std::string label;
        std::size_t label_reference{none}; ///< the catalog column whose name the label is
        std::string sense;                 ///< canonical form of the expression
        std::uint32_t relation{0};         ///< of a plain column
        std::int16_t column{0};
        std::uint32_t end{0};
        bool label_needed{false};
        Node* value{nullptr};              ///< an expression that stands here and in no other query
        std::uint32_t type{0};             ///< 0: not known
        bool of_function{false};
    };

    struct common_table {
        std::string name;
        std::uint32_t serial{0};
        std::vector<output> columns;
        bool ready{false};
    };

    /// PostgreSQL's ParseState.
    struct scope {
        scope* parent{nullptr};
        std::vector<from_item*> items;
        std::deque<common_table> tables;
        bool lateral_active{false};
    };

    struct called_function {
        std::vector<offered_function> candidates; ///< those that the call may mean
        bool built_in{false};
        bool unknown{false}; ///< there is none with one argument: it may be a column
    };

    /// What an expression is called.
    struct label {
        std::string text;
        int strength{0};
        std::size_t reference{none}; ///< whose name that is
    };

    /// What of an output list matters outside.
    enum class list_use : std::uint8_t { labels, columns, nothing };

    /// Counts nested calls; the stack is bounded by it.
    class level {
      public:
        explicit level(resolver& owner) : owner_{owner} {
            if (++owner_.depth_ > most_depth) owner_.not_understood("a statement nested as deeply as this");
            if (++owner_.steps_ > most_steps) owner_.not_understood("a statement as involved as this");
        }
        level(level const&) = delete;
        level& operator=(level const&) = delete;
        ~level() { --owner_.depth_; }

      private:
        resolver& owner_;
    };

    // Failures.
    void fail(unresolved::kind_type kind, std::string text, std::string column = {});
    void not_understood(std::string_view construct);
    [[nodiscard]] bool failed() const { return failure_.has_value(); }

    // The canonical form. Every piece says its own length or ends in a blank: no two sequences look alike.
    void put(std::string_view tag) { canonical_.append(tag).push_back(' '); }
    void put(std::string_view tag, long number);
    void put_text(std::string_view text);
    void put_names(List const* strings);

    // Tokens.
    [[nodiscard]] std::size_t token_at(int location) const;
    [[nodiscard]] bool is(std::size_t index, std::string_view word_or_sign) const;
    [[nodiscard]] std::vector<span> path(int location, std::size_t parts);
    [[nodiscard]] std::uint32_t output_end(int location) const;

    // Scopes (resolver_names.cpp).
    from_item& add_item(std::string name);
    void set_columns(from_item& item, offered_relation const& relation);
    void apply_column_aliases(from_item& item, List const* names);
    void check_conflicts(std::vector<from_item*> const& left, std::vector<from_item*> const& right);
    [[nodiscard]] from_item* find_item(scope& from, std::string_view schema, std::string_view name);
    [[nodiscard]] column_entry const* find_in_item(from_item& item, std::string_view name);
    [[nodiscard]] column_entry const* find_unqualified(scope& from, std::string_view name, bool local_only);
    [[nodiscard]] common_table* find_table(scope& from, std::string_view name);
    [[nodiscard]] offered_relation const* look_up(RangeVar const* name);
    [[nodiscard]] offered_relation const* look_up(std::string_view schema, std::string_view name, bool must_exist);
    std::size_t note_column(column_entry const& entry, std::vector<span> parts, std::string name, bool qualifiable);
    std::size_t note_relation(RangeVar const* name, from_item const& item, bool alias_useful);
    std::uint32_t column_name(from_item& target, char const* name, span where); ///< its type

    // FROM (resolver_from.cpp).
    void from_list(List const* items, scope& in);
    std::vector<from_item*> from_entry(Node* node, scope& in, from_item*& whole);
    std::vector<from_item*> from_relation(RangeVar const* name, scope& in, from_item*& whole);
    [[nodiscard]] offered_relation const* only_renamed(RangeSubselect const* node, scope& in);
    from_item& renamed_relation(SelectStmt const* query, offered_relation const& relation, std::string name, scope& in);
    std::vector<from_item*> from_subquery(RangeSubselect* node, scope& in, from_item*& whole);
    std::vector<from_item*> from_function(RangeFunction* node, scope& in, from_item*& whole);
    std::vector<from_item*> from_join(JoinExpr* node, scope& in, from_item*& whole);
    [[nodiscard]] bool is_starred(span const& name) const;
    bool unnested_columns(FuncCall const* call, std::string_view name, std::vector<column_entry>& columns, from_item& item);
    [[nodiscard]] std::uint32_t after_call(FuncCall const* call, bool ordinality) const;
    std::size_t join_columns(JoinExpr* node, from_item& left, from_item& right, from_item& joined);
    std::vector<from_item*> from_xml(RangeTableFunc* node, scope& in, from_item*& whole);

    // Expressions (resolver_expression.cpp).
    void expression(Node* node, scope& in);
    void expressions(List const* list, scope& in);
    void column_reference(ColumnRef* node, scope& in);
    void indirection(A_Indirection* node, scope& in);
    /// A value with fields or subscripts behind it.
    struct owner {
        from_item* item{nullptr}; ///< of a row of FROM
        std::uint32_t type{0};    ///< 0: not known
        std::uint32_t relation{0}; ///< whose row it is, where that is known without the type
        void const* call{nullptr}; ///< what a function returns
    };
    std::uint32_t steps(List const* list, scope& in, std::size_t index, owner of, void const* node, std::string_view construct);
    void field(owner const& of, std::string_view name, span where, void const* node, std::string_view construct, std::uint32_t& type);
    std::size_t note_field(offered_relation const& row, offered_column const& column, span where);
    [[nodiscard]] offered_column const* field_named(offered_relation const& row, std::string_view name);
    bool function_of_row(std::string_view name, std::uint32_t relation, span where, void const* node, std::uint32_t& type);
    void like_a_field(FuncCall* node, scope& in);
    [[nodiscard]] owner row_behind(Node const* node) const;
    void row_as_way(Node const* node);
    void note_row_taken(Node const* argument, std::size_t place, called_function const& called);
    void note_row_value(std::uint32_t type, int location, unsigned depth);
    [[nodiscard]] std::size_t behind(Node const* node) const;
    [[nodiscard]] std::size_t closing(std::size_t open) const;
    void constant(A_Const const* node);
    void function_call(FuncCall* node, scope& in);
    void sublink(SubLink* node, scope& in);
    void xml(XmlExpr* node, scope& in);
    void sort_list(List const* list, scope& in);
    void window(WindowDef* node, scope& in);
    bool relation_literal(A_Const* node, offered_relation const** found = nullptr);
    void column_literal(A_Const* node, offered_relation const& relation);

    // Functions and types (resolver_types.cpp).
    called_function function_name(FuncCall* node, bool procedure);
    bool function_columns(called_function const& called, std::string_view name, std::vector<column_entry>& columns, from_item& item);
    [[nodiscard]] offered_relation const* row_of(std::uint32_t type);
    void add_row(offered_relation const& row, std::vector<column_entry>& columns, from_item& item);
    void argument_types(FuncCall* node, called_function const& called);
    std::uint32_t type_name(TypeName* node, bool positional = false); ///< its oid, 0: not known
    [[nodiscard]] std::uint32_t type_of(void const* node) const;
    void has_type(void const* node, std::uint32_t type);
    [[nodiscard]] offered_type const* enum_behind(std::uint32_t type);
    [[nodiscard]] std::uint32_t element_of(std::uint32_t type);
    void note_literal(A_Const const* node, std::size_t from);
    struct noted_literal {
        std::size_t from{0}; ///< its piece of the canonical form
        std::size_t to{0};
        std::uint32_t label{0}; ///< pg_enum.oid
        std::uint32_t array_of{0}; ///< it is an array of this enum, with these
        std::vector<std::uint32_t> labels; ///< 0: NULL
        bool settled{false};    ///< its type is known
    };
    void becomes(Node* node, std::uint32_t type);
    void array_becomes(A_Const const* node, noted_literal& it, offered_type const& labels);
    [[nodiscard]] std::uint32_t label_named(offered_type const& labels, std::string_view text);
    void note_label(std::vector<span> parts, std::string_view text, std::uint32_t id, std::uint32_t type);
    void parameter_becomes(ParamRef const* node, std::uint32_t type);
    void elements_become(Node* node, std::uint32_t type);
    void compared(Node* left, Node* right, bool equality = true);
    void compared_as_text(Node* value, Node* literal, bool equality);
    std::uint32_t common_type(std::vector<Node*> const& nodes);
    void operator_types(A_Expr* node);
    void forget_literals(std::size_t from);
    void finish_literals();
    void finish_parameters();

    // SELECT (resolver_select.cpp).
    std::vector<output> select(SelectStmt* node, scope* parent, list_use use);
    std::vector<output> plain_select(SelectStmt* node, scope& in, list_use use);
    std::vector<output> set_operation(SelectStmt* node, scope& in, list_use use);
    std::vector<output> values(SelectStmt* node, scope& in);
    void with(WithClause* node, scope& in);
    void search_and_cycle(CommonTableExpr const* node, std::vector<output>& columns, scope& in);
    std::vector<output> output_list(List const* list, scope& in, list_use use);
    void star_output(ColumnRef* node, scope& in, list_use use, std::vector<output>& out);
    void row_star(A_Indirection* node, scope& in, list_use use, std::vector<output>& out);
    void star_item(from_item& item, list_use use, star& expansion, std::vector<output>& out);
    void finish_outputs(std::vector<output>& outputs, list_use use);
    void by_output(Node* node, scope& in, std::vector<output>& outputs, bool group);
    void group_item(Node* node, scope& in, std::vector<output>& outputs);
    void order_by(List const* list, scope& in, std::vector<output>& outputs);
    void locking(List const* list, scope& in);

    // INSERT, UPDATE, DELETE, MERGE, COPY (resolver_modify.cpp).
    std::vector<output> query(Node* node, scope* parent, list_use use);
    std::vector<output> insert(InsertStmt* node, scope* parent);
    std::vector<output> update(UpdateStmt* node, scope* parent);
    std::vector<output> remove(DeleteStmt* node, scope* parent);
    void merge(MergeStmt* node, scope* parent);
    void copy(CopyStmt* node);
    bool utility(Node* statement);

    // Definitions and commands (resolver_definitions.cpp).
    bool options(List const* list);
    void create_view(ViewStmt* node);
    void create_index(IndexStmt* node);
    void name_index(IndexStmt const* node, std::size_t relation, std::vector<label> const& columns);
    void index_elements(List const* list, from_item& target, scope& in, std::size_t& index, std::vector<label>* labels = nullptr);
    void column_names(List const* list, from_item& item, std::size_t& index);
    void vacuum(VacuumStmt* node);
    void forced_columns(DefElem const* option, from_item& item);
    [[nodiscard]] std::uint32_t after_merge_insert(std::size_t which, std::size_t of) const;

    void created(IntoClause const* into);
    void named_relations(List const* names, bool changed);
    void named_relation(RangeVar const* name, bool changed);
    bool call(CallStmt* node, std::vector<output>& outputs);
    from_item* target(RangeVar const* name, bool alias_useful);
    std::vector<std::uint32_t> insert_columns(List const* names, std::size_t values, from_item& target, std::uint32_t list_at, scope& in);
    std::vector<output> insert_source(Node* source, scope& in);
    void values_become(Node* source, std::vector<output> const& outputs, std::vector<std::uint32_t> const& types);
    void assignments(List const* list, from_item& target, scope& in);
    void on_conflict(OnConflictClause* node, from_item& target, scope& in);
    void conflict_target(InferClause* node, from_item& target);
    void constraint_name(InferClause* node, from_item const& target);
    std::vector<output> returning(List const* list, scope& in);
    [[nodiscard]] std::uint32_t after_target(RangeVar const* name) const;

    // Labels (label.cpp).
    [[nodiscard]] label label_of(Node const* node) const;

    std::string_view text_;
    std::vector<token> const& tokens_;
    relation_source& source_;
    bool careful_;
    unsigned depth_{0};
    unsigned steps_{0};
    std::uint32_t next_serial_{1};
    std::optional<unresolved> failure_;
    std::deque<from_item> items_;
    std::deque<column_entry> system_columns_;
    std::map<void const*, std::size_t> reference_of_; ///< nodes whose label is a reference's name
    std::map<void const*, label> sublink_label_;
    std::map<void const*, from_item*> whole_row_;
    std::map<void const*, output> plain_column_; ///< expressions that are nothing but a column
    std::map<void const*, noted_literal> literals_;
    std::vector<std::pair<Node const*, std::uint32_t>> enum_casts_; ///< an enum's values become texts
    std::set<Node const*> understood_casts_;                        ///< of which it is known what a renamed label does to them
    std::map<ParamRef const*, std::uint32_t> parameters_; ///< the type that each place wants, 0: not known
    std::map<void const*, std::uint32_t> type_of_;
    std::map<void const*, called_function> called_;
    Node const* row_value_{nullptr}; ///< an argument whose row type does not matter
    std::set<void const*> ways_;     ///< rows of which nothing but a field is looked at
    std::map<void const*, std::uint32_t> rows_taken_; ///< arguments of functions that take rows of this relation
    std::map<void const*, std::size_t> end_of_;       ///< the token behind an A_Indirection
    SelectStmt const* into_{nullptr}; ///< a SELECT INTO that is the whole statement
    std::string canonical_;
    resolution result_;
};

} // namespace pgmend::sql
