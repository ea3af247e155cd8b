// Statements around queries, and those that only name relations: utility.c and its kin.
#include "sql/resolver.hpp"

#include "sql/nodes.hpp"

namespace pgmend::sql {

/// False: a statement of another kind.
bool resolver::utility(Node* statement) {
    switch (tag_of(statement)) {
    case T_TruncateStmt: {
        auto const* it = as<TruncateStmt>(statement);
        put("truncate", it->restart_seqs);
        put("behavior", it->behavior);
        result_.writes = true;
        named_relations(it->relations, true);
        return true;
    }
    case T_LockStmt: {
        auto const* it = as<LockStmt>(statement);
        put("lock", it->mode);
        put("nowait", it->nowait);
        named_relations(it->relations, false);
        return true;
    }
    case T_RefreshMatViewStmt: {
        auto const* it = as<RefreshMatViewStmt>(statement);
        put("refresh", (it->concurrent ? 1 : 0) + (it->skipData ? 2 : 0));
        result_.writes = true;
        named_relation(it->relation, true);
        return true;
    }
    case T_CreateTableAsStmt: {
        auto* it = as<CreateTableAsStmt>(statement);
        put("create_as", it->objtype);
        put("if_not_exists", it->if_not_exists);
        created(it->into);
        if (tag_of(it->query) != T_SelectStmt) {
            not_understood("CREATE TABLE AS EXECUTE");
            return true;
        }
        query(it->query, nullptr, list_use::labels);
        return true;
    }
    case T_PrepareStmt: {
        auto* it = as<PrepareStmt>(statement);
        put("prepare");
        put_text(it->name);
        put("types", static_cast<long>(nodes{it->argtypes}.size()));
        for (Node* type : nodes{it->argtypes}) type_name(as<TypeName>(type));
        if (!failed() && tag_of(it->query) == T_MergeStmt) {
            merge(as<MergeStmt>(it->query), nullptr);
        } else if (!failed()) {
            query(it->query, nullptr, list_use::labels);
        }
        return true;
    }
    case T_ViewStmt: create_view(as<ViewStmt>(statement)); return true;
    case T_IndexStmt: create_index(as<IndexStmt>(statement)); return true;
    case T_VacuumStmt: vacuum(as<VacuumStmt>(statement)); return true;
    default: return false;
    }
}

/// What a query's rows are put into: a new name, which means nothing yet.
void resolver::created(IntoClause const* into) {
    result_.writes = true;
    if (into->rel->catalogname != nullptr) return not_understood("a new relation with its database in front");
    put_text(into->rel->schemaname != nullptr ? into->rel->schemaname : "");
    put_text(into->rel->relname);
    put("kept", into->rel->relpersistence);
    put_names(into->colNames);
    put_text(into->accessMethod != nullptr ? into->accessMethod : "");
    put_text(into->tableSpaceName != nullptr ? into->tableSpaceName : "");
    put("commit", into->onCommit);
    put("no_data", into->skipData);
    if (into->options != nullptr) not_understood("storage options of a new relation");
}

void resolver::named_relations(List const* names, bool changed) {
    put("relations", static_cast<long>(nodes{names}.size()));
    for (Node* name : nodes{names}) named_relation(as<RangeVar>(name), changed);
}

void resolver::named_relation(RangeVar const* name, bool changed) {
    if (failed()) return;
    put(name->inh ? "relation" : "only");
    auto const* relation = look_up(name);
    if (failed()) return;
    auto& item = add_item(name->relname);
    set_columns(item, *relation);
    put("", static_cast<long>(relation->id));
    result_.references[note_relation(name, item, false)].target = changed;
}

} // namespace pgmend::sql
