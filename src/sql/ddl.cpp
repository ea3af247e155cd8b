#include "pgmend/sql/ddl.hpp"

#include "pgmend/sql/parse.hpp"

#include "sql/nodes.hpp"

#include <utility>

namespace pgmend::sql {
namespace {

using action = ddl_action::kind_type;

std::string text_or_empty(char const* c_string) { return c_string == nullptr ? std::string{} : std::string{c_string}; }

ddl_action about(action what, ddl_object object, RangeVar const* name) {
    ddl_action out;
    out.kind = what;
    out.object = object;
    if (name != nullptr) {
        out.schema = text_or_empty(name->schemaname);
        out.name = text_or_empty(name->relname);
    }
    return out;
}

/// A List of String nodes: [database.][schema.]name.
ddl_action about(action what, ddl_object object, List const* parts) {
    ddl_action out;
    out.kind = what;
    out.object = object;
    nodes const all{parts};
    if (!all.empty()) out.name = text_of(all.back());
    if (all.size() > 1) out.schema = text_of(all[all.size() - 2]);
    return out;
}

/// The object of a statement for objects of any kind; false: of a kind that has no part in this.
bool about(ObjectType type, RangeVar const* relation, Node const* object, action what, ddl_action& out) {
    switch (type) {
    case OBJECT_TABLE:
    case OBJECT_VIEW:
    case OBJECT_MATVIEW:
    case OBJECT_FOREIGN_TABLE: out = about(what, ddl_object::relation, relation); return true;
    case OBJECT_SEQUENCE: out = about(what, ddl_object::sequence, relation); return true;
    case OBJECT_TYPE:
    case OBJECT_DOMAIN: out = about(what, ddl_object::type, as<List>(object)); return true;
    case OBJECT_FUNCTION:
    case OBJECT_PROCEDURE:
    case OBJECT_ROUTINE:
    case OBJECT_AGGREGATE: out = about(what, ddl_object::function, as<ObjectWithArgs>(object)->objname); return true;
    default: return false;
    }
}

class reading {
  public:
    std::vector<ddl_action> run(Node* node) {
        switch (tag_of(node)) {
        case T_CreateStmt: created(as<CreateStmt>(node)); break;
        case T_CreateForeignTableStmt: created(&as<CreateForeignTableStmt>(node)->base); break;
        case T_ViewStmt: {
            auto const* it = as<ViewStmt>(node);
            add(about(action::create, ddl_object::relation, it->view)).unless_there = it->replace;
            break;
        }
        case T_CreateTableAsStmt: {
            auto const* it = as<CreateTableAsStmt>(node);
            if (it->into != nullptr) add(about(action::create, ddl_object::relation, it->into->rel)).unless_there = it->if_not_exists;
            break;
        }
        case T_CreateSeqStmt: {
            auto const* it = as<CreateSeqStmt>(node);
            add(about(action::create, ddl_object::sequence, it->sequence)).unless_there = it->if_not_exists;
            break;
        }
        case T_CreateEnumStmt: add(about(action::create, ddl_object::type, as<CreateEnumStmt>(node)->typeName)); break;
        case T_CreateDomainStmt: add(about(action::create, ddl_object::type, as<CreateDomainStmt>(node)->domainname)); break;
        case T_CompositeTypeStmt: add(about(action::create, ddl_object::type, as<CompositeTypeStmt>(node)->typevar)); break;
        case T_CreateFunctionStmt: add(about(action::create, ddl_object::function, as<CreateFunctionStmt>(node)->funcname)).unless_there = true; break;
        case T_CreateSchemaStmt: elements(as<CreateSchemaStmt>(node)); break;
        case T_DropStmt: dropped(as<DropStmt>(node)); break;
        case T_RenameStmt: renamed(as<RenameStmt>(node)); break;
        case T_AlterObjectSchemaStmt: {
            auto const* it = as<AlterObjectSchemaStmt>(node);
            ddl_action made;
            if (!about(it->objectType, it->relation, it->object, action::move, made)) break;
            made.now = text_or_empty(it->newschema);
            add(std::move(made));
            break;
        }
        case T_AlterEnumStmt: {
            auto const* it = as<AlterEnumStmt>(node);
            if (it->oldVal == nullptr || it->newVal == nullptr) break;
            auto& made = add(about(action::rename_label, ddl_object::type, it->typeName));
            made.member = it->oldVal;
            made.now = it->newVal;
            break;
        }
        case T_AlterTableStmt: altered(as<AlterTableStmt>(node)); break;
        case T_VariableSetStmt: set(as<VariableSetStmt>(node)); break;
        default: break;
        }
        return std::move(out_);
    }

  private:
    ddl_action& add(ddl_action made) { return out_.emplace_back(std::move(made)); }

    void created(CreateStmt const* it) {
        if (it->relation->relpersistence == 't') return;
        auto& made = add(about(action::create, ddl_object::relation, it->relation));
        made.unless_there = it->if_not_exists;
        for (auto* element : nodes{it->tableElts}) {
            if (tag_of(element) == T_ColumnDef) made.columns.push_back(text_or_empty(as<ColumnDef>(element)->colname));
        }
    }

    void elements(CreateSchemaStmt const* it) {
        auto const schema = text_or_empty(it->schemaname);
        for (auto* element : nodes{it->schemaElts}) {
            if (tag_of(element) != T_CreateStmt) continue;
            created(as<CreateStmt>(element));
            if (!out_.empty() && out_.back().schema.empty()) out_.back().schema = schema;
        }
    }

    void dropped(DropStmt const* it) {
        auto const first = out_.size();
        for (auto* object : nodes{it->objects}) {
            switch (it->removeType) {
            case OBJECT_TABLE:
            case OBJECT_VIEW:
            case OBJECT_MATVIEW:
            case OBJECT_FOREIGN_TABLE: add(about(action::drop, ddl_object::relation, as<List>(object))); break;
            case OBJECT_SEQUENCE: add(about(action::drop, ddl_object::sequence, as<List>(object))); break;
            case OBJECT_TYPE:
            case OBJECT_DOMAIN: add(about(action::drop, ddl_object::type, as<TypeName>(object)->names)); break;
            case OBJECT_FUNCTION:
            case OBJECT_PROCEDURE:
            case OBJECT_ROUTINE:
            case OBJECT_AGGREGATE: add(about(action::drop, ddl_object::function, as<ObjectWithArgs>(object)->objname)); break;
            case OBJECT_SCHEMA: {
                ddl_action made;
                made.kind = action::drop;
                made.object = ddl_object::schema;
                made.name = text_of(object);
                add(std::move(made));
                break;
            }
            default: break;
            }
        }
        for (auto i = first; i < out_.size(); ++i) out_[i].unless_there = it->missing_ok;
    }

    void renamed(RenameStmt const* it) {
        ddl_action made;
        if (it->renameType == OBJECT_COLUMN) {
            made = about(action::rename_column, ddl_object::relation, it->relation);
            made.member = text_or_empty(it->subname);
        } else if (it->renameType == OBJECT_ATTRIBUTE) {
            made = about(action::rename_column, ddl_object::type, it->relation);
            made.member = text_or_empty(it->subname);
        } else if (it->renameType == OBJECT_SCHEMA) {
            made.kind = action::rename;
            made.object = ddl_object::schema;
            made.name = text_or_empty(it->subname);
        } else if (!about(it->renameType, it->relation, it->object, action::rename, made)) {
            return;
        }
        made.now = text_or_empty(it->newname);
        add(std::move(made));
    }

    void altered(AlterTableStmt const* it) {
        if (it->objtype != OBJECT_TABLE && it->objtype != OBJECT_FOREIGN_TABLE) return;
        for (auto* node : nodes{it->cmds}) {
            auto const* command = as<AlterTableCmd>(node);
            if (command->subtype == AT_AddColumn) {
                auto& made = add(about(action::add_column, ddl_object::relation, it->relation));
                made.member = text_or_empty(as<ColumnDef>(command->def)->colname);
                made.unless_there = command->missing_ok;
            } else if (command->subtype == AT_DropColumn) {
                add(about(action::drop_column, ddl_object::relation, it->relation)).member = text_or_empty(command->name);
            }
        }
    }

    void set(VariableSetStmt const* it) {
        bool const all = it->kind == VAR_RESET_ALL;
        if (!all && (it->name == nullptr || std::string_view{it->name} != "search_path")) return;
        auto& made = out_.emplace_back();
        made.kind = action::set_search_path;
        if (it->kind != VAR_SET_VALUE) return;
        for (auto* argument : nodes{it->args}) {
            if (tag_of(argument) != T_A_Const) continue;
            auto const* constant = as<A_Const>(argument);
            if (!constant->isnull && constant->val.node.type == T_String) made.columns.push_back(text_or_empty(constant->val.sval.sval));
        }
    }

    std::vector<ddl_action> out_;
};

} // namespace

std::vector<ddl_action> ddl_of(void* statement) { return reading{}.run(static_cast<Node*>(statement)); }

} // namespace pgmend::sql
