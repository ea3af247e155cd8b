// INSERT, UPDATE, DELETE, MERGE, COPY and the statements around a query: analyze.c, parse_merge.c, copy.c.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sql/nodes.hpp"

namespace pgmend::sql {
namespace {

enum class copy_header : unsigned char { none, line, match };

/// defGetCopyHeaderChoice() of copy.c.
copy_header header_of(DefElem const* option) {
    if (option->arg == nullptr || tag_of(option->arg) == T_Boolean) return option->arg == nullptr || as<Boolean>(option->arg)->boolval ? copy_header::line : copy_header::none;
    if (tag_of(option->arg) == T_Integer) return as<Integer>(option->arg)->ival != 0 ? copy_header::line : copy_header::none;
    if (tag_of(option->arg) != T_String) return copy_header::match;
    std::string word{text_of(option->arg)};
    for (auto& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    if (word == "false" || word == "off") return copy_header::none;
    return word == "true" || word == "on" ? copy_header::line : copy_header::match;
}

} // namespace

resolve_outcome resolver::run(Node* statement) {
    bool rows = false;
    std::vector<output> outputs;
    switch (tag_of(statement)) {
    case T_SelectStmt:
        if (auto const* it = as<SelectStmt>(statement); it->intoClause != nullptr) {
            into_ = it;
            created(it->intoClause);
        }
        rows = into_ == nullptr;
        outputs = query(statement, nullptr, list_use::labels);
        break;
    case T_InsertStmt:
        rows = as<InsertStmt>(statement)->returningList != nullptr;
        outputs = query(statement, nullptr, list_use::labels);
        break;
    case T_UpdateStmt:
        rows = as<UpdateStmt>(statement)->returningList != nullptr;
        outputs = query(statement, nullptr, list_use::labels);
        break;
    case T_DeleteStmt:
        rows = as<DeleteStmt>(statement)->returningList != nullptr;
        outputs = query(statement, nullptr, list_use::labels);
        break;
    case T_MergeStmt: merge(as<MergeStmt>(statement), nullptr); break;
    case T_CopyStmt: copy(as<CopyStmt>(statement)); break;
    case T_CallStmt: rows = call(as<CallStmt>(statement), outputs); break;
    case T_DeclareCursorStmt:
        put("cursor", as<DeclareCursorStmt>(statement)->options);
        put_text(as<DeclareCursorStmt>(statement)->portalname);
        query(as<DeclareCursorStmt>(statement)->query, nullptr, list_use::labels);
        break;
    case T_ExplainStmt: {
        auto* query_node = as<ExplainStmt>(statement)->query;
        put("explain");
        if (tag_of(query_node) == T_MergeStmt) {
            merge(as<MergeStmt>(query_node), nullptr);
        } else {
            query(query_node, nullptr, list_use::labels);
        }
        rows = true;
        output plan;
        plan.label = "QUERY PLAN";
        outputs.assign(1, plan);
        break;
    }
    default:
        if (!utility(statement)) not_understood("a statement other than SELECT, INSERT, UPDATE, DELETE, MERGE, CALL, COPY and the like");
        break;
    }
    finish_literals();
    finish_parameters();
    if (failed()) return *failure_;
    if (rows) {
        auto& columns = result_.columns.emplace();
        for (auto const& it : outputs) columns.push_back({it.label, it.relation, it.column, it.of_function});
    }
    result_.canonical = std::move(canonical_);
    return std::move(result_);
}

std::vector<resolver::output> resolver::query(Node* node, scope* parent, list_use use) {
    level const guard{*this};
    if (failed()) return {};
    switch (tag_of(node)) {
    case T_SelectStmt: return select(as<SelectStmt>(node), parent, use);
    case T_InsertStmt: return insert(as<InsertStmt>(node), parent);
    case T_UpdateStmt: return update(as<UpdateStmt>(node), parent);
    case T_DeleteStmt: return remove(as<DeleteStmt>(node), parent);
    default: not_understood("a statement of this kind inside another one"); return {};
    }
}

/// setTargetTable: common table names do not hide the target.
resolver::from_item* resolver::target(RangeVar const* name, bool alias_useful) {
    if (failed()) return nullptr;
    result_.writes = true;
    put(name->inh ? "target" : "target_only");
    auto const* relation = look_up(name);
    if (failed()) return nullptr;
    if (relation->kind == 'S' || relation->kind == 'm') {
        not_understood("a change of a relation of this kind");
        return nullptr;
    }
    auto& item = add_item(name->alias != nullptr ? name->alias->aliasname : name->relname);
    item.aliased = name->alias != nullptr;
    set_columns(item, *relation);
    put("", static_cast<long>(relation->id));
    if (alias_useful) put_text(item.name); // else nothing can use the name
    result_.references[note_relation(name, item, alias_useful)].target = true;
    return &item;
}

std::vector<resolver::output> resolver::returning(List const* list, scope& in) {
    put("returning", static_cast<long>(nodes{list}.size() > 0));
    auto outputs = output_list(list, in, list_use::labels);
    if (!failed()) finish_outputs(outputs, list_use::labels);
    return outputs;
}

/// Where a list of columns may stand after the target of INSERT.
std::uint32_t resolver::after_target(RangeVar const* name) const {
    auto index = token_at(name->location);
    if (index == none) return 0;
    while (is(index + 1, ".")) index += 2;
    if (name->alias != nullptr && is(index + 1, "as")) index += 2;
    return index < tokens_.size() ? tokens_[index].end : 0;
}

std::vector<resolver::output> resolver::insert(InsertStmt* node, scope* parent) {
    scope in;
    in.parent = parent;
    put("insert", node->override);
    with(node->withClause, in);
    auto* into = target(node->relation, node->onConflictClause != nullptr || node->returningList != nullptr);
    if (failed()) return {};
    // The source is walked ahead of the columns: a positional list is as long as the source is wide.
    auto const outputs = node->selectStmt == nullptr ? std::vector<output>{} : insert_source(node->selectStmt, in);
    if (failed()) return {};
    if (node->selectStmt == nullptr) {
        put("default_values");
    } else {
        auto const types = insert_columns(node->cols, outputs.size(), *into, after_target(node->relation), in);
        if (!failed()) values_become(node->selectStmt, outputs, types);
    }
    if (node->onConflictClause != nullptr) on_conflict(node->onConflictClause, *into, in);
    in.items = {into};
    return returning(node->returningList, in);
}

std::vector<resolver::output> resolver::insert_source(Node* source, scope& in) {
    if (tag_of(source) != T_SelectStmt) {
        not_understood("a source of INSERT of this kind");
        return {};
    }
    return select(as<SelectStmt>(source), &in, list_use::columns);
}

/// Literals of VALUES and of an output list get the type of the column that they are put into.
void resolver::values_become(Node* source, std::vector<output> const& outputs, std::vector<std::uint32_t> const& types) {
    auto const* node = as<SelectStmt>(source);
    for (Node* row : nodes{node->valuesLists}) {
        nodes const fields{as<List>(row)};
        for (std::size_t i = 0; i < fields.size() && i < types.size(); ++i) becomes(fields[i], types[i]);
    }
    if (node->op != SETOP_NONE || node->valuesLists != nullptr) return;
    for (std::size_t i = 0; i < outputs.size() && i < types.size(); ++i) {
        if (outputs[i].value != nullptr) becomes(outputs[i].value, types[i]);
    }
}

/// Returns the types of what is put in, 0 where not known.
std::vector<std::uint32_t> resolver::insert_columns(List const* names, std::size_t values, from_item& target, std::uint32_t list_at, scope& in) {
    nodes const list{names};
    std::vector<std::uint32_t> types;
    if (list.empty()) {
        positional_target positional;
        positional.relation = target.relation;
        positional.list_at = list_at;
        if (!target.columns_certain) not_understood("INSERT without a list of columns, into a relation whose columns changed,");
        if (values > target.columns.size()) {
            fail(unresolved::kind_type::unknown_column, fmt::format("INSERT into \"{}\" has more values than columns", target.name));
        }
        if (failed()) return {};
        put("columns", static_cast<long>(values));
        for (std::size_t i = 0; i < values; ++i) {
            positional.columns.push_back(target.columns[i].number);
            put_text(target.columns[i].sense);
            put("subscripts", 0);
            types.push_back(target.columns[i].type);
        }
        if (list_at == 0) not_understood("the way a target is written");
        result_.positional_targets.push_back(std::move(positional));
        return types;
    }
    put("columns", static_cast<long>(list.size()));
    for (Node* node : list) {
        if (failed()) return {};
        auto* it = as<ResTarget>(node);
        auto parts = path(it->location, 1);
        if (failed()) return {};
        auto const type = column_name(target, it->name, parts.front());
        if (failed()) return {};
        types.push_back(steps(it->indirection, in, token_at(it->location) + 1, {nullptr, type, 0, nullptr}, it, "a field of a composite column"));
        if (failed()) return {};
    }
    return types;
}

/// SET lists. `in` is what the values see.
void resolver::assignments(List const* list, from_item& target, scope& in) {
    put("set", static_cast<long>(nodes{list}.size()));
    for (Node* node : nodes{list}) {
        if (failed()) return;
        auto* it = as<ResTarget>(node);
        auto parts = path(it->location, 1);
        if (failed()) return;
        auto type = column_name(target, it->name, parts.front());
        if (failed()) return;
        type = steps(it->indirection, in, token_at(it->location) + 1, {nullptr, type, 0, nullptr}, it, "a field of a composite column");
        if (failed()) return;
        if (tag_of(it->val) != T_MultiAssignRef) {
            expression(it->val, in);
            becomes(it->val, type);
            continue;
        }
        auto* many = as<MultiAssignRef>(it->val); // SET (a, b) = …: each column shares the source
        put("part", many->colno);
        put("parts", many->ncolumns);
        if (many->colno == 1) expression(many->source, in);
        if (failed()) return;
        if (tag_of(many->source) == T_RowExpr) {
            nodes const fields{as<RowExpr>(many->source)->args};
            if (static_cast<std::size_t>(many->colno) <= fields.size()) becomes(fields[static_cast<std::size_t>(many->colno) - 1], type);
        }
    }
}

void resolver::on_conflict(OnConflictClause* node, from_item& target, scope& in) {
    put("conflict", node->action);
    if (node->infer != nullptr) conflict_target(node->infer, target);
    if (failed() || node->action != ONCONFLICT_UPDATE) return;
    auto& excluded = add_item("excluded");
    excluded.columns = target.columns;
    excluded.relation = target.relation;
    excluded.kind = 'v'; // no system columns
    excluded.aliased = true;
    for (auto& entry : excluded.columns) {
        entry.item = excluded.serial;
        entry.qualifier = excluded.name;
        entry.sense = fmt::format("c{}.{}.{}", excluded.serial, entry.relation, entry.number);
    }
    in.items = {&excluded, &target};
    assignments(node->targetList, target, in);
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
}

/// ON CONFLICT ON CONSTRAINT name.
void resolver::constraint_name(InferClause* node, from_item const& target) {
    if (target.offered == nullptr || !target.offered->constraints_known) return put_text(node->conname);
    offered_constraint const* found = nullptr;
    for (auto const& it : target.offered->constraints) {
        if (it.name != node->conname) continue;
        if (found != nullptr || it.several_meanings) {
            return fail(unresolved::kind_type::ambiguous, fmt::format("constraint \"{}\" meant several ones at different times", it.name));
        }
        found = &it;
    }
    if (found == nullptr) return fail(unresolved::kind_type::unknown_object, fmt::format("constraint \"{}\"", node->conname));
    auto const index = token_at(node->location); // ON CONSTRAINT name
    bool const known = index != none && is(index, "on") && is(index + 1, "constraint") && index + 2 < tokens_.size();
    if (!known) return not_understood("the way ON CONSTRAINT is written");
    reference made;
    made.kind = reference::kind_type::constraint;
    made.parts = path(static_cast<int>(tokens_[index + 2].begin), 1);
    made.relation = target.relation;
    made.name = node->conname;
    made.object = found->id;
    result_.references.push_back(std::move(made));
    put("", static_cast<long>(found->id));
}

/// ON CONFLICT (column, (expression), …) WHERE …: the tree has no location for the columns' names.
void resolver::conflict_target(InferClause* node, from_item& target) {
    scope in;
    target.relation_visible = false;
    in.items = {&target};
    put("constraint", node->conname != nullptr);
    if (node->conname != nullptr) constraint_name(node, target);
    if (failed()) return;
    auto index = token_at(node->location);
    index_elements(node->indexElems, target, in, index);
    if (failed()) return;
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
    target.relation_visible = true;
}

std::vector<resolver::output> resolver::update(UpdateStmt* node, scope* parent) {
    scope in;
    in.parent = parent;
    put("update");
    with(node->withClause, in);
    auto* changed = target(node->relation, true);
    if (failed()) return {};
    changed->lateral_only = true; // subqueries in FROM cannot see the target
    changed->lateral_ok = false;
    in.items = {changed};
    from_list(node->fromClause, in);
    changed->lateral_only = false;
    changed->lateral_ok = true;
    if (failed()) return {};
    assignments(node->targetList, *changed, in);
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
    if (failed()) return {};
    return returning(node->returningList, in);
}

std::vector<resolver::output> resolver::remove(DeleteStmt* node, scope* parent) {
    scope in;
    in.parent = parent;
    put("delete");
    with(node->withClause, in);
    auto* changed = target(node->relation, true);
    if (failed()) return {};
    changed->lateral_only = true;
    changed->lateral_ok = false;
    in.items = {changed};
    from_list(node->usingClause, in);
    changed->lateral_only = false;
    changed->lateral_ok = true;
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
    if (failed()) return {};
    return returning(node->returningList, in);
}

/// transformMergeStmt: NOT MATCHED sees the source only.
void resolver::merge(MergeStmt* node, scope* parent) {
    scope in;
    in.parent = parent;
    put("merge");
    with(node->withClause, in);
    auto* changed = target(node->relation, true);
    if (failed()) return;
    from_item* whole = nullptr;
    auto sources = from_entry(node->sourceRelation, in, whole);
    if (failed()) return;
    check_conflicts({changed}, sources);
    auto both = sources;
    both.push_back(changed);
    in.items = both;
    put("on");
    expression(node->joinCondition, in);
    put("when", static_cast<long>(nodes{node->mergeWhenClauses}.size()));
    std::size_t inserts = 0, inserted = 0;
    for (Node* clause : nodes{node->mergeWhenClauses}) inserts += as<MergeWhenClause>(clause)->commandType == CMD_INSERT ? 1 : 0;
    for (Node* clause : nodes{node->mergeWhenClauses}) {
        if (failed()) return;
        auto* it = as<MergeWhenClause>(clause);
        put("matched", it->matched);
        put("command", it->commandType);
        put("override", it->override);
        in.items = it->matched ? both : sources;
        put("condition", it->condition != nullptr);
        expression(it->condition, in);
        if (failed()) return;
        if (it->commandType == CMD_UPDATE) {
            assignments(it->targetList, *changed, in);
        } else if (it->commandType == CMD_INSERT) {
            auto const list_at = after_merge_insert(inserted++, inserts);
            std::vector<std::uint32_t> types;
            if (it->values != nullptr) types = insert_columns(it->targetList, nodes{it->values}.size(), *changed, list_at, in);
            expressions(it->values, in);
            if (failed()) return;
            for (std::size_t i = 0; i < types.size() && i < nodes{it->values}.size(); ++i) becomes(nodes{it->values}[i], types[i]);
        }
    }
}

/// CALL: true where it answers with a row.
bool resolver::call(CallStmt* node, std::vector<output>& outputs) {
    put("call");
    result_.writes = true;
    scope in;
    auto* called = node->funccall;
    auto const procedures = function_name(called, true);
    if (failed()) return false;
    if (procedures.candidates.empty()) {
        not_understood("CALL of a procedure that is not known");
        return false;
    }
    put("flags", called->func_variadic);
    expressions(called->args, in);
    auto const& names = procedures.candidates.front().output_names;
    for (auto const& it : procedures.candidates) {
        if (it.output_names != names) not_understood("CALL where several procedures with other output may be meant");
    }
    for (auto const& name : names) {
        output made;
        made.label = name.empty() ? fmt::format("column{}", outputs.size() + 1) : name;
        outputs.push_back(std::move(made));
    }
    return !names.empty();
}

/// COPY t (a, b) and COPY (query). The tree has no locations for the columns' names.
void resolver::copy(CopyStmt* node) {
    put("copy", (node->is_from ? 1 : 0) + (node->is_program ? 2 : 0));
    if (node->is_program || node->filename != nullptr) return not_understood("COPY with files of the server");
    bool header = false;
    for (Node* option : nodes{node->options}) {
        auto* it = as<DefElem>(option);
        std::string_view const name = it->defname;
        if (name == "header") {
            auto const is_it = header_of(it);
            header = is_it != copy_header::none;
            // On the way in the first line is passed over, and so does not matter, unless it has to match.
            if (node->is_from && is_it == copy_header::match)
                return fail(unresolved::kind_type::not_understood, "COPY FROM with HEADER MATCH: the first line that the client sends has to name the columns as they are called now");
            if (!node->is_from && node->query == nullptr && header)
                return fail(unresolved::kind_type::not_understood, "COPY TO with a header: its first line names the columns as they are called now (COPY of a query keeps its labels)");
        }
    }
    scope in;
    if (node->query != nullptr) {
        for (Node* option : nodes{node->options}) {
            auto const* it = as<DefElem>(option);
            bool const names = std::string_view{it->defname}.starts_with("force_") && it->arg != nullptr && tag_of(it->arg) == T_List;
            if (names) header = true; // they are those of the query's answer
        }
        query(node->query, nullptr, header ? list_use::labels : list_use::columns);
        return;
    }
    auto const* name = node->relation;
    auto const* relation = look_up(name);
    if (failed()) return;
    auto& item = add_item(name->relname);
    set_columns(item, *relation);
    put("", static_cast<long>(relation->id));
    result_.references[note_relation(name, item, false)].target = node->is_from;
    result_.writes = node->is_from;
    nodes const list{node->attlist};
    auto index = token_at(name->location);
    while (is(index + 1, ".")) index += 2;
    if (list.empty()) {
        if (!item.columns_certain) return not_understood("COPY without a list of columns, of a relation whose columns changed,");
        positional_target positional;
        positional.relation = relation->id;
        positional.list_at = tokens_[index].end;
        positional.every_column = true;
        put("columns", static_cast<long>(item.columns.size()));
        for (auto const& entry : item.columns) {
            positional.columns.push_back(entry.number);
            put_text(entry.sense);
        }
        result_.positional_targets.push_back(std::move(positional));
    } else {
        index += 2;
        column_names(node->attlist, item, index);
        if (failed()) return;
    }
    for (Node* option : nodes{node->options}) {
        if (std::string_view{as<DefElem>(option)->defname}.starts_with("force_")) forced_columns(as<DefElem>(option), item);
        if (failed()) return;
    }
    in.items = {&item};
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
}

} // namespace pgmend::sql
