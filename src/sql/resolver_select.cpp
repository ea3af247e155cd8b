// SELECT, VALUES, set operations and WITH: transformSelectStmt and its kin in analyze.c, parse_clause.c and parse_cte.c.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sql/nodes.hpp"

namespace pgmend::sql {

std::vector<resolver::output> resolver::select(SelectStmt* node, scope* parent, list_use use) {
    level const guard{*this};
    if (failed()) return {};
    if (node->intoClause != nullptr && node != into_) {
        not_understood("SELECT INTO");
        return {};
    }
    scope in;
    in.parent = parent;
    put("select", node->op);
    with(node->withClause, in);
    if (failed()) return {};
    if (node->op != SETOP_NONE) return set_operation(node, in, use);
    if (node->valuesLists != nullptr) return values(node, in);
    return plain_select(node, in, use);
}

std::vector<resolver::output> resolver::plain_select(SelectStmt* node, scope& in, list_use use) {
    from_list(node->fromClause, in);
    if (failed()) return {};
    put("targets");
    auto outputs = output_list(node->targetList, in, use);
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
    if (failed()) return {};
    put("having", node->havingClause != nullptr);
    expression(node->havingClause, in);
    order_by(node->sortClause, in, outputs);
    put("group", static_cast<long>(nodes{node->groupClause}.size()));
    put("distinct_groups", node->groupDistinct);
    for (Node* item : nodes{node->groupClause}) group_item(item, in, outputs);
    nodes const distinct{node->distinctClause};
    put("distinct", static_cast<long>(distinct.size()));
    for (Node* item : distinct) {
        if (item != nullptr) by_output(item, in, outputs, false);
    }
    put("limit", node->limitOption);
    put("bounds", (node->limitCount != nullptr ? 1 : 0) + (node->limitOffset != nullptr ? 2 : 0));
    expression(node->limitOffset, in);
    expression(node->limitCount, in);
    put("windows", static_cast<long>(nodes{node->windowClause}.size()));
    for (Node* definition : nodes{node->windowClause}) window(as<WindowDef>(definition), in);
    locking(node->lockingClause, in);
    finish_outputs(outputs, use);
    return outputs;
}

std::vector<resolver::output> resolver::set_operation(SelectStmt* node, scope& in, list_use use) {
    put("all", node->all);
    if (node->lockingClause != nullptr) {
        not_understood("locking of a set operation");
        return {};
    }
    auto const inner = use == list_use::nothing ? list_use::columns : use;
    bool const named = use == list_use::labels || !nodes{node->sortClause}.empty();
    auto outputs = select(node->larg, &in, named ? list_use::labels : inner);
    if (failed()) return {};
    put("and");
    auto const right = select(node->rarg, &in, list_use::columns);
    if (failed()) return {};
    if (right.size() != outputs.size()) {
        fail(unresolved::kind_type::ambiguous, "the arms of a set operation differ in their number of columns");
        return {};
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) { // not a relation's any more
        auto& column = outputs[i];
        if (column.value != nullptr) becomes(column.value, right[i].type);
        if (right[i].value != nullptr) becomes(right[i].value, column.type);
        bool const untyped = column.type == 0 && literals_.contains(column.value);
        if (untyped) column.type = right[i].type;
        if (column.type != right[i].type && !literals_.contains(right[i].value)) column.type = 0;
        column.relation = 0;
        column.column = 0;
        column.value = nullptr;
    }
    if (failed()) return {};
    put("sort", static_cast<long>(nodes{node->sortClause}.size()));
    for (Node* item : nodes{node->sortClause}) {
        auto* sort = as<SortBy>(item);
        put("direction", sort->sortby_dir);
        put("nulls", sort->sortby_nulls);
        put_names(sort->useOp);
        if (tag_of(sort->node) == T_A_Const) {
            expression(sort->node, in);
            continue;
        }
        bool const name = tag_of(sort->node) == T_ColumnRef && nodes{as<ColumnRef>(sort->node)->fields}.size() == 1 &&
                          tag_of(nodes{as<ColumnRef>(sort->node)->fields}[0]) == T_String;
        if (!name) {
            not_understood("ORDER BY of a set operation by something else than an output column");
            return {};
        }
        auto const wanted = text_of(nodes{as<ColumnRef>(sort->node)->fields}[0]);
        auto const found = std::find_if(outputs.begin(), outputs.end(), [&](output const& o) { return o.label == wanted; });
        if (found == outputs.end()) {
            fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\"", wanted));
            return {};
        }
        put("o", found - outputs.begin());
    }
    put("limit", node->limitOption);
    put("bounds", (node->limitCount != nullptr ? 1 : 0) + (node->limitOffset != nullptr ? 2 : 0));
    expression(node->limitOffset, in);
    expression(node->limitCount, in);
    return outputs;
}

std::vector<resolver::output> resolver::values(SelectStmt* node, scope& in) {
    nodes const rows{node->valuesLists};
    put("values", static_cast<long>(rows.size()));
    std::size_t width = 0;
    for (Node* row : rows) {
        nodes const fields{as<List>(row)};
        for (Node* field : fields) {
            if (tag_of(field) == T_ColumnRef && tag_of(nodes{as<ColumnRef>(field)->fields}.back()) == T_A_Star) {
                not_understood("a * inside VALUES");
                return {};
            }
        }
        width = fields.size();
        expressions(as<List>(row), in);
    }
    std::vector<output> outputs(width);
    for (std::size_t i = 0; i < width && !failed(); ++i) {
        outputs[i].label = fmt::format("column{}", i + 1);
        std::vector<Node*> column;
        for (Node* row : rows) {
            if (i < nodes{as<List>(row)}.size()) column.push_back(nodes{as<List>(row)}[i]);
        }
        outputs[i].type = common_type(column);
    }
    if (node->lockingClause != nullptr) not_understood("locking of VALUES");
    order_by(node->sortClause, in, outputs);
    put("limit", node->limitOption);
    put("bounds", (node->limitCount != nullptr ? 1 : 0) + (node->limitOffset != nullptr ? 2 : 0));
    expression(node->limitOffset, in);
    expression(node->limitCount, in);
    return outputs;
}

void resolver::with(WithClause* node, scope& in) {
    if (node == nullptr) return;
    nodes const tables{node->ctes};
    put("with", static_cast<long>(tables.size()));
    put("recursive", node->recursive);
    if (node->recursive) { // all names are known from the start
        for (Node* entry : tables) in.tables.push_back({as<CommonTableExpr>(entry)->ctename, next_serial_++, {}, false});
    }
    std::size_t index = 0;
    for (Node* entry : tables) {
        if (failed()) return;
        auto* it = as<CommonTableExpr>(entry);
        put("table", it->ctematerialized);
        put_text(it->ctename);
        nodes const names{it->aliascolnames};
        put("names", static_cast<long>(names.size()));
        for (Node* name : names) put_text(text_of(name));
        auto const rename = [&](std::vector<output>& columns) {
            if (names.size() > columns.size()) {
                return fail(unresolved::kind_type::ambiguous, fmt::format("\"{}\" has fewer columns than names", it->ctename));
            }
            for (std::size_t i = 0; i < names.size(); ++i) columns[i].label = text_of(names[i]);
        };
        std::vector<output> columns;
        auto* query_node = it->ctequery;
        bool const repeats = node->recursive && tag_of(query_node) == T_SelectStmt && as<SelectStmt>(query_node)->op == SETOP_UNION;
        if (repeats) {
            // The first arm is walked ahead, to know the columns that the second one may refer to; what that walk
            // noted is forgotten, since it comes again with the whole.
            auto const references = result_.references.size();
            auto const labels = result_.labels.size();
            auto const text_labels = result_.text_labels.size();
            auto const stars = result_.stars.size();
            auto const targets = result_.positional_targets.size();
            auto const merged = result_.merged.size();
            auto const types = result_.row_types.size();
            auto const form = canonical_.size();
            auto const serial = next_serial_;
            auto* arms = as<SelectStmt>(query_node);
            scope ahead;
            ahead.parent = &in;
            with(arms->withClause, ahead);
            auto first = failed() ? std::vector<output>{} : select(arms->larg, &ahead, list_use::labels);
            if (failed()) return;
            rename(first);
            for (auto& column : first) {
                column.relation = 0;
                column.column = 0;
            }
            result_.references.resize(references);
            result_.labels.resize(labels);
            result_.text_labels.resize(text_labels);
            result_.stars.resize(stars);
            result_.positional_targets.resize(targets);
            result_.merged.resize(merged);
            result_.row_types.resize(types);
            canonical_.resize(form);
            forget_literals(form);
            next_serial_ = serial;
            in.tables[index].columns = std::move(first);
            in.tables[index].ready = true;
        }
        columns = query(query_node, &in, list_use::labels);
        if (failed()) return;
        rename(columns);
        search_and_cycle(it, columns, in);
        if (failed()) return;
        if (node->recursive) {
            in.tables[index].columns = std::move(columns);
            in.tables[index].ready = true;
        } else {
            in.tables.push_back({it->ctename, next_serial_++, std::move(columns), true});
        }
        ++index;
    }
}

/// SEARCH and CYCLE: the columns that they name are the query's, and keep their labels; those that they add can be seen outside.
void resolver::search_and_cycle(CommonTableExpr const* node, std::vector<output>& columns, scope& in) {
    auto const added = [&](char const* name) {
        output made;
        made.label = name;
        columns.push_back(std::move(made));
        put_text(name);
    };
    auto const named = [&](List const* names) {
        put_names(names);
        for (Node* name : nodes{names}) {
            bool const known = std::any_of(columns.begin(), columns.end(), [&](output const& it) { return it.label == text_of(name); });
            if (!known) return fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\" of a SEARCH or CYCLE clause", text_of(name)));
        }
    };
    if (auto const* search = node->search_clause; search != nullptr) {
        put("search", search->search_breadth_first);
        named(search->search_col_list);
        added(search->search_seq_column);
    }
    if (auto* cycle = node->cycle_clause; cycle != nullptr && !failed()) {
        put("cycle");
        named(cycle->cycle_col_list);
        expression(cycle->cycle_mark_value, in);
        expression(cycle->cycle_mark_default, in);
        added(cycle->cycle_mark_column);
        added(cycle->cycle_path_column);
    }
}

std::vector<resolver::output> resolver::output_list(List const* list, scope& in, list_use use) {
    std::vector<output> outputs;
    for (Node* node : nodes{list}) {
        if (failed()) return {};
        auto* target = as<ResTarget>(node);
        if (tag_of(target->val) == T_ColumnRef && tag_of(nodes{as<ColumnRef>(target->val)->fields}.back()) == T_A_Star) {
            star_output(as<ColumnRef>(target->val), in, use, outputs);
            continue;
        }
        if (tag_of(target->val) == T_A_Indirection && tag_of(nodes{as<A_Indirection>(target->val)->indirection}.back()) == T_A_Star) {
            row_star(as<A_Indirection>(target->val), in, use, outputs);
            continue;
        }
        output made;
        auto const begin = canonical_.size();
        expression(target->val, in);
        if (failed()) return {};
        made.sense = canonical_.substr(begin);
        // Each output is marked as one, so that a `*` and the list of its columns look alike.
        if (auto const plain = plain_column_.find(target->val); plain != plain_column_.end()) {
            made.relation = plain->second.relation;
            made.column = plain->second.column;
            made.of_function = plain->second.of_function;
        }
        if (target->name != nullptr) {
            made.label = target->name;
        } else {
            auto figured = label_of(target->val);
            made.label = figured.text.empty() ? "?column?" : figured.text;
            made.label_reference = figured.reference;
        }
        made.end = output_end(target->location);
        made.value = target->val;
        made.type = type_of(target->val);
        if (in.parent == nullptr) understood_casts_.insert(target->val); // a column of the answer shows the label of today
        outputs.push_back(std::move(made));
    }
    return outputs;
}

/// `*` (ExpandAllTables) and `t.*` (ExpandSingleTable).
void resolver::star_output(ColumnRef* node, scope& in, list_use use, std::vector<output>& out) {
    nodes const fields{node->fields};
    star expansion;
    expansion.labels_matter = use == list_use::labels;
    if (fields.size() == 1) {
        auto const index = token_at(node->location);
        bool const written = index != none; // not in TABLE t
        if (written) expansion.text = {tokens_[index].begin, tokens_[index].begin + 1};
        if (in.items.empty()) return not_understood("a * without FROM");
        for (auto* item : in.items) {
            if (item->columns_visible) star_item(*item, use, expansion, out);
        }
        for (auto& column : expansion.columns) {
            if (!written) column.qualifier.clear(); // it cannot be written out
        }
    } else {
        for (std::size_t i = 0; i + 1 < fields.size(); ++i) {
            if (tag_of(fields[i]) != T_String) return not_understood("a name that is no plain name");
        }
        if (fields.size() > 3) return not_understood("database.schema.relation.*");
        auto parts = path(node->location, fields.size() - 1);
        if (failed()) return;
        auto const name = text_of(fields[fields.size() - 2]);
        auto* item = find_item(in, fields.size() == 3 ? text_of(fields[0]) : std::string_view{}, name);
        if (failed()) return;
        if (item == nullptr) return fail(unresolved::kind_type::unknown_relation, fmt::format("no FROM item \"{}\"", name));
        auto const last = token_at(static_cast<int>(parts.back().begin));
        if (!is(last + 1, ".") || last + 2 >= tokens_.size() || text_[tokens_[last + 2].begin] != '*') {
            return not_understood("the way a * is written");
        }
        expansion.text = {parts.front().begin, tokens_[last + 2].begin + 1};
        if (fields.size() == 3) { // its schema has to be kept true
            reference made;
            made.kind = reference::kind_type::local;
            made.parts = std::move(parts);
            made.item = item->serial;
            made.name = "*";
            result_.references.push_back(std::move(made));
        }
        star_item(*item, use, expansion, out);
    }
    if (!failed()) result_.stars.push_back(std::move(expansion));
}

/// `(u).*`, where u is a FROM item: `u.*`. Of other rows it is not known which columns they have.
void resolver::row_star(A_Indirection* node, scope& in, list_use use, std::vector<output>& out) {
    bool const name = nodes{node->indirection}.size() == 1 && tag_of(node->arg) == T_ColumnRef &&
                      nodes{as<ColumnRef>(reinterpret_cast<void*>(node->arg))->fields}.size() == 1;
    if (!name) return not_understood("(row).* of a row that is no table's");
    auto* written = as<ColumnRef>(reinterpret_cast<void*>(node->arg));
    auto const text = tag_of(nodes{written->fields}[0]) == T_String ? text_of(nodes{written->fields}[0]) : std::string_view{};
    auto const* column = find_unqualified(in, text, false);
    if (failed()) return;
    auto* item = find_item(in, "", text);
    if (failed()) return;
    if (column != nullptr) return not_understood("(column).* of a composite column");
    if (item == nullptr) return fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\"", text));
    auto first = token_at(written->location);
    if (first == none) return not_understood("the way a * is written");
    auto last = first + 1;
    while (first > 0 && is(first - 1, "(") && is(last, ")")) {
        --first;
        ++last;
    }
    if (!is(last, ".") || last + 1 >= tokens_.size() || text_[tokens_[last + 1].begin] != '*') return not_understood("the way a * is written");
    star expansion;
    expansion.labels_matter = use == list_use::labels;
    expansion.text = {tokens_[first].begin, tokens_[last + 1].begin + 1};
    star_item(*item, use, expansion, out);
    if (!failed()) result_.stars.push_back(std::move(expansion));
}

void resolver::star_item(from_item& item, list_use use, star& expansion, std::vector<output>& out) {
    if (use == list_use::nothing) return put("*", static_cast<long>(item.serial)); // EXISTS does not look at it
    if (!item.columns_known) return not_understood(fmt::format("a * over the function \"{}\"", item.name));
    expansion.certain = expansion.certain && item.columns_certain;
    for (auto const& entry : item.columns) {
        if (entry.several_meanings) expansion.certain = false;
        output made;
        made.label = entry.name;
        auto const begin = canonical_.size();
        put("x", T_ColumnRef);
        put_text(entry.sense);
        made.sense = canonical_.substr(begin);
        made.relation = entry.relation;
        made.column = entry.number;
        made.type = entry.type;
        made.of_function = entry.of_function;
        if (entry.catalog_name) expansion.relations.push_back(entry.relation);
        bool const plain = entry.qualifier.empty();
        expansion.columns.push_back({plain ? std::string{} : entry.qualifier, entry.name, entry.catalog_name ? entry.relation : 0,
                                     entry.number, entry.of_function});
        out.push_back(std::move(made));
    }
}

/// Notes which labels have to stay as they are, and writes them to the canonical form.
void resolver::finish_outputs(std::vector<output>& outputs, list_use use) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        auto& it = outputs[i];
        bool const outside = use == list_use::labels;
        it.label_needed = it.label_needed || outside;
        if (!it.label_needed) continue;
        if (outside) {
            put("label", static_cast<long>(i));
            put_text(it.label);
        }
        if (it.label_reference != none) result_.labels.push_back({it.label_reference, it.end, it.label});
    }
}

/// findTargetlistEntrySQL92: a bare name may be an output column; in GROUP BY only if it is no column of FROM.
void resolver::by_output(Node* node, scope& in, std::vector<output>& outputs, bool group) {
    if (failed()) return;
    if (tag_of(node) == T_A_Const && !as<A_Const>(node)->isnull && tag_of(&as<A_Const>(node)->val.node) == T_Integer) {
        auto const place = static_cast<long>(as<A_Const>(node)->val.ival.ival);
        auto const index = token_at(as<A_Const>(node)->location);
        if (place >= 1 && place <= static_cast<long>(outputs.size()) && index != none) {
            put("o", place - 1);
            reference made; // as many as if the column were named
            made.kind = reference::kind_type::local;
            made.parts = {{tokens_[index].begin, tokens_[index].end}};
            result_.references.push_back(std::move(made));
            return;
        }
    }
    bool const bare = tag_of(node) == T_ColumnRef && nodes{as<ColumnRef>(node)->fields}.size() == 1 &&
                      tag_of(nodes{as<ColumnRef>(node)->fields}[0]) == T_String;
    if (!bare) return expression(node, in);
    auto const name = text_of(nodes{as<ColumnRef>(node)->fields}[0]);
    auto match = outputs.size();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i].label != name) continue;
        if (match < outputs.size() && outputs[match].sense != outputs[i].sense) {
            if (group && !careful_ && find_unqualified(in, name, true) != nullptr) break; // not looked at
            return fail(unresolved::kind_type::ambiguous, fmt::format("\"{}\" is ambiguous among the output columns", name));
        }
        if (match == outputs.size()) match = i;
    }
    if (group) {
        auto const* column = find_unqualified(in, name, true);
        if (failed()) return;
        if (column != nullptr && careful_ && match < outputs.size() && outputs[match].label_reference == none) {
            return fail(unresolved::kind_type::ambiguous, fmt::format("\"{}\" may be an output column or a column of FROM", name));
        }
        if (column != nullptr) return expression(node, in);
    }
    if (match == outputs.size()) return expression(node, in);
    outputs[match].label_needed = true;
    put("o", static_cast<long>(match));
    reference made; // so that another version may be found to mean a column
    made.kind = reference::kind_type::local;
    made.parts = path(as<ColumnRef>(node)->location, 1);
    made.name = name;
    if (group) made.output = match + 1;
    result_.references.push_back(std::move(made));
}

void resolver::group_item(Node* node, scope& in, std::vector<output>& outputs) {
    level const guard{*this};
    if (failed()) return;
    if (tag_of(node) == T_GroupingSet) {
        auto* it = as<GroupingSet>(node);
        put("set", it->kind);
        put("of", static_cast<long>(nodes{it->content}.size()));
        for (Node* item : nodes{it->content}) group_item(item, in, outputs);
        return;
    }
    if (tag_of(node) == T_RowExpr && as<RowExpr>(node)->row_format == COERCE_IMPLICIT_CAST) {
        put("row", static_cast<long>(nodes{as<RowExpr>(node)->args}.size()));
        for (Node* item : nodes{as<RowExpr>(node)->args}) group_item(item, in, outputs);
        return;
    }
    by_output(node, in, outputs, true);
}

void resolver::order_by(List const* list, scope& in, std::vector<output>& outputs) {
    put("sort", static_cast<long>(nodes{list}.size()));
    for (Node* node : nodes{list}) {
        auto* it = as<SortBy>(node);
        put("direction", it->sortby_dir);
        put("nulls", it->sortby_nulls);
        put_names(it->useOp);
        by_output(it->node, in, outputs, false);
    }
}

void resolver::locking(List const* list, scope& in) {
    put("locks", static_cast<long>(nodes{list}.size()));
    for (Node* node : nodes{list}) {
        if (failed()) return;
        auto* it = as<LockingClause>(node);
        put("strength", it->strength);
        put("wait", it->waitPolicy);
        put("of", static_cast<long>(nodes{it->lockedRels}.size()));
        for (Node* named : nodes{it->lockedRels}) {
            auto const* name = as<RangeVar>(named);
            if (name->schemaname != nullptr || name->catalogname != nullptr) return not_understood("a qualified name in FOR UPDATE OF");
            auto const* item = find_item(in, "", name->relname);
            if (failed()) return;
            if (item == nullptr) return fail(unresolved::kind_type::unknown_relation, fmt::format("no FROM item \"{}\"", name->relname));
            put("", static_cast<long>(item->serial));
        }
    }
}

/// Where the output that begins at `location` ends. Only asked for outputs that are called like a column: their
/// expressions have no key word of the following clauses outside of brackets and CASE … END.
std::uint32_t resolver::output_end(int location) const {
    static constexpr std::string_view enders[] = {"from",  "into",   "where", "group", "having", "window", "union",  "intersect",
                                                  "except", "order", "limit", "offset", "fetch", "for"};
    auto index = token_at(location);
    if (index == none) return 0;
    int depth = 0;
    std::uint32_t end = tokens_[index].end;
    for (; index < tokens_.size(); ++index) {
        if (index > 0 && is(index - 1, ".")) { // a name, whatever word it is
        } else if (is(index, "(") || is(index, "[") || is(index, "case")) {
            ++depth;
        } else if (depth > 0 && (is(index, ")") || is(index, "]") || is(index, "end"))) {
            --depth;
        } else if (depth == 0) {
            if (is(index, ",") || is(index, ")") || is(index, ";")) break;
            bool const within_group = is(index, "group") && index > 0 && is(index - 1, "within");
            if (!within_group && std::any_of(std::begin(enders), std::end(enders), [&](std::string_view word) { return is(index, word); })) break;
        }
        end = tokens_[index].end;
    }
    return end;
}

} // namespace pgmend::sql
