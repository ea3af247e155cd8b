// The FROM clause: transformFromClause of parse_clause.c.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "sql/nodes.hpp"

namespace pgmend::sql {
namespace {

/// Columns of functions of pg_catalog that are often called in FROM. A scalar one has a single column, which is
/// named like the alias or else like the function.
struct known_function {
    std::string_view name;
    std::array<std::string_view, 2> columns;
};

constexpr known_function known_functions[] = {
    {"generate_series", {}},       {"generate_subscripts", {}},          {"regexp_split_to_table", {}},
    {"current_date", {}},          {"jsonb_path_query_first", {}},       {"string_to_array", {}},
    {"to_jsonb", {}},              {"to_json", {}},                      {"jsonb_build_object", {}},
    {"json_build_object", {}},     {"jsonb_extract_path", {}},           {"jsonb_extract_path_text", {}},
    {"lower", {}},                 {"upper", {}},                        {"concat", {}},
    {"length", {}},                {"round", {}},                        {"date_trunc", {}},
    {"random", {}},                {"gen_random_uuid", {}},              {"pg_sleep", {}},
    {"string_to_table", {}},       {"json_object_keys", {}},             {"jsonb_object_keys", {}},
    {"jsonb_path_query", {}},      {"regexp_matches", {}},               {"now", {}},
    {"json_array_elements", {"value"}},      {"jsonb_array_elements", {"value"}},
    {"json_array_elements_text", {"value"}}, {"jsonb_array_elements_text", {"value"}},
    {"json_each", {"key", "value"}},         {"jsonb_each", {"key", "value"}},
    {"json_each_text", {"key", "value"}},    {"jsonb_each_text", {"key", "value"}},
};

/// unnest() of arrays that surely have no composite elements: casts to arrays of these.
constexpr std::string_view scalar_types[] = {"int2", "int4",    "int8",   "text", "varchar", "bpchar",    "bool",        "numeric", "float4",
                                             "float8", "uuid", "date", "time", "timestamp", "timestamptz", "interval", "json",
                                             "jsonb", "bytea", "inet", "name", "oid"};

bool unnests_scalars(FuncCall const* call) {
    for (Node* argument : nodes{call->args}) {
        if (tag_of(argument) != T_TypeCast) return false;
        auto const* type = as<TypeCast>(argument)->typeName;
        if (nodes{type->arrayBounds}.empty()) return false;
        nodes const names{type->names};
        if (names.size() > 2 || (names.size() == 2 && text_of(names[0]) != "pg_catalog")) return false;
        auto const name = text_of(names.back());
        if (std::find(std::begin(scalar_types), std::end(scalar_types), name) == std::end(scalar_types)) return false;
    }
    return true;
}

} // namespace

void resolver::from_list(List const* items, scope& in) {
    auto const first = in.items.size();
    put("from", static_cast<long>(nodes{items}.size()));
    for (Node* node : nodes{items}) {
        if (failed()) return;
        from_item* whole = nullptr;
        auto made = from_entry(node, in, whole);
        if (failed()) return;
        check_conflicts(in.items, made);
        for (auto* item : made) {
            item->lateral_only = true;
            item->lateral_ok = true;
            in.items.push_back(item);
        }
    }
    for (auto i = first; i < in.items.size(); ++i) {
        in.items[i]->lateral_only = false;
        in.items[i]->lateral_ok = true;
    }
}

/// unnest() of arrays whose types are known: a column of this name, or those of the elements, where they are rows.
bool resolver::unnested_columns(FuncCall const* call, std::string_view name, std::vector<column_entry>& columns, from_item& item) {
    bool const scalars = unnests_scalars(call);
    for (Node* argument : nodes{call->args}) {
        auto const id = element_of(type_of(argument));
        auto const* element = source_.type(id);
        for (int steps = 0; steps < 8 && element != nullptr && element->kind == 'd'; ++steps) element = source_.type(element->base);
        bool const simple = scalars || (element != nullptr && (element->kind == 'b' || element->kind == 'e'));
        auto const* row = simple ? nullptr : row_of(id);
        if (row != nullptr) {
            add_row(*row, columns, item);
        } else if (simple) {
            columns.emplace_back().name = name;
        } else {
            return false;
        }
    }
    return true;
}

/// Returns the items that become visible; `whole` is the one that has all columns of this entry.
std::vector<resolver::from_item*> resolver::from_entry(Node* node, scope& in, from_item*& whole) {
    level const guard{*this};
    if (failed()) return {};
    switch (tag_of(node)) {
    case T_RangeVar: return from_relation(as<RangeVar>(node), in, whole);
    case T_RangeSubselect: return from_subquery(as<RangeSubselect>(node), in, whole);
    case T_RangeFunction: return from_function(as<RangeFunction>(node), in, whole);
    case T_JoinExpr: return from_join(as<JoinExpr>(node), in, whole);
    case T_RangeTableSample: {
        auto* sample = as<RangeTableSample>(node);
        auto made = from_entry(sample->relation, in, whole);
        put("sample");
        put_names(sample->method);
        expressions(sample->args, in);
        put("repeatable", sample->repeatable != nullptr);
        expression(sample->repeatable, in);
        return made;
    }
    case T_RangeTableFunc: return from_xml(as<RangeTableFunc>(node), in, whole);
    default: not_understood("an entry of this kind in FROM"); return {};
    }
}

std::vector<resolver::from_item*> resolver::from_relation(RangeVar const* name, scope& in, from_item*& whole) {
    auto const* alias = name->alias;
    auto const* table = name->schemaname == nullptr ? find_table(in, name->relname) : nullptr;
    if (table != nullptr) {
        if (!table->ready) {
            not_understood(fmt::format("the reference to \"{}\" ahead of its definition", table->name));
            return {};
        }
        auto& item = add_item(alias != nullptr ? alias->aliasname : name->relname);
        item.aliased = alias != nullptr;
        put("with", static_cast<long>(table->serial));
        put_text(item.name);
        for (std::size_t i = 0; i < table->columns.size(); ++i) {
            auto const& column = table->columns[i];
            column_entry entry;
            entry.name = column.label;
            entry.sense = fmt::format("l{}.{}", item.serial, i);
            entry.relation = column.relation;
            entry.number = column.column;
            entry.type = column.type;
            entry.of_function = column.of_function;
            entry.item = item.serial;
            entry.qualifier = item.name;
            item.columns.push_back(std::move(entry));
        }
        if (alias != nullptr) apply_column_aliases(item, alias->colnames);
        whole = &item;
        return {&item};
    }
    put(name->inh ? "relation" : "only");
    auto const* relation = look_up(name);
    if (failed()) return {};
    auto& item = add_item(alias != nullptr ? alias->aliasname : name->relname);
    item.aliased = alias != nullptr;
    set_columns(item, *relation);
    put("", static_cast<long>(relation->id));
    auto const first = token_at(name->location);
    bool const table_command = first != none && first > 0 && is(first - 1, "table"); // takes no alias, and nothing uses the name
    if (!table_command) put_text(item.name);
    if (alias != nullptr) apply_column_aliases(item, alias->colnames);
    note_relation(name, item, !table_command);
    if (failed()) return {};
    auto& noted = result_.references.back();
    auto const columns = alias != nullptr ? nodes{alias->colnames}.size() : 0;
    noted.replaceable = name->inh && columns == 0 && (noted.aliased || noted.alias_at == noted.parts.back().end) && !is_starred(noted.parts.back());
    whole = &item;
    return {&item};
}

/// `(SELECT a AS x, … FROM t) AS u`, where u is t with other names for (some of) its columns: the relation then.
offered_relation const* resolver::only_renamed(RangeSubselect const* node, scope& in) {
    if (node->lateral || tag_of(node->subquery) != T_SelectStmt || !nodes{node->alias->colnames}.empty()) return nullptr;
    auto const* query = as<SelectStmt>(node->subquery);
    bool const plain = query->op == SETOP_NONE && query->valuesLists == nullptr && query->withClause == nullptr &&
                       query->distinctClause == nullptr && query->intoClause == nullptr && query->whereClause == nullptr &&
                       query->groupClause == nullptr && query->havingClause == nullptr && query->windowClause == nullptr &&
                       query->sortClause == nullptr && query->limitOffset == nullptr && query->limitCount == nullptr &&
                       query->lockingClause == nullptr && nodes{query->fromClause}.size() == 1 && !nodes{query->targetList}.empty();
    if (!plain || tag_of(nodes{query->fromClause}[0]) != T_RangeVar) return nullptr;
    auto const* name = as<RangeVar>(nodes{query->fromClause}[0]);
    if (!name->inh || name->alias != nullptr || (name->schemaname == nullptr && find_table(in, name->relname) != nullptr)) return nullptr;
    std::vector<std::string_view> columns;
    for (Node* it : nodes{query->targetList}) {
        auto const* column = as<ResTarget>(it);
        if (column->name == nullptr || tag_of(column->val) != T_ColumnRef) return nullptr;
        nodes const fields{as<ColumnRef>(column->val)->fields};
        if (fields.size() != 1 || tag_of(fields[0]) != T_String) return nullptr;
        columns.push_back(text_of(fields[0]));
    }
    auto const* relation = look_up(name->schemaname != nullptr ? name->schemaname : "", name->relname, true);
    if (relation == nullptr || relation->kind == 'S') return nullptr;
    for (auto const wanted : columns) {
        auto const found = std::find_if(relation->columns.begin(), relation->columns.end(),
                                        [&](offered_column const& offered) { return offered.name == wanted; });
        if (found == relation->columns.end() || found->several_meanings) return nullptr;
    }
    return relation;
}

resolver::from_item& resolver::renamed_relation(SelectStmt const* query, offered_relation const& relation, std::string name, scope& in) {
    put("relation");
    auto& item = add_item(std::move(name));
    item.aliased = true;
    set_columns(item, relation);
    put("", static_cast<long>(relation.id));
    put_text(item.name);
    note_relation(as<RangeVar>(nodes{query->fromClause}[0]), item, false);
    result_.references.back().item = 0; // nothing outside is written with its name
    scope inner;
    inner.parent = &in;
    inner.items = {&item};
    std::vector<column_entry> columns;
    for (Node* it : nodes{query->targetList}) {
        auto const* column = as<ResTarget>(it);
        auto const* written = as<ColumnRef>(column->val);
        auto const* entry = find_unqualified(inner, text_of(nodes{written->fields}[0]), false);
        if (failed() || entry == nullptr) return item;
        note_column(*entry, path(written->location, 1), entry->name, false);
        columns.push_back(*entry);
        columns.back().name = column->name;
        columns.back().catalog_name = false;
    }
    item.columns = std::move(columns);
    item.columns_certain = true;
    item.relation = 0;
    item.kind = 0;
    item.subquery = true;
    item.offered = nullptr;
    return item;
}

std::vector<resolver::from_item*> resolver::from_subquery(RangeSubselect* node, scope& in, from_item*& whole) {
    if (node->alias == nullptr) {
        not_understood("a subquery in FROM without an alias");
        return {};
    }
    if (auto const* relation = only_renamed(node, in); relation != nullptr && !failed()) {
        whole = &renamed_relation(as<SelectStmt>(node->subquery), *relation, node->alias->aliasname, in);
        if (failed()) return {};
        return {whole};
    }
    if (failed()) return {};
    put("subquery", node->lateral);
    auto const before = std::exchange(in.lateral_active, node->lateral);
    auto const outputs = query(node->subquery, &in, list_use::labels);
    in.lateral_active = before;
    if (failed()) return {};
    auto& item = add_item(node->alias->aliasname);
    item.aliased = true;
    put_text(item.name);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        column_entry entry;
        entry.name = outputs[i].label;
        entry.sense = fmt::format("l{}.{}", item.serial, i);
        entry.relation = outputs[i].relation;
        entry.number = outputs[i].column;
        entry.type = outputs[i].type;
        entry.of_function = outputs[i].of_function;
        entry.item = item.serial;
        entry.qualifier = item.name;
        item.columns.push_back(std::move(entry));
    }
    apply_column_aliases(item, node->alias->colnames);
    whole = &item;
    return {&item};
}

std::vector<resolver::from_item*> resolver::from_function(RangeFunction* node, scope& in, from_item*& whole) {
    put("functions", static_cast<long>(nodes{node->functions}.size()));
    put("lateral", node->lateral);
    put("ordinality", node->ordinality);
    put("rows_from", node->is_rowsfrom);
    bool const single = nodes{node->functions}.size() == 1;
    bool several = false; // arrays, side by side
    auto const* alias = node->alias;
    std::vector<column_entry> columns;
    bool known = true;
    bool of_user_only = false;
    from_item rows; // what is found out about it
    std::string name = alias != nullptr ? alias->aliasname : "";
    std::size_t part = 0, from = 0;
    auto const add = [&](std::string_view column) { columns.emplace_back().name = column; };
    // Each function's columns are counted by themselves, so that those of the next one mean the same where it got more.
    auto const count = [&] {
        for (auto i = from; i < columns.size(); ++i) {
            auto& entry = columns[i];
            entry.sense = entry.relation != 0 ? fmt::format("{}.{}.{}", part, entry.relation, entry.number) : fmt::format("{}.{}", part, i - from);
        }
        from = columns.size();
        ++part;
    };
    // References of the arguments to items on the left are always allowed.
    auto const before = std::exchange(in.lateral_active, true);
    for (Node* entry : nodes{node->functions}) {
        nodes const pair{as<List>(entry)};
        expression(pair[0], in);
        if (failed()) return {};
        auto const* definitions = pair.size() > 1 ? as<List>(pair[1]) : nullptr;
        if (definitions == nullptr) definitions = node->coldeflist;
        std::string_view function;
        bool const call = tag_of(pair[0]) == T_FuncCall;
        if (call) function = text_of(nodes{as<FuncCall>(pair[0])->funcname}.back());
        if (name.empty()) name = call ? std::string{function} : std::string{label_of(pair[0]).text};
        if (definitions != nullptr) {
            put("definitions", static_cast<long>(nodes{definitions}.size()));
            for (Node* definition : nodes{definitions}) {
                auto* column = as<ColumnDef>(definition);
                add(column->colname);
                put_text(column->colname);
                type_name(column->typeName);
            }
            count();
            continue;
        }
        bool found = false;
        auto const called = called_.find(pair[0]);
        bool const of_user = called != called_.end() && !called->second.candidates.empty();
        std::string_view const scalar = single && alias != nullptr ? std::string_view{alias->aliasname} : function;
        if (of_user) {
            if (auto const noted = reference_of_.find(pair[0]); noted != reference_of_.end() && alias == nullptr && !node->is_rowsfrom) {
                auto& call_reference = result_.references[noted->second];
                call_reference.alias_at = after_call(as<FuncCall>(pair[0]), node->ordinality);
                call_reference.takes_alias = call_reference.alias_at != 0;
            }
            known = function_columns(called->second, scalar, columns, rows) && known;
            of_user_only = true;
            count();
            continue;
        }
        for (auto const& candidate : known_functions) {
            if (!call || candidate.name != function) continue;
            found = true;
            if (candidate.columns[0].empty()) add(scalar);
            for (auto const column : candidate.columns) {
                if (!column.empty()) add(column);
            }
        }
        if (!found && call && function == "unnest") {
            auto const width = nodes{as<FuncCall>(pair[0])->args}.size();
            several = several || width > 1;
            found = unnested_columns(as<FuncCall>(pair[0]), width == 1 ? scalar : function, columns, rows);
        }
        known = known && found;
        count();
    }
    in.lateral_active = before;
    if (!known) columns.clear();
    if (known && node->ordinality) {
        add("ordinality");
        count();
    }
    auto& item = add_item(std::move(name));
    item.aliased = alias != nullptr;
    item.columns_known = known;
    item.columns_certain = rows.columns_certain;
    bool const alone = single && !several && !node->ordinality;
    item.row_of = alone && known ? rows.row_of : 0;
    item.row_known = known ? alone || rows.row_of == 0 : !of_user_only;
    put_text(item.name);
    for (auto& entry : columns) {
        entry.sense = fmt::format("l{}.{}", item.serial, entry.sense);
        entry.item = item.serial;
        entry.qualifier = item.name;
        item.columns.push_back(std::move(entry));
    }
    if (alias != nullptr) apply_column_aliases(item, alias->colnames);
    whole = &item;
    return {&item};
}

/// `t *`: with its children, as always.
bool resolver::is_starred(span const& name) const {
    auto const index = token_at(static_cast<int>(name.begin));
    return index != none && is(index + 1, "*");
}

/// Where an alias of a function in FROM may stand; 0: not found.
std::uint32_t resolver::after_call(FuncCall const* call, bool ordinality) const {
    auto index = token_at(call->location);
    if (index == none) return 0;
    while (is(index + 1, ".")) index += 2;
    if (!is(index + 1, "(")) return 0;
    std::size_t depth = 0;
    for (++index; index < tokens_.size(); ++index) {
        if (is(index, "(")) ++depth;
        if (is(index, ")") && --depth == 0) break;
    }
    if (ordinality) index += 2;
    if (ordinality && !is(index, "ordinality")) return 0;
    return index < tokens_.size() ? tokens_[index].end : 0;
}

std::vector<resolver::from_item*> resolver::from_join(JoinExpr* node, scope& in, from_item*& whole) {
    put("join", node->jointype);
    put("natural", node->isNatural);
    from_item* left = nullptr;
    from_item* right = nullptr;
    auto visible = from_entry(node->larg, in, left);
    if (failed()) return {};

    auto const before = in.items.size(); // the left side is visible to LATERAL on the right
    for (auto* item : visible) {
        item->lateral_only = true;
        item->lateral_ok = node->jointype == JOIN_INNER || node->jointype == JOIN_LEFT;
        in.items.push_back(item);
    }
    auto added = from_entry(node->rarg, in, right);
    in.items.resize(before);
    if (failed()) return {};
    check_conflicts(visible, added);
    visible.insert(visible.end(), added.begin(), added.end());

    auto& joined = add_item(node->alias != nullptr ? node->alias->aliasname : "");
    joined.relation_visible = node->alias != nullptr;
    joined.aliased = true;
    joined.columns_known = left->columns_known && right->columns_known;
    joined.columns_certain = left->columns_certain && right->columns_certain;
    auto const merged = join_columns(node, *left, *right, joined);
    if (failed()) return {};
    from_item* common = nullptr; // JOIN … USING (…) AS common: only what is merged, only with its name in front
    if (node->join_using_alias != nullptr) {
        common = &add_item(node->join_using_alias->aliasname);
        common->aliased = true;
        common->columns.assign(joined.columns.begin(), joined.columns.begin() + static_cast<std::ptrdiff_t>(merged));
        for (auto& entry : common->columns) {
            entry.qualifier = common->name;
            entry.item = common->serial;
        }
        put("using_as");
        put_text(common->name);
        check_conflicts(visible, {common});
        if (failed()) return {};
    }
    if (node->quals != nullptr) { // ON sees the two sides only, and what is outside
        auto const outside = std::exchange(in.items, visible);
        for (auto* item : visible) {
            item->lateral_only = false;
            item->lateral_ok = true;
        }
        put("on");
        expression(node->quals, in);
        in.items = outside;
    }
    if (node->alias != nullptr) {
        put("as");
        put_text(node->alias->aliasname);
        for (auto& entry : joined.columns) {
            entry.qualifier = joined.name;
        }
        apply_column_aliases(joined, node->alias->colnames);
        visible.clear(); // hidden by the alias
    }
    if (common != nullptr) visible.push_back(common);
    for (auto* item : visible) item->columns_visible = false;
    visible.push_back(&joined);
    whole = &joined;
    return visible;
}

/// XMLTABLE.
std::vector<resolver::from_item*> resolver::from_xml(RangeTableFunc* node, scope& in, from_item*& whole) {
    put("xmltable", node->lateral);
    auto const before = std::exchange(in.lateral_active, true);
    expression(node->docexpr, in);
    expression(node->rowexpr, in);
    put("namespaces", static_cast<long>(nodes{node->namespaces}.size()));
    for (Node* entry : nodes{node->namespaces}) {
        if (failed()) return {};
        auto* it = as<ResTarget>(entry);
        put_text(it->name != nullptr ? it->name : "");
        expression(it->val, in);
    }
    auto& item = add_item(node->alias != nullptr ? node->alias->aliasname : "xmltable");
    item.aliased = true;
    put_text(item.name);
    put("columns", static_cast<long>(nodes{node->columns}.size()));
    for (Node* entry : nodes{node->columns}) {
        if (failed()) return {};
        auto* it = as<RangeTableFuncCol>(entry);
        column_entry column;
        column.name = it->colname;
        column.sense = fmt::format("l{}.{}", item.serial, item.columns.size());
        column.item = item.serial;
        column.qualifier = item.name;
        put_text(column.name);
        put("kind", (it->for_ordinality ? 1 : 0) + (it->is_not_null ? 2 : 0));
        column.type = type_name(it->typeName);
        put("parts", (it->colexpr != nullptr ? 1 : 0) + (it->coldefexpr != nullptr ? 2 : 0));
        expression(it->colexpr, in);
        expression(it->coldefexpr, in);
        item.columns.push_back(std::move(column));
    }
    in.lateral_active = before;
    if (!failed() && node->alias != nullptr) apply_column_aliases(item, node->alias->colnames);
    whole = &item;
    return {&item};
}

/// Returns how many columns are merged; they come first.
std::size_t resolver::join_columns(JoinExpr* node, from_item& left, from_item& right, from_item& joined) {
    std::vector<std::string> names;
    for (Node* name : nodes{node->usingClause}) names.emplace_back(text_of(name));
    if (node->isNatural) {
        if (!joined.columns_known || !joined.columns_certain) {
            not_understood("a NATURAL join with columns that are not known");
            return 0;
        }
        for (auto const& entry : left.columns) {
            bool const common = std::any_of(right.columns.begin(), right.columns.end(),
                                            [&](column_entry const& other) { return other.name == entry.name; });
            if (common) names.push_back(entry.name);
        }
    }
    if (!names.empty() && !joined.columns_known) {
        not_understood("USING with columns that are not known");
        return 0;
    }
    std::vector<column_entry> merged;
    std::vector<column_entry const*> used;
    for (auto const& name : names) {
        auto const find = [&](from_item& side) -> column_entry const* {
            column_entry const* found = nullptr;
            for (auto const& entry : side.columns) {
                if (entry.name != name) continue;
                if (found != nullptr || entry.several_meanings) {
                    fail(unresolved::kind_type::ambiguous, fmt::format("the common column \"{}\" is ambiguous", name));
                    return nullptr;
                }
                found = &entry;
            }
            if (found == nullptr) fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\" of a USING clause", name));
            return found;
        };
        auto const* a = find(left);
        auto const* b = failed() ? nullptr : find(right);
        if (failed()) return 0;
        put("using");
        put_text(a->sense);
        put_text(b->sense);
        result_.merged.push_back({name, a->catalog_name ? a->relation : 0, b->catalog_name ? b->relation : 0, a->number, b->number,
                                  a->item, b->item});
        column_entry entry;
        entry.name = name;
        entry.sense = fmt::format("m{}({},{})", static_cast<int>(node->jointype), a->sense, b->sense);
        entry.item = joined.serial;
        entry.type = a->type == b->type ? a->type : 0;
        merged.push_back(std::move(entry));
        used.push_back(a);
        used.push_back(b);
    }
    for (auto* side : {&left, &right}) {
        for (auto const& entry : side->columns) {
            if (std::find(used.begin(), used.end(), &entry) == used.end()) merged.push_back(entry);
        }
    }
    joined.columns = std::move(merged);
    return names.size();
}

} // namespace pgmend::sql
