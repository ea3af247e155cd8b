// CREATE VIEW, CREATE INDEX, ANALYZE and VACUUM: definitions and commands that use names of what there is (view.c, indexcmds.c, vacuum.c).
#include "sql/resolver.hpp"

#include <algorithm>
#include <utility>

#include "sql/nodes.hpp"

namespace pgmend::sql {

/// `(name = value, …)`. False: a value of a kind that is not known.
bool resolver::options(List const* list) {
    put("options", static_cast<long>(nodes{list}.size()));
    for (Node* option : nodes{list}) {
        auto const* it = as<DefElem>(option);
        put_text(it->defnamespace != nullptr ? it->defnamespace : "");
        put_text(it->defname);
        if (it->arg == nullptr) {
            put("none");
            continue;
        }
        switch (tag_of(it->arg)) {
        case T_String: put_text(text_of(it->arg)); break;
        case T_Integer: put("", as<Integer>(reinterpret_cast<void*>(it->arg))->ival); break;
        case T_Float: put_text(as<Float>(reinterpret_cast<void*>(it->arg))->fval); break;
        case T_Boolean: put("", as<Boolean>(reinterpret_cast<void*>(it->arg))->boolval); break;
        default: return false;
        }
    }
    return true;
}

/// The view's columns are called as they would have been.
void resolver::create_view(ViewStmt* node) {
    auto const* view = node->view;
    result_.writes = true;
    put("create_view", node->replace);
    if (view->catalogname != nullptr) return not_understood("a new view with its database in front");
    put_text(view->schemaname != nullptr ? view->schemaname : "");
    put_text(view->relname);
    put("kept", view->relpersistence);
    put_names(node->aliases);
    put("check", node->withCheckOption);
    if (!options(node->options)) return not_understood("an option of a view");
    if (failed() || tag_of(node->query) != T_SelectStmt) return not_understood("a view of this kind");
    query(node->query, nullptr, list_use::labels);
}

void resolver::create_index(IndexStmt* node) {
    result_.writes = true;
    put("create_index", (node->unique ? 1 : 0) + (node->concurrent ? 2 : 0) + (node->if_not_exists ? 4 : 0) + (node->nulls_not_distinct ? 8 : 0));
    put_text(node->accessMethod != nullptr ? node->accessMethod : "");
    put_text(node->tableSpace != nullptr ? node->tableSpace : "");
    auto const* name = node->relation;
    put(name->inh ? "relation" : "only");
    auto const* relation = look_up(name);
    if (failed()) return;
    auto& item = add_item(name->relname);
    set_columns(item, *relation);
    put("", static_cast<long>(relation->id));
    auto const noted = note_relation(name, item, false);
    result_.references[noted].target = true;
    auto index = token_at(name->location);
    while (is(index + 1, ".")) index += 2;
    ++index;
    if (is(index, "using")) index += 2;
    scope in;
    in.items = {&item};
    std::vector<label> columns;
    index_elements(node->indexParams, item, in, index, &columns);
    if (failed()) return;
    if (!nodes{node->indexIncludingParams}.empty()) {
        if (!is(index, ")") || !is(index + 1, "include")) return not_understood("the way INCLUDE is written");
        index += 2;
        index_elements(node->indexIncludingParams, item, in, index, &columns);
        if (failed()) return;
    }
    if (node->idxname != nullptr) put_text(node->idxname);
    else name_index(node, noted, columns);
    if (failed()) return;
    if (!options(node->options)) return not_understood("an option of an index");
    put("where", node->whereClause != nullptr);
    expression(node->whereClause, in);
}

/// ChooseIndexName of indexcmds.c: after the table and the columns, INCLUDE's too. Where that is taken PostgreSQL counts on, which is its own affair: a name
/// that is written fails then.
void resolver::name_index(IndexStmt const* node, std::size_t relation, std::vector<label> const& columns) {
    made_index_name made;
    made.name = node->relation->relname;
    made.references.push_back(relation);
    std::vector<std::string> names;
    for (auto const& it : columns) {
        auto const plain = it.text.empty() ? std::string{"expr"} : it.text;
        auto name = plain;
        for (int i = 1; std::find(names.begin(), names.end(), name) != names.end(); ++i) name = plain + std::to_string(i);
        made.name += "_" + name;
        names.push_back(std::move(name));
        if (it.reference != none) made.references.push_back(it.reference);
    }
    made.name += "_idx";
    constexpr std::size_t longest_name = NAMEDATALEN - 1;
    if (made.name.size() > longest_name) return not_understood("CREATE INDEX without a name, of which the one that PostgreSQL makes is cut off,");
    auto on = token_at(node->relation->location);
    if (on != none && on > 0 && is(on - 1, "only")) --on;
    if (on == none || on == 0 || !is(on - 1, "on")) return not_understood("the way CREATE INDEX is written");
    made.at = tokens_[on - 1].begin;
    put_text(made.name);
    result_.index_name = std::move(made);
}

/// Columns and expressions of an index, or of ON CONFLICT: the tree has no locations for the names. `index`: the opening bracket, in the
/// end the closing one.
void resolver::index_elements(List const* list, from_item& target, scope& in, std::size_t& index, std::vector<label>* labels) {
    put("elements", static_cast<long>(nodes{list}.size()));
    if (!nodes{list}.empty() && !is(index, "(")) return not_understood("the way a list of columns is written");
    for (Node* entry : nodes{list}) {
        if (failed()) return;
        auto* it = as<IndexElem>(entry);
        if (it->name != nullptr) {
            auto const& name = index + 1 < tokens_.size() ? tokens_[index + 1] : token{};
            if (name.kind != token_kind::word && name.kind != token_kind::quoted) return not_understood("the way a list of columns is written");
            column_name(target, it->name, {name.begin, name.end});
            if (labels != nullptr) labels->push_back({it->name, 2, result_.references.size() - 1});
        } else {
            expression(it->expr, in);
            if (labels != nullptr) labels->push_back(label_of(it->expr));
        }
        if (failed()) return;
        put_names(it->collation);
        put_names(it->opclass);
        if (it->opclassopts != nullptr) return not_understood("operator class options");
        put("order", it->ordering);
        put("nulls", it->nulls_ordering);
        int depth = 0; // on to the comma or the closing bracket
        for (++index; index < tokens_.size(); ++index) {
            if (is(index, "(") || is(index, "[")) ++depth;
            if (depth == 0 && (is(index, ",") || is(index, ")"))) break;
            if (is(index, ")") || is(index, "]")) --depth;
        }
    }
}

/// Plain names with commas between them, from the token `index` on, which ends up behind the last one.
void resolver::column_names(List const* list, from_item& item, std::size_t& index) {
    put("columns", static_cast<long>(nodes{list}.size()));
    bool first = true;
    for (Node* column : nodes{list}) {
        if (!std::exchange(first, false) && !is(index++, ",")) return not_understood("the way a list of columns is written");
        auto parts = index < tokens_.size() ? path(static_cast<int>(tokens_[index].begin), 1) : std::vector<span>{};
        if (failed() || parts.empty()) return not_understood("the way a list of columns is written");
        column_name(item, text_of(column).data(), parts.front());
        if (failed()) return;
        ++index;
    }
}

/// ANALYZE and VACUUM.
void resolver::vacuum(VacuumStmt* node) {
    put("vacuum", node->is_vacuumcmd);
    if (!options(node->options)) return not_understood("an option of VACUUM or ANALYZE");
    put("relations", static_cast<long>(nodes{node->rels}.size()));
    for (Node* entry : nodes{node->rels}) {
        if (failed()) return;
        auto const* it = as<VacuumRelation>(entry);
        auto const* relation = look_up(it->relation);
        if (failed()) return;
        auto& item = add_item(it->relation->relname);
        set_columns(item, *relation);
        put("", static_cast<long>(relation->id));
        note_relation(it->relation, item, false);
        if (nodes{it->va_cols}.empty()) continue;
        auto index = token_at(it->relation->location);
        while (is(index + 1, ".")) index += 2;
        if (!is(index + 1, "(")) return not_understood("the way a list of columns is written");
        index += 2;
        column_names(it->va_cols, item, index);
    }
}

/// COPY … FORCE_QUOTE (a, b), or the old way: FORCE QUOTE a, b.
void resolver::forced_columns(DefElem const* option, from_item& item) {
    put_text(option->defname);
    if (option->arg == nullptr || tag_of(option->arg) != T_List) return put("all"); // FORCE_QUOTE *
    auto index = token_at(option->location);
    if (is(index, "force")) {
        ++index;
        if (is(index, "not")) ++index;
    }
    ++index;
    bool const bracket = is(index, "(");
    if (bracket) ++index;
    column_names(as<List>(reinterpret_cast<void*>(option->arg)), item, index);
}

/// Where the list of columns of the n-th INSERT of a MERGE may stand; 0: not found.
std::uint32_t resolver::after_merge_insert(std::size_t which, std::size_t of) const {
    std::uint32_t found = 0;
    std::size_t count = 0;
    int depth = 0;
    for (std::size_t i = 0; i + 2 < tokens_.size(); ++i) {
        if (is(i, "(") || is(i, "[") || is(i, "case")) ++depth;
        if (is(i, ")") || is(i, "]") || (is(i, "end") && depth > 0)) --depth;
        if (depth != 0 || !is(i, "then") || !is(i + 1, "insert")) continue;
        if (count++ == which) found = tokens_[i + 1].end;
    }
    return count == of ? found : 0;
}

} // namespace pgmend::sql
