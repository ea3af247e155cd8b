// What PostgreSQL calls an output column without AS: FigureColname of parse_target.c.
#include "sql/resolver.hpp"

#include "sql/nodes.hpp"

namespace pgmend::sql {
namespace {

std::string_view name_of(SQLValueFunction const* node) {
    switch (node->op) {
    case SVFOP_CURRENT_DATE: return "current_date";
    case SVFOP_CURRENT_TIME:
    case SVFOP_CURRENT_TIME_N: return "current_time";
    case SVFOP_CURRENT_TIMESTAMP:
    case SVFOP_CURRENT_TIMESTAMP_N: return "current_timestamp";
    case SVFOP_LOCALTIME:
    case SVFOP_LOCALTIME_N: return "localtime";
    case SVFOP_LOCALTIMESTAMP:
    case SVFOP_LOCALTIMESTAMP_N: return "localtimestamp";
    case SVFOP_CURRENT_ROLE: return "current_role";
    case SVFOP_CURRENT_USER: return "current_user";
    case SVFOP_USER: return "user";
    case SVFOP_SESSION_USER: return "session_user";
    case SVFOP_CURRENT_CATALOG: return "current_catalog";
    case SVFOP_CURRENT_SCHEMA: return "current_schema";
    }
    return "?column?";
}

std::string_view name_of(XmlExpr const* node) {
    switch (node->op) {
    case IS_XMLCONCAT: return "xmlconcat";
    case IS_XMLELEMENT: return "xmlelement";
    case IS_XMLFOREST: return "xmlforest";
    case IS_XMLPARSE: return "xmlparse";
    case IS_XMLPI: return "xmlpi";
    case IS_XMLROOT: return "xmlroot";
    case IS_XMLSERIALIZE: return "xmlserialize";
    case IS_DOCUMENT: break;
    }
    return "";
}

} // namespace

/// Called after the expression was walked: the label of a subquery is that of its first column.
resolver::label resolver::label_of(Node const* node) const {
    // Not deeper than the walk before it, whose bound is `most_depth`.
    auto const reference = [this](void const* at) {
        auto const found = reference_of_.find(at);
        return found == reference_of_.end() ? none : found->second;
    };
    if (node == nullptr) return {};
    switch (tag_of(node)) {
    case T_ColumnRef: {
        nodes const fields{as<ColumnRef>(node)->fields};
        for (std::size_t i = fields.size(); i > 0; --i) {
            if (tag_of(fields[i - 1]) == T_String) return {std::string{text_of(fields[i - 1])}, 2, reference(node)};
        }
        return {};
    }
    case T_A_Indirection: {
        auto const* it = as<A_Indirection>(node);
        nodes const steps{it->indirection};
        for (std::size_t i = steps.size(); i > 0; --i) {
            if (tag_of(steps[i - 1]) == T_String) return {std::string{text_of(steps[i - 1])}, 2, reference(node)};
        }
        return label_of(it->arg);
    }
    case T_FuncCall: return {std::string{text_of(nodes{as<FuncCall>(node)->funcname}.back())}, 2, reference(node)};
    case T_A_Expr:
        if (as<A_Expr>(node)->kind == AEXPR_NULLIF) return {"nullif", 2};
        return {};
    case T_TypeCast: {
        auto const* it = as<TypeCast>(node);
        auto inner = label_of(it->arg);
        if (inner.strength <= 1 && it->typeName != nullptr) {
            return {std::string{text_of(nodes{it->typeName->names}.back())}, 1, reference(it->typeName)};
        }
        return inner;
    }
    case T_CollateClause: return label_of(as<CollateClause>(node)->arg);
    case T_GroupingFunc: return {"grouping", 2};
    case T_SubLink: {
        auto const* it = as<SubLink>(node);
        if (it->subLinkType == EXISTS_SUBLINK) return {"exists", 2};
        if (it->subLinkType == ARRAY_SUBLINK) return {"array", 2};
        auto const found = sublink_label_.find(node);
        if (it->subLinkType == EXPR_SUBLINK && found != sublink_label_.end()) return found->second;
        return {};
    }
    case T_CaseExpr: {
        auto inner = label_of(reinterpret_cast<Node const*>(as<CaseExpr>(node)->defresult));
        if (inner.strength <= 1) return {"case", 1};
        return inner;
    }
    case T_A_ArrayExpr: return {"array", 2};
    case T_RowExpr: return {"row", 2};
    case T_CoalesceExpr: return {"coalesce", 2};
    case T_MinMaxExpr: return {as<MinMaxExpr>(node)->op == IS_GREATEST ? "greatest" : "least", 2};
    case T_SQLValueFunction: return {std::string{name_of(as<SQLValueFunction>(node))}, 2};
    case T_XmlExpr: {
        auto const name = name_of(as<XmlExpr>(node));
        if (!name.empty()) return {std::string{name}, 2};
        return {};
    }
    case T_XmlSerialize: return {"xmlserialize", 2};
    default: return {};
    }
}

} // namespace pgmend::sql
