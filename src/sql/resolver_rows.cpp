// Fields of rows, and functions that are written like them: transformIndirection of parse_expr.c, ParseFuncOrColumn and ParseComplexProjection of parse_func.c.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sql/nodes.hpp"

namespace pgmend::sql {
namespace {

/// Where an expression's text begins, or a place in it that no bracket of its own stands around.
int place_of(Node const* node) {
    switch (tag_of(node)) {
    case T_ColumnRef: return as<ColumnRef>(node)->location;
    case T_ParamRef: return as<ParamRef>(node)->location;
    case T_FuncCall: return as<FuncCall>(node)->location;
    case T_TypeCast: return as<TypeCast>(node)->location;
    case T_CoalesceExpr: return as<CoalesceExpr>(node)->location;
    case T_MinMaxExpr: return as<MinMaxExpr>(node)->location;
    case T_CaseExpr: return as<CaseExpr>(node)->location;
    case T_A_ArrayExpr: return as<A_ArrayExpr>(node)->location;
    case T_A_Expr: return as<A_Expr>(node)->location;
    case T_RowExpr: return as<RowExpr>(node)->location;
    case T_SubLink: return as<SubLink>(node)->location;
    default: return -1;
    }
}

/// The only column of a subquery for a value.
Node const* only_target(Node const* node) {
    auto const* link = as<SubLink>(node);
    if (link->subLinkType != EXPR_SUBLINK || tag_of(link->subselect) != T_SelectStmt) return nullptr;
    auto const* query = as<SelectStmt>(reinterpret_cast<void const*>(link->subselect));
    if (query->op != SETOP_NONE || query->valuesLists != nullptr || nodes{query->targetList}.size() != 1) return nullptr;
    return as<ResTarget>(nodes{query->targetList}[0])->val;
}

} // namespace

/// The bracket that closes this one.
std::size_t resolver::closing(std::size_t open) const {
    int depth = 0;
    for (auto index = open; index < tokens_.size(); ++index) {
        if (is(index, "(") || is(index, "[")) ++depth;
        if ((is(index, ")") || is(index, "]")) && --depth == 0) return index;
    }
    return none;
}

/// The token where the fields or subscripts of an expression begin: it is a name, a parameter or a subquery, or stands in brackets.
std::size_t resolver::behind(Node const* node) const {
    auto index = token_at(place_of(node));
    if (tag_of(node) == T_A_Indirection) {
        auto const end = end_of_.find(node);
        index = end != end_of_.end() ? end->second : none;
    }
    if (index == none) return none;
    switch (tag_of(node)) {
    case T_A_Indirection: break;
    case T_ColumnRef: index += 2 * nodes{as<ColumnRef>(node)->fields}.size() - 1; break;
    case T_ParamRef: ++index; break;
    case T_SubLink:
        index = closing(index);
        if (index == none) return none;
        ++index;
        break;
    default:
        for (int depth = 0; index < tokens_.size(); ++index) {
            if (is(index, "(") || is(index, "[")) ++depth;
            if ((is(index, ")") || is(index, "]")) && --depth < 0) break;
        }
    }
    while (is(index, ")")) ++index;
    return index;
}

/// Notes that of a row in FROM, where this is one, nothing but a field is looked at.
void resolver::row_as_way(Node const* node) {
    if (tag_of(node) == T_SubLink) node = only_target(node);
    if (node != nullptr && tag_of(node) == T_ColumnRef) ways_.insert(node);
}

/// What a walked expression's value is.
resolver::owner resolver::row_behind(Node const* node) const {
    owner out;
    out.type = type_of(node);
    auto const row = whole_row_.find(node);
    if (row != whole_row_.end()) out.item = row->second;
    if (called_.contains(node)) out.call = node;
    if (tag_of(node) != T_SubLink) return out;
    // A row that a subquery gives has the columns of its type, whatever they were called in there.
    auto const* target = only_target(node);
    auto const inner = target != nullptr ? whole_row_.find(target) : whole_row_.end();
    if (inner == whole_row_.end()) return out;
    auto const& item = *inner->second;
    out.relation = item.relation != 0 ? item.relation : item.row_of;
    return out;
}

/// `(u).email`, `(o.buyer).address.city`, `(many[1]).email` and `email[1]`.
void resolver::indirection(A_Indirection* node, scope& in) {
    nodes const list{node->indirection};
    bool const field = !list.empty() && tag_of(list[0]) == T_String;
    if (field) row_as_way(node->arg);
    expression(node->arg, in);
    if (failed() || list.empty()) return;
    auto const from = row_behind(node->arg);
    if (field && from.item != nullptr) result_.references.pop_back(); // the row was only the way to its column
    has_type(node, steps(node->indirection, in, behind(node->arg), from, node, "a field of a composite value"));
}

/// `index`: the token where the first step is written. Returns the type of the whole.
std::uint32_t resolver::steps(List const* list, scope& in, std::size_t index, owner of, void const* node, std::string_view construct) {
    nodes const all{list};
    put("subscripts", static_cast<long>(all.size()));
    for (std::size_t i = 0; i < all.size() && !failed();) {
        plain_column_.erase(node);
        if (tag_of(all[i]) == T_A_Indices) { // all of them pick one element, or a part of the array
            bool slice = false;
            for (; i < all.size() && tag_of(all[i]) == T_A_Indices; ++i) {
                auto* it = as<A_Indices>(all[i]);
                put("slice", it->is_slice);
                put("bounds", (it->lidx != nullptr ? 1 : 0) + (it->uidx != nullptr ? 2 : 0));
                expression(it->lidx, in);
                expression(it->uidx, in);
                slice = slice || it->is_slice;
                auto const end = is(index, "[") ? closing(index) : none;
                index = end != none ? end + 1 : none;
            }
            of = {nullptr, slice ? of.type : element_of(of.type), 0, nullptr};
            continue;
        }
        if (tag_of(all[i]) != T_String) {
            not_understood(construct);
            return 0;
        }
        bool const written = is(index, ".") && index + 1 < tokens_.size();
        auto const where = written ? path(static_cast<int>(tokens_[index + 1].begin), 1) : std::vector<span>{};
        if (where.empty()) not_understood("the way a field is written");
        if (failed()) return 0;
        std::uint32_t type = 0;
        field(of, text_of(all[i]), where.front(), node, construct, type);
        of = {nullptr, type, 0, nullptr};
        index += 2;
        ++i;
    }
    end_of_[node] = index;
    return of.type;
}

/// One field, or a function of the row that is written like one. `node` is labelled by it.
void resolver::field(owner const& of, std::string_view name, span where, void const* node, std::string_view construct, std::uint32_t& type) {
    auto const* row = of.relation != 0 ? source_.relation(of.relation) : row_of(of.type);
    if (of.item != nullptr) {
        auto& item = *of.item;
        auto const* entry = find_in_item(item, name);
        if (failed()) return;
        if (entry != nullptr) {
            put_text(entry->sense);
            reference_of_[node] = note_column(*entry, {where}, std::string{name}, false);
            type = entry->type;
            return;
        }
        if (!item.columns_known) return not_understood(construct);
        auto const relation = item.relation != 0 ? item.relation : item.row_of;
        if (relation != 0 && function_of_row(name, relation, where, node, type)) return;
        return failed() ? void() : fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}.{}\"", item.name, name));
    }
    if (row != nullptr) {
        auto const* column = field_named(*row, name);
        if (failed()) return;
        if (column != nullptr) {
            reference_of_[node] = note_field(*row, *column, where);
            output plain;
            plain.relation = row->id;
            plain.column = column->number;
            plain.of_function = true;
            plain_column_[node] = plain;
            type = column->type;
            return;
        }
        if (function_of_row(name, row->id, where, node, type)) return;
        return failed() ? void() : fail(unresolved::kind_type::unknown_column, fmt::format("field \"{}\"", name));
    }
    // The names of OUT arguments, which stay what they are as long as the function lives.
    auto const called = of.call != nullptr ? called_.find(of.call) : called_.end();
    if (called == called_.end() || called->second.built_in || called->second.candidates.empty()) return not_understood(construct);
    std::optional<std::ptrdiff_t> place;
    for (auto const& it : called->second.candidates) {
        auto const found = std::find(it.output_names.begin(), it.output_names.end(), name);
        auto const at = found - it.output_names.begin();
        if (it.output_names.size() < 2 || found == it.output_names.end() || place.value_or(at) != at) return not_understood(construct);
        place = at;
    }
    put("out", *place);
    reference made;
    made.kind = reference::kind_type::local;
    made.parts = {where};
    made.name = name;
    result_.references.push_back(std::move(made));
    reference_of_.erase(node);
}

offered_column const* resolver::field_named(offered_relation const& row, std::string_view name) {
    auto const found = std::find_if(row.columns.begin(), row.columns.end(), [&](offered_column const& it) { return it.name == name; });
    if (found == row.columns.end()) return nullptr;
    if (!found->several_meanings) return &*found;
    fail(unresolved::kind_type::ambiguous, fmt::format("field \"{}\" meant several columns at different times", name));
    return nullptr;
}

std::size_t resolver::note_field(offered_relation const& row, offered_column const& column, span where) {
    put("field", static_cast<long>(row.id));
    put("", column.number);
    reference made;
    made.kind = reference::kind_type::column;
    made.parts = {where};
    made.relation = row.id;
    made.column = column.number;
    made.name = column.name;
    made.of_value = true;
    result_.references.push_back(std::move(made));
    return result_.references.size() - 1;
}

/// `u.f`, where u's rows have no column f and a function takes them. False: there is none.
bool resolver::function_of_row(std::string_view name, std::uint32_t relation, span where, void const* node, std::uint32_t& type) {
    auto found = source_.find_functions("", name);
    if (!found.known) return false; // PostgreSQL's business: it is asked about the whole
    std::vector<offered_function> exact;
    bool others = found.built_in;
    for (auto& it : found.functions) {
        if (it.kind == 'p' || it.arguments.empty()) continue;
        auto const* taken = source_.type(it.arguments.front());
        bool const fits = taken != nullptr && taken->kind == 'c' && taken->relation == relation;
        if (fits && it.kind == 'f' && it.arguments.size() == 1 && !it.variadic) exact.push_back(std::move(it));
        else others = true;
    }
    if (exact.empty() && !others) return false;
    if (exact.size() != 1) {
        not_understood(fmt::format("the function {}(), written like a column,", name));
        return false;
    }
    put("functions", 1);
    put("", static_cast<long>(exact.front().id));
    reference made;
    made.kind = reference::kind_type::function;
    made.parts = {where};
    made.name = name;
    made.as_field = true;
    made.candidates = {exact.front().id};
    result_.references.push_back(std::move(made));
    reference_of_[node] = result_.references.size() - 1;
    type = exact.front().result;
    return true;
}

/// `email(u)` is u.email where no function of that name takes one argument.
void resolver::like_a_field(FuncCall* node, scope& in) {
    auto* argument = nodes{node->args}[0];
    nodes const names{node->funcname};
    auto const name = text_of(names.back());
    auto const missing = [&] { fail(unresolved::kind_type::unknown_object, fmt::format("function \"{}\" with 1 arguments", name)); };
    bool const plain = names.size() == 1 && node->agg_order == nullptr && node->agg_filter == nullptr && node->over == nullptr &&
                       !node->agg_star && !node->agg_distinct && !node->agg_within_group && !node->func_variadic && tag_of(argument) != T_NamedArgExpr;
    if (plain) row_as_way(argument);
    put("field_of");
    expression(argument, in);
    if (failed()) return;
    auto from = row_behind(argument);
    from.call = nullptr;
    bool const row = from.item != nullptr || from.relation != 0 || row_of(from.type) != nullptr;
    if (!plain || !row) {
        bool const unknown = tag_of(argument) == T_ColumnRef && from.type == 0; // it may be a row
        return unknown ? not_understood(fmt::format("the function {}(), which no schema on the path has,", name)) : missing();
    }
    auto const where = path(node->location, 1);
    if (failed()) return;
    if (from.item != nullptr) result_.references.pop_back();
    auto const before = result_.references.size();
    std::uint32_t type = 0;
    field(from, name, where.front(), node, "a row of a function that is called like a column", type);
    if (failure_ && failure_->kind == unresolved::kind_type::unknown_column) {
        failure_.reset();
        return missing();
    }
    if (failed()) return;
    if (result_.references.size() > before) result_.references.back().called = true;
    has_type(node, type);
}

/// A row of FROM that is given to functions which all take rows of its relation there.
void resolver::note_row_taken(Node const* argument, std::size_t place, called_function const& called) {
    std::uint32_t relation = 0;
    for (auto const& it : called.candidates) {
        auto const* type = place < it.arguments.size() && !it.variadic ? source_.type(it.arguments[place]) : nullptr;
        if (type == nullptr || type->kind != 'c' || (relation != 0 && relation != type->relation)) return;
        relation = type->relation;
    }
    if (relation != 0) rows_taken_[argument] = relation;
}

/// A value whose fields' names can be seen from here on.
void resolver::note_row_value(std::uint32_t type, int location, unsigned depth) {
    constexpr unsigned most_rows_in_rows = 8;
    auto const* row = row_of(type);
    if (row == nullptr) row = row_of(element_of(type));
    auto const index = token_at(location);
    if (row == nullptr || index == none || failed()) return;
    if (depth > most_rows_in_rows) return not_understood("rows within rows, as deep as this,");
    put("row_value", static_cast<long>(row->id));
    reference made;
    made.kind = reference::kind_type::whole_row;
    made.parts = {{tokens_[index].begin, tokens_[index].end}};
    made.relation = row->id;
    made.name = text_.substr(tokens_[index].begin, tokens_[index].end - tokens_[index].begin);
    result_.references.push_back(std::move(made));
    for (auto const& column : row->columns) note_row_value(column.type, location, depth + 1);
}

} // namespace pgmend::sql
