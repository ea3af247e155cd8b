// Expressions: transformExpr of parse_expr.c.
#include "sql/resolver.hpp"

#include "pgmend/sql/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "sql/nodes.hpp"

namespace pgmend::sql {
namespace {

/// Functions whose first argument is the name of a sequence or relation; those that take a regclass see a literal as
/// one. A literal for the others is a text that the statement's meaning depends on just the same.
constexpr std::string_view functions_of_regclass[] = {
    "nextval", "currval", "setval", "pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size",
    "pg_relation_filepath", "pg_relation_filenode", "pg_sequence_last_value",
};
constexpr std::string_view functions_of_names[] = {
    "to_regclass", "has_table_privilege", "has_column_privilege", "has_any_column_privilege",
    "has_sequence_privilege", "pg_get_viewdef", "row_security_active", "query_to_xml", "table_to_xml", "dblink", "dblink_exec",
    "pg_get_constraintdef", "lo_import", "ts_stat", "cursor_to_xml", "database_to_xml", "schema_to_xml",
};

/// Functions to which a row is its values and their names: to_jsonb(users).
constexpr std::string_view functions_of_any_row[] = {
    "to_json", "to_jsonb", "row_to_json", "json_agg", "jsonb_agg", "json_build_object", "jsonb_build_object", "json_object_agg",
    "jsonb_object_agg", "json_build_array", "jsonb_build_array", "count",
};

/// Functions to which the names in a row matter, whatever else is done with it.
constexpr std::string_view functions_of_row_names[] = {
    "to_json", "to_jsonb", "row_to_json", "json_agg", "jsonb_agg", "json_build_object", "jsonb_build_object", "json_object_agg", "jsonb_object_agg",
    "json_build_array", "jsonb_build_array", "array_to_json", "json_populate_record", "jsonb_populate_record", "json_populate_recordset", "jsonb_populate_recordset",
};

template <std::size_t N>
bool holds(std::string_view const (&list)[N], std::string_view name) {
    return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

} // namespace

void resolver::expressions(List const* list, scope& in) {
    put("list", static_cast<long>(nodes{list}.size()));
    for (Node* node : nodes{list}) expression(node, in);
}

void resolver::expression(Node* node, scope& in) {
    if (node == nullptr || failed()) return;
    level const guard{*this};
    if (failed()) return;
    auto const each = [&](auto* child) { expression(reinterpret_cast<Node*>(child), in); };
    put("x", static_cast<long>(tag_of(node)));
    switch (tag_of(node)) {
    case T_ColumnRef: return column_reference(as<ColumnRef>(node), in);
    case T_A_Indirection: return indirection(as<A_Indirection>(node), in);
    case T_A_Const: return constant(as<A_Const>(node));
    case T_ParamRef:
        parameters_.try_emplace(as<ParamRef>(node), 0);
        return put("$", as<ParamRef>(node)->number);
    case T_SetToDefault: return;
    case T_FuncCall: return function_call(as<FuncCall>(node), in);
    case T_SubLink: return sublink(as<SubLink>(node), in);
    case T_List: return expressions(as<List>(node), in);
    case T_A_Expr: {
        auto* it = as<A_Expr>(node);
        put("kind", it->kind);
        put_names(it->name);
        put("sides", (it->lexpr != nullptr ? 1 : 0) + (it->rexpr != nullptr ? 2 : 0));
        expression(it->lexpr, in);
        expression(it->rexpr, in);
        return operator_types(it);
    }
    case T_BoolExpr:
        put("op", as<BoolExpr>(node)->boolop);
        return expressions(as<BoolExpr>(node)->args, in);
    case T_TypeCast: {
        auto* it = as<TypeCast>(node);
        auto const type = type_name(it->typeName, tag_of(it->arg) == T_RowExpr || tag_of(it->arg) == T_ParamRef || is_literal(it->arg));
        if (failed()) return;
        has_type(node, type);
        bool const regclass = text_of(nodes{it->typeName->names}.back()) == "regclass" && it->typeName->arrayBounds == nullptr;
        if (regclass && tag_of(it->arg) == T_A_Const && relation_literal(as<A_Const>(it->arg))) return;
        // The elements of an array are coerced to what the cast says, one by one; they have no type in common before.
        auto const elements = [&](auto const& self, Node* array) -> void {
            level const deeper{*this};
            if (failed()) return;
            put("x", T_A_ArrayExpr);
            nodes const list{as<A_ArrayExpr>(array)->elements};
            put("list", static_cast<long>(list.size()));
            for (Node* element : list) tag_of(element) == T_A_ArrayExpr ? self(self, element) : expression(element, in);
        };
        if (tag_of(it->arg) == T_A_ArrayExpr && element_of(type) != 0) elements(elements, it->arg);
        else expression(it->arg, in);
        becomes(it->arg, type);
        if (tag_of(it->arg) == T_A_ArrayExpr) elements_become(it->arg, element_of(type));
        auto const behind = [this](std::uint32_t of) { return enum_behind(of) != nullptr ? enum_behind(of) : enum_behind(element_of(of)); };
        if (auto const* labels = behind(type_of(it->arg)); labels != nullptr && behind(type) == nullptr) enum_casts_.emplace_back(node, labels->id);
        return;
    }
    case T_CollateClause:
        put_names(as<CollateClause>(node)->collname);
        return expression(as<CollateClause>(node)->arg, in);
    case T_A_ArrayExpr: {
        expressions(as<A_ArrayExpr>(node)->elements, in);
        std::vector<Node*> elements;
        for (Node* element : nodes{as<A_ArrayExpr>(node)->elements}) elements.push_back(element);
        auto const* type = source_.type(common_type(elements));
        return has_type(node, type != nullptr ? type->array : 0);
    }
    case T_CaseExpr: {
        auto* it = as<CaseExpr>(node);
        put("parts", (it->arg != nullptr ? 1 : 0) + (it->defresult != nullptr ? 2 : 0));
        each(it->arg);
        put("when", static_cast<long>(nodes{it->args}.size()));
        std::vector<Node*> results;
        for (Node* when : nodes{it->args}) {
            each(as<CaseWhen>(when)->expr);
            each(as<CaseWhen>(when)->result);
            if (failed()) return;
            if (it->arg != nullptr) compared(reinterpret_cast<Node*>(it->arg), reinterpret_cast<Node*>(as<CaseWhen>(when)->expr));
            results.push_back(reinterpret_cast<Node*>(as<CaseWhen>(when)->result));
        }
        each(it->defresult);
        results.push_back(reinterpret_cast<Node*>(it->defresult));
        return failed() ? void() : has_type(node, common_type(results));
    }
    case T_CoalesceExpr:
    case T_MinMaxExpr: {
        bool const coalesce = tag_of(node) == T_CoalesceExpr;
        if (!coalesce) put("op", as<MinMaxExpr>(node)->op);
        auto const* list = coalesce ? as<CoalesceExpr>(node)->args : as<MinMaxExpr>(node)->args;
        expressions(list, in);
        if (failed()) return;
        std::vector<Node*> values;
        for (Node* value : nodes{list}) values.push_back(value);
        return has_type(node, common_type(values));
    }
    case T_NullTest: {
        auto* tested = reinterpret_cast<Node*>(as<NullTest>(node)->arg);
        put("test", as<NullTest>(node)->nulltesttype);
        row_value_ = tag_of(tested) == T_ColumnRef ? tested : nullptr; // each of a row's values is tested
        expression(tested, in);
        row_value_ = nullptr;
        return;
    }
    case T_BooleanTest:
        put("test", as<BooleanTest>(node)->booltesttype);
        return each(as<BooleanTest>(node)->arg);
    case T_RowExpr: {
        auto* it = as<RowExpr>(node);
        put("format", it->row_format);
        for (Node* field : nodes{it->args}) {
            if (tag_of(field) == T_ColumnRef && tag_of(nodes{as<ColumnRef>(field)->fields}.back()) == T_A_Star) {
                return not_understood("a * inside ROW()");
            }
        }
        return expressions(it->args, in);
    }
    case T_SQLValueFunction:
        put("op", as<SQLValueFunction>(node)->op);
        return put("modifier", as<SQLValueFunction>(node)->typmod);
    case T_GroupingFunc: return expressions(as<GroupingFunc>(node)->args, in);
    case T_NamedArgExpr:
        put_text(as<NamedArgExpr>(node)->name);
        return each(as<NamedArgExpr>(node)->arg);
    case T_CurrentOfExpr:
        put_text(as<CurrentOfExpr>(node)->cursor_name != nullptr ? as<CurrentOfExpr>(node)->cursor_name : "");
        return put("parameter", as<CurrentOfExpr>(node)->cursor_param);
    case T_XmlExpr: return xml(as<XmlExpr>(node), in);
    case T_XmlSerialize: {
        auto* it = as<XmlSerialize>(node);
        put("option", it->xmloption);
        type_name(it->typeName);
        return expression(it->expr, in);
    }
    default: return not_understood(fmt::format("an expression (node {})", static_cast<int>(tag_of(node))));
    }
}

void resolver::constant(A_Const const* node) {
    if (node->isnull) return put("null");
    put("v", static_cast<long>(tag_of(&node->val.node)));
    switch (tag_of(&node->val.node)) {
    case T_Integer: return put("", node->val.ival.ival);
    case T_Float: return put_text(node->val.fval.fval);
    case T_Boolean: return put("", node->val.boolval.boolval);
    case T_String: {
        auto const from = canonical_.size();
        put_text(node->val.sval.sval);
        return note_literal(node, from);
    }
    case T_BitString: return put_text(node->val.bsval.bsval);
    default: return not_understood("a constant");
    }
}

/// transformColumnRef: a column, or else the row of a FROM item.
void resolver::column_reference(ColumnRef* node, scope& in) {
    nodes const fields{node->fields};
    bool const starred = tag_of(fields.back()) == T_A_Star;
    for (std::size_t i = 0; i + (starred ? 1 : 0) < fields.size(); ++i) {
        if (tag_of(fields[i]) != T_String) return not_understood("a name that is no plain name");
    }
    if (fields.size() > 4 || (starred && fields.size() == 1)) return not_understood("a name of this many parts, or a bare *,");
    auto const named = fields.size() - (starred ? 1 : 0);
    auto parts = path(node->location, named);
    if (failed()) return;
    auto const text = [&](std::size_t i) { return text_of(fields[i]); };

    auto const whole_row = [&](from_item& item) {
        if (!item.row_known) return not_understood(fmt::format("the row of the function \"{}\" in FROM", item.name));
        reference made;
        auto const relation = item.relation != 0 ? item.relation : item.row_of;
        auto const taken = rows_taken_.find(node);
        made.value_only = row_value_ == reinterpret_cast<Node*>(node) && item.columns_known && item.row_of == 0;
        made.argument = ways_.contains(node) || (taken != rows_taken_.end() && taken->second == relation);
        if (made.value_only) {
            put("value_row", static_cast<long>(item.columns.size()));
            for (auto const& it : item.columns) {
                put_text(it.name);
                put_text(it.sense);
            }
        } else {
            put(item.subquery ? "subquery_row" : "row", static_cast<long>(item.serial));
        }
        made.kind = relation != 0 ? reference::kind_type::whole_row : reference::kind_type::local;
        made.parts = std::move(parts);
        made.relation = relation;
        made.item = item.serial;
        made.name = text(named - 1);
        bool const seen = !made.argument; // a function further out may look at the names of rows in it
        result_.references.push_back(std::move(made));
        whole_row_[node] = &item;
        for (std::size_t i = 0; seen && i < item.columns.size(); ++i) note_row_value(item.columns[i].type, node->location, 0);
    };
    auto const column = [&](column_entry const& entry, bool qualifiable) {
        put_text(entry.sense);
        auto const index = note_column(entry, std::move(parts), std::string{text(named - 1)}, qualifiable);
        reference_of_[node] = index;
        output plain;
        plain.relation = entry.relation;
        plain.column = entry.number;
        plain.of_function = entry.of_function;
        plain_column_[node] = plain;
        has_type(node, entry.type);
    };

    if (fields.size() == 1) {
        auto const* entry = find_unqualified(in, text(0), false);
        if (failed()) return;
        auto* item = entry == nullptr || careful_ ? find_item(in, "", text(0)) : nullptr;
        if (failed()) return;
        if (entry != nullptr && item != nullptr && item->relation != 0) {
            return fail(unresolved::kind_type::ambiguous, fmt::format("\"{}\" may be a column or a whole row", text(0)));
        }
        if (entry != nullptr) return column(*entry, true);
        if (item != nullptr) return whole_row(*item);
        return fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\"", text(0)));
    }
    auto const relation_at = fields.size() - 2;
    auto* item = find_item(in, relation_at > 0 ? text(relation_at - 1) : std::string_view{}, text(relation_at));
    if (failed()) return;
    if (item == nullptr) {
        return fail(unresolved::kind_type::unknown_relation, fmt::format("no FROM item \"{}\"", text(relation_at)));
    }
    if (starred) return whole_row(*item);
    auto const* entry = find_in_item(*item, text(named - 1));
    if (failed()) return;
    if (entry != nullptr) return column(*entry, false);
    if (!item->columns_known) return not_understood(fmt::format("a column of the function \"{}\" in FROM", item->name));
    if (auto const relation = item->relation != 0 ? item->relation : item->row_of; relation != 0) { // u.f is f(u)
        std::uint32_t type = 0;
        auto const where = parts.back();
        if (function_of_row(text(named - 1), relation, where, node, type)) {
            put("row", static_cast<long>(item->serial));
            parts.pop_back();
            reference made;
            made.kind = reference::kind_type::whole_row;
            made.parts = std::move(parts);
            made.relation = relation;
            made.item = item->serial;
            made.name = text(named - 2);
            made.argument = true;
            result_.references.push_back(std::move(made));
            return has_type(node, type);
        }
        if (failed()) return;
    }
    fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}.{}\"", item->name, text(named - 1)));
}

void resolver::function_call(FuncCall* node, scope& in) {
    auto called = function_name(node, false);
    if (failed()) return;
    if (called.unknown) return like_a_field(node, in);
    put("flags", (node->agg_within_group ? 1 : 0) + (node->agg_star ? 2 : 0) + (node->agg_distinct ? 4 : 0) +
                     (node->func_variadic ? 8 : 0) + (node->agg_filter != nullptr ? 16 : 0) + (node->over != nullptr ? 32 : 0));
    put("format", node->funcformat);
    nodes const args{node->args};
    nodes const name{node->funcname};
    bool const built_in = called.built_in && (name.size() == 1 || text_of(name[0]) == "pg_catalog");
    std::size_t first = 0;
    if (built_in && !args.empty()) {
        auto* argument = args[0];
        while (tag_of(argument) == T_TypeCast) argument = as<TypeCast>(argument)->arg;
        bool const literal = is_literal(argument);
        if (literal && holds(functions_of_names, text_of(name.back()))) {
            return not_understood(fmt::format("a name inside a literal for {}()", text_of(name.back())));
        }
        if (argument == args[0] && literal && holds(functions_of_regclass, text_of(name.back())) &&
            relation_literal(as<A_Const>(argument))) {
            first = 1;
        }
        if (literal && text_of(name.back()) == "pg_get_serial_sequence") {
            offered_relation const* of = nullptr;
            if (argument != args[0] || args.size() != 2 || !is_literal(args[1]) || !relation_literal(as<A_Const>(argument), &of))
                return not_understood("pg_get_serial_sequence() of names that are not written as plain literals");
            if (failed()) return;
            column_literal(as<A_Const>(args[1]), *of);
            if (failed()) return;
            first = 2;
        }
    }
    put("arguments", static_cast<long>(args.size()));
    bool const any_row = built_in && called.candidates.empty() && !node->agg_distinct && holds(functions_of_any_row, text_of(name.back()));
    bool const shows_names = built_in && called.candidates.empty() && holds(functions_of_row_names, text_of(name.back()));
    for (auto i = first; i < args.size(); ++i) {
        row_value_ = any_row && tag_of(args[i]) == T_ColumnRef ? args[i] : nullptr;
        if (!called.built_in && tag_of(args[i]) == T_ColumnRef) note_row_taken(args[i], i, called);
        expression(args[i], in);
        bool const shown = shows_names || std::any_of(called.candidates.begin(), called.candidates.end(), [&](offered_function const& it) {
            auto const* type = i < it.arguments.size() && !it.variadic ? source_.type(it.arguments[i]) : nullptr;
            return type == nullptr || type->kind == 'p'; // whatever it is, a function of its own may look at it
        });
        if (shown && !failed()) note_row_value(type_of(args[i]), node->location, 0);
    }
    row_value_ = nullptr;
    if (failed()) return;
    argument_types(node, called);
    called_[node] = std::move(called);
    sort_list(node->agg_order, in);
    expression(node->agg_filter, in);
    if (node->over != nullptr) window(node->over, in);
}

/// A literal that PostgreSQL reads as the name of a relation. False: it is none, treat it like any constant.
bool resolver::relation_literal(A_Const* node, offered_relation const** found) {
    if (node->isnull || tag_of(&node->val.node) != T_String) return false;
    auto const parts = split_name(node->val.sval.sval);
    if (!parts || parts->size() > 2) return false;
    auto const index = token_at(node->location);
    if (index == none || tokens_[index].kind != token_kind::string || text_[tokens_[index].begin] != '\'') {
        not_understood("a relation's name in a literal of this kind");
        return true;
    }
    auto const* relation = look_up(parts->size() == 2 ? parts->front() : "", parts->back(), true);
    if (relation == nullptr) return true;
    if (found != nullptr) *found = relation;
    put("literal", static_cast<long>(relation->id));
    reference made;
    made.kind = reference::kind_type::literal;
    made.parts = {{tokens_[index].begin, tokens_[index].end}};
    made.relation = relation->id;
    made.name = parts->back();
    made.qualified = parts->size() == 2;
    result_.references.push_back(std::move(made));
    return true;
}

/// A literal that PostgreSQL compares with the names of a relation's columns, as it is.
void resolver::column_literal(A_Const* node, offered_relation const& relation) {
    std::string_view const name = node->val.sval.sval;
    auto const index = token_at(node->location);
    if (index == none || tokens_[index].kind != token_kind::string || text_[tokens_[index].begin] != '\'')
        return not_understood("a column's name in a literal of this kind");
    auto const column = std::find_if(relation.columns.begin(), relation.columns.end(), [&](offered_column const& it) { return it.name == name; });
    if (column != relation.columns.end() && column->several_meanings)
        return fail(unresolved::kind_type::ambiguous, fmt::format("column \"{}\" meant several columns at different times", name));
    if (column == relation.columns.end()) return fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\"", name));
    put("column", column->number);
    reference made;
    made.kind = reference::kind_type::column_literal;
    made.parts = {{tokens_[index].begin, tokens_[index].end}};
    made.relation = relation.id;
    made.column = column->number;
    made.name = name;
    result_.references.push_back(std::move(made));
}

void resolver::sublink(SubLink* node, scope& in) {
    put("kind", node->subLinkType);
    put_names(node->operName);
    put("test", node->testexpr != nullptr);
    expression(node->testexpr, in);
    if (failed()) return;
    bool const exists = node->subLinkType == EXISTS_SUBLINK;
    if (tag_of(node->subselect) != T_SelectStmt) return not_understood("a subquery of this kind");
    auto const outputs = select(as<SelectStmt>(node->subselect), &in, exists ? list_use::nothing : list_use::columns);
    if (failed() || outputs.empty()) return;
    if (node->testexpr != nullptr) {
        if (tag_of(node->testexpr) == T_RowExpr) {
            nodes const tested{as<RowExpr>(node->testexpr)->args};
            for (std::size_t i = 0; i < tested.size() && i < outputs.size(); ++i) becomes(tested[i], outputs[i].type);
        } else {
            becomes(node->testexpr, outputs.front().type);
        }
    }
    if (node->subLinkType != EXPR_SUBLINK) return;
    has_type(node, outputs.front().type);
    sublink_label_[node] = {outputs.front().label, 2, outputs.front().label_needed ? none : outputs.front().label_reference};
}

void resolver::xml(XmlExpr* node, scope& in) {
    put("op", node->op);
    put("option", node->xmloption);
    put_text(node->name != nullptr ? node->name : "");
    for (Node* argument : nodes{node->named_args}) {
        auto* it = as<ResTarget>(argument);
        expression(it->val, in);
        if (failed()) return;
        // XMLFOREST(email): the element is called like an output column.
        auto const figured = it->name != nullptr ? label{it->name} : label_of(it->val);
        put_text(figured.text);
        if (figured.reference != none) result_.labels.push_back({figured.reference, output_end(it->location), figured.text});
    }
    expressions(node->args, in);
}

/// ORDER BY inside aggregates and windows: expressions only, output columns are not looked at.
void resolver::sort_list(List const* list, scope& in) {
    if (nodes{list}.empty()) return;
    put("sort", static_cast<long>(nodes{list}.size()));
    for (Node* node : nodes{list}) {
        auto* it = as<SortBy>(node);
        put("direction", it->sortby_dir);
        put("nulls", it->sortby_nulls);
        put_names(it->useOp);
        expression(it->node, in);
    }
}

void resolver::window(WindowDef* node, scope& in) {
    put("window", node->frameOptions);
    put_text(node->name != nullptr ? node->name : "");
    put_text(node->refname != nullptr ? node->refname : "");
    expressions(node->partitionClause, in);
    sort_list(node->orderClause, in);
    put("offsets", (node->startOffset != nullptr ? 1 : 0) + (node->endOffset != nullptr ? 2 : 0));
    expression(node->startOffset, in);
    expression(node->endOffset, in);
}

} // namespace pgmend::sql
