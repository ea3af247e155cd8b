// Functions, types and labels of enums: parse_func.c, parse_type.c, parse_coerce.c and parse_oper.c, as far as names go.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "pgmend/sql/array_text.hpp"
#include "pgmend/sql/names.hpp"
#include "sql/nodes.hpp"

namespace pgmend::sql {

offered_relation const* relation_source::relation(std::uint32_t) { return nullptr; }
relation_source::function_answer relation_source::find_functions(std::string_view, std::string_view) { return {}; }
relation_source::type_answer relation_source::find_type(std::string_view, std::string_view) { return {}; }
offered_type const* relation_source::type(std::uint32_t) { return nullptr; }

namespace {

bool is_comparison(std::string_view op) {
    static constexpr std::string_view comparisons[] = {"=", "<>", "<", ">", "<=", ">="};
    return std::find(std::begin(comparisons), std::end(comparisons), op) != std::end(comparisons);
}

/// Functions of pg_catalog whose answer has the type of their first argument.
constexpr std::string_view functions_of_first_type[] = {
    "min", "max", "lag", "lead", "first_value", "last_value", "nth_value", "mode", "any_value", "enum_first", "enum_last",
};

/// FuncnameGetCandidates: whether a call with so many arguments may mean this function.
bool takes(offered_function const& function, std::size_t arguments) {
    auto const declared = function.arguments.size();
    if (declared == arguments || (function.variadic && declared <= arguments)) return true;
    return declared > arguments && arguments + function.defaults >= declared;
}

} // namespace

/// The name of a call: canonical it is what it may mean, not how it is written.
resolver::called_function resolver::function_name(FuncCall* node, bool procedure) {
    called_function out;
    nodes const names{node->funcname};
    for (Node* part : names) {
        if (tag_of(part) != T_String) {
            not_understood("a function's name that is no plain name");
            return out;
        }
    }
    auto const name = text_of(names.back());
    auto const schema = names.size() > 1 ? text_of(names[names.size() - 2]) : std::string_view{};
    if (schema == "pg_catalog" || schema == "information_schema") {
        out.built_in = true;
        put_names(node->funcname);
        return out;
    }
    if (schema.starts_with("pg_temp")) {
        not_understood("a function in the temporary schema");
        return out;
    }
    auto found = source_.find_functions(schema, name);
    out.built_in = !found.known || found.built_in;
    auto const arguments = nodes{node->args}.size();
    for (auto& it : found.functions) {
        if ((it.kind == 'p') != procedure) continue;
        // OUT arguments of procedures, and those of ordered sets, are counted differently.
        if (!procedure && !node->agg_within_group && !takes(it, node->agg_star ? 0 : arguments)) continue;
        out.candidates.push_back(std::move(it));
    }
    if (out.candidates.empty()) {
        if (!out.built_in) {
            auto const* type = arguments == 1 ? source_.find_type(schema, name).type : nullptr;
            if (type != nullptr && type->relation == 0) {
                not_understood(fmt::format("a conversion written as the function {}()", name));
            } else if (arguments == 1 && !procedure) { // name(users) is users.name
                out.unknown = true;
                return out;
            } else {
                fail(unresolved::kind_type::unknown_object, fmt::format("function \"{}\" with {} arguments", name, arguments));
            }
        }
        put_names(node->funcname);
        return out;
    }
    put("functions", static_cast<long>(out.candidates.size()));
    for (auto const& it : out.candidates) put("", static_cast<long>(it.id));
    put("built_in", out.built_in);
    if (out.built_in) put_text(name);
    reference made;
    made.kind = reference::kind_type::function;
    made.parts = path(node->location, names.size());
    made.name = name;
    made.qualified = names.size() > 1;
    made.built_in = out.built_in;
    for (auto const& it : out.candidates) made.candidates.push_back(it.id);
    result_.references.push_back(std::move(made));
    reference_of_[node] = result_.references.size() - 1;
    auto const result = out.candidates.front().result;
    bool const same = std::all_of(out.candidates.begin(), out.candidates.end(),
                                  [&](offered_function const& it) { return it.result == result; });
    if (same && !out.built_in) has_type(node, result);
    return out;
}

/// Literals get the type of the argument that they are, where only one is possible.
void resolver::argument_types(FuncCall* node, called_function const& called) {
    nodes const args{node->args};
    if (called.built_in) {
        auto const name = text_of(nodes{node->funcname}.back());
        bool const first = called.candidates.empty() && !args.empty() &&
                           std::find(std::begin(functions_of_first_type), std::end(functions_of_first_type), name) !=
                               std::end(functions_of_first_type);
        if (first) has_type(node, type_of(args[0]));
        if (name == "array_agg" && called.candidates.empty() && args.size() == 1) {
            auto const* element = source_.type(type_of(args[0]));
            if (element != nullptr) has_type(node, element->array);
        }
        return;
    }
    bool plain = !node->func_variadic && !node->agg_within_group;
    for (Node* it : args) plain = plain && tag_of(it) != T_NamedArgExpr;
    if (!plain || called.candidates.empty()) return;
    for (std::size_t i = 0; i < args.size(); ++i) {
        std::uint32_t type = 0;
        for (auto const& it : called.candidates) {
            bool const fixed = i < it.arguments.size() && !(it.variadic && i + 1 >= it.arguments.size());
            auto const its = fixed ? it.arguments[i] : 0;
            if (its == 0 || (type != 0 && its != type)) {
                type = 0;
                break;
            }
            type = its;
        }
        becomes(args[i], type);
    }
}

/// The columns of a user's function in FROM; false where they are not known. `name`: of the column of a scalar one.
/// Whose rows they are is told to `item`. OUT arguments keep their names as long as the function lives.
bool resolver::function_columns(called_function const& called, std::string_view name, std::vector<column_entry>& columns, from_item& item) {
    std::optional<std::vector<std::string>> all;
    std::optional<offered_relation const*> rows;
    for (auto const& it : called.candidates) {
        std::vector<std::string> its;
        offered_relation const* its_rows = nullptr;
        if (it.output_names.size() > 1) {
            for (auto const& given : it.output_names) {
                its.push_back(given.empty() ? fmt::format("column{}", its.size() + 1) : given);
            }
        } else {
            auto const* type = source_.type(it.result);
            for (int steps = 0; steps < 8 && type != nullptr && type->kind == 'd'; ++steps) type = source_.type(type->base);
            if (type == nullptr || type->kind == 'd' || type->kind == 'p') return false;
            if (type->kind == 'c') {
                its_rows = row_of(it.result);
                if (its_rows == nullptr) return false;
            } else {
                bool const named = !it.output_names.empty() && !it.output_names.front().empty();
                its.emplace_back(named ? std::string_view{it.output_names.front()} : name);
            }
        }
        if ((all && *all != its) || (rows && *rows != its_rows)) return false;
        all = std::move(its);
        rows = its_rows;
    }
    if (called.built_in || !all) return false;
    for (auto& it : *all) columns.emplace_back().name = std::move(it);
    if (*rows != nullptr) add_row(**rows, columns, item);
    return true;
}

/// The columns of rows that a function returns.
void resolver::add_row(offered_relation const& row, std::vector<column_entry>& columns, from_item& item) {
    item.row_of = row.id;
    item.columns_certain = item.columns_certain && row.columns_certain;
    for (auto const& offered : row.columns) {
        auto& entry = columns.emplace_back();
        entry.name = offered.name;
        entry.relation = row.id;
        entry.number = offered.number;
        entry.catalog_name = true;
        entry.several_meanings = offered.several_meanings;
        entry.type = offered.type;
        entry.of_function = true;
    }
}

/// The relation whose rows have this type, also behind domains; nullptr: none, or not known.
offered_relation const* resolver::row_of(std::uint32_t id) {
    for (int steps = 0; steps < 8 && id != 0; ++steps) {
        auto const* type = source_.type(id);
        if (type == nullptr) return nullptr;
        if (type->kind != 'd') return type->kind == 'c' && type->relation != 0 ? source_.relation(type->relation) : nullptr;
        id = type->base;
    }
    return nullptr;
}

/// The type that a name means, or 0 where that is PostgreSQL's business. A row type counts as the relation that it belongs to; `positional`: values are put
/// into its columns in their order, whatever those are called.
std::uint32_t resolver::type_name(TypeName* node, bool positional) {
    if (node == nullptr || failed()) return 0;
    if (node->pct_type) {
        not_understood("%TYPE");
        return 0;
    }
    nodes const names{node->names};
    std::uint32_t id = 0;
    offered_type const* type = nullptr;
    for (Node* part : names) {
        if (tag_of(part) == T_String) continue;
        not_understood("a type's name that is no plain name");
        return 0;
    }
    if (!names.empty()) {
        auto const name = text_of(names.back());
        auto const schema = names.size() > 1 ? text_of(names[names.size() - 2]) : std::string_view{};
        auto const found = source_.find_type(schema, name);
        if (found.several_meanings) {
            fail(unresolved::kind_type::ambiguous, fmt::format("type \"{}\" meant several types at different times", name));
            return 0;
        }
        bool const system = schema == "pg_catalog" || schema == "information_schema";
        bool const temporary = schema.starts_with("pg_temp") || (schema.empty() && source_.is_temporary(name));
        if (found.known && found.type == nullptr && !system && !temporary && names.size() <= 2) {
            if (name.starts_with("pg_")) {
                not_understood("the row type of a system relation");
                return 0;
            }
            fail(unresolved::kind_type::unknown_object, fmt::format("type \"{}\"", name));
            return 0;
        }
        if (!temporary && found.type != nullptr) type = found.type;
    }
    if (type != nullptr) id = type->id;
    if (type == nullptr || type->system || type->relation != 0) {
        put_names(node->names);
        if (failed()) return 0;
        bool const known_not_to_be_a_row = type != nullptr && type->relation == 0;
        auto const* row = positional ? row_of(id) : nullptr;
        if (row != nullptr) {
            put("row_type", static_cast<long>(row->id));
            for (auto const& column : row->columns) put("", column.number);
            if (!row->columns_certain) return not_understood("a row type whose columns changed"), 0;
        } else if (!known_not_to_be_a_row && names.size() <= 2 && (names.size() < 2 || text_of(names[0]) != "pg_catalog")) {
            std::string key{names.size() == 2 ? text_of(names[0]) : std::string_view{}};
            key += '\0';
            key += text_of(names.back());
            result_.row_types.push_back(std::move(key));
        }
    } else {
        put("type", static_cast<long>(type->id));
        reference made;
        made.kind = reference::kind_type::type;
        made.parts = path(node->location, names.size());
        made.name = text_of(names.back());
        made.qualified = names.size() > 1;
        made.object = type->id;
        result_.references.push_back(std::move(made));
        reference_of_[node] = result_.references.size() - 1;
    }
    put("set", node->setof);
    put("modifier", node->typemod);
    for (Node* modifier : nodes{node->typmods}) {
        if (tag_of(modifier) == T_A_Const) {
            constant(as<A_Const>(modifier));
        } else if (tag_of(modifier) == T_ColumnRef) { // geometry(Point, 4326): a word, no column
            put_names(as<ColumnRef>(modifier)->fields);
        } else {
            not_understood("a type modifier of this kind");
        }
    }
    put("bounds", static_cast<long>(nodes{node->arrayBounds}.size()));
    for (Node* bound : nodes{node->arrayBounds}) {
        if (tag_of(bound) == T_Integer) put("", as<Integer>(bound)->ival);
    }
    if (node->setof || failed()) return 0;
    if (!nodes{node->arrayBounds}.empty()) return type != nullptr ? type->array : 0;
    return id;
}

std::uint32_t resolver::type_of(void const* node) const {
    auto const found = type_of_.find(node);
    return found == type_of_.end() ? 0 : found->second;
}

void resolver::has_type(void const* node, std::uint32_t type) {
    if (type != 0) type_of_[node] = type;
}

/// The enum that a type is, also behind domains.
offered_type const* resolver::enum_behind(std::uint32_t id) {
    for (int steps = 0; steps < 8 && id != 0; ++steps) {
        auto const* type = source_.type(id);
        if (type == nullptr) return nullptr;
        if (type->kind == 'e') return type;
        if (type->kind != 'd') return nullptr;
        id = type->base;
    }
    return nullptr;
}

std::uint32_t resolver::element_of(std::uint32_t id) {
    for (int steps = 0; steps < 8 && id != 0; ++steps) {
        auto const* type = source_.type(id);
        if (type == nullptr) return 0;
        if (type->kind != 'd') return type->element;
        id = type->base;
    }
    return 0;
}

/// Remembers where a literal stands in the canonical form: its meaning may turn out later.
void resolver::note_literal(A_Const const* node, std::size_t from) {
    auto& made = literals_[node] = {};
    made.from = from;
    made.to = canonical_.size();
}

void resolver::forget_literals(std::size_t from) {
    std::erase_if(literals_, [&](auto const& it) { return it.second.from >= from; });
}

/// An untyped literal gets this type. Other expressions have a type of their own.
void resolver::becomes(Node* node, std::uint32_t type) {
    if (failed() || type == 0 || node == nullptr) return;
    if (tag_of(node) == T_ParamRef) return parameter_becomes(as<ParamRef>(node), type);
    if (!is_literal(node)) return;
    auto const found = literals_.find(node);
    if (found == literals_.end()) return;
    auto& it = found->second;
    auto const* labels = enum_behind(type);
    if (labels == nullptr) {
        auto const element = element_of(type);
        if (auto const* of_elements = enum_behind(element)) return array_becomes(as<A_Const>(node), it, *of_elements);
        // Of a row its text may hold labels, and of an array of rows.
        auto const* known = source_.type(element != 0 ? element : type);
        it.settled = it.settled || (known != nullptr && known->kind == 'b' && known->element == 0);
        return;
    }
    std::string_view const text = as<A_Const>(node)->val.sval.sval;
    auto const found_label = label_named(*labels, text);
    if (failed() || it.label == found_label) return;
    if (it.label != 0 || it.array_of != 0) return not_understood("a literal that is a label of two enums");
    auto const index = token_at(as<A_Const>(node)->location);
    bool const plain = index != none && tokens_[index].kind == token_kind::string && !is(index + 1, "uescape");
    if (!plain) return not_understood("a label of an enum that is written in this way");
    it.label = found_label;
    it.settled = true;
    note_label({{tokens_[index].begin, tokens_[index].end}}, text, found_label, labels->id);
}

/// '{a,b}', whose elements are labels. What is written in another way stays a literal of which nothing is known.
void resolver::array_becomes(A_Const const* node, noted_literal& it, offered_type const& labels) {
    if (it.array_of == labels.id) return;
    if (it.label != 0 || it.array_of != 0) return not_understood("a literal that is an array of two enums");
    std::string_view const text = node->val.sval.sval;
    auto const index = token_at(node->location);
    if (index == none || tokens_[index].kind != token_kind::string) return;
    span const literal{tokens_[index].begin, tokens_[index].end};
    bool const plain = quoted_literal(text) == text_.substr(literal.begin, literal.end - literal.begin);
    auto const elements = plain ? array_elements(text) : std::nullopt;
    if (!elements || elements->size() > most_known_elements) return;
    auto const place = [&](std::uint32_t at) { // a quote is written twice
        auto const quotes = std::count(text.begin(), text.begin() + at, '\'');
        return literal.begin + 1 + at + static_cast<std::uint32_t>(quotes);
    };
    for (auto const& one : *elements) {
        auto const found_label = one.value ? label_named(labels, *one.value) : 0;
        if (failed()) return;
        it.labels.push_back(found_label);
        if (found_label != 0) note_label({literal, {place(one.begin), place(one.end)}}, *one.value, found_label, labels.id);
    }
    it.array_of = labels.id;
    it.settled = true;
}

/// pg_enum.oid; fails where there is none.
std::uint32_t resolver::label_named(offered_type const& labels, std::string_view text) {
    auto const found = std::find_if(labels.labels.begin(), labels.labels.end(), [&](offered_label const& it) { return it.text == text; });
    if (found == labels.labels.end()) fail(unresolved::kind_type::unknown_object, "a literal is no label of its enum");
    else if (found->several_meanings) fail(unresolved::kind_type::ambiguous, "a label of an enum meant several ones at different times");
    else return found->id;
    return 0;
}

void resolver::note_label(std::vector<span> parts, std::string_view text, std::uint32_t id, std::uint32_t type) {
    reference made;
    made.kind = reference::kind_type::enum_label;
    made.parts = std::move(parts);
    made.name = text;
    made.object = id;
    made.type = type;
    result_.references.push_back(std::move(made));
}

/// variable_coerce_param_hook of parse_param.c: the first place decides; here all of them have to agree.
void resolver::parameter_becomes(ParamRef const* node, std::uint32_t type) {
    if (auto const found = parameters_.find(node); found != parameters_.end() && found->second == 0) found->second = type;
}

void resolver::finish_parameters() {
    constexpr int most_parameters = 65535;
    std::vector<bool> doubtful;
    for (auto const& [node, type] : parameters_) {
        if (node->number < 1 || node->number > most_parameters) continue;
        auto const index = static_cast<std::size_t>(node->number) - 1;
        if (result_.parameter_types.size() <= index) {
            result_.parameter_types.resize(index + 1);
            doubtful.resize(index + 1);
        }
        auto& known = result_.parameter_types[index];
        if (type == 0 || (known != 0 && known != type)) doubtful[index] = true;
        known = type;
    }
    for (std::size_t i = 0; i < doubtful.size(); ++i) {
        if (doubtful[i]) result_.parameter_types[i] = 0;
    }
}

/// ARRAY['a', 'b']::mood[], whose elements are coerced one by one.
void resolver::elements_become(Node* node, std::uint32_t type) {
    level const guard{*this};
    if (failed() || type == 0 || node == nullptr) return;
    if (tag_of(node) != T_A_ArrayExpr) return becomes(node, type);
    for (Node* element : nodes{as<A_ArrayExpr>(node)->elements}) elements_become(element, type);
}

/// Two sides of an operator: a literal is taken for what the other side is.
void resolver::compared(Node* left, Node* right, bool equality) {
    if (failed() || left == nullptr || right == nullptr) return;
    level const guard{*this};
    if (failed()) return;
    if (tag_of(left) == T_RowExpr && tag_of(right) == T_RowExpr) {
        nodes const a{as<RowExpr>(left)->args};
        nodes const b{as<RowExpr>(right)->args};
        for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) compared(a[i], b[i], equality);
        return;
    }
    compared_as_text(left, right, equality);
    compared_as_text(right, left, equality);
    // varchar has no comparisons of its own: a parameter beside one is a text.
    auto const beside = [](Node const* side, std::uint32_t type) {
        constexpr std::uint32_t text_type = 25, varchar_type = 1043;
        return tag_of(side) == T_ParamRef && type == varchar_type ? text_type : type;
    };
    auto const left_type = type_of(left);
    auto const right_type = type_of(right);
    becomes(right, beside(right, left_type));
    becomes(left, beside(left, right_type));
}

/// Of a label that was renamed nothing is left in the text then.
void resolver::compared_as_text(Node* value, Node* literal, bool equality) {
    if (tag_of(literal) == T_TypeCast) literal = as<TypeCast>(literal)->arg;
    if (!is_literal(literal) || tag_of(value) != T_TypeCast) return;
    auto const* labels = enum_behind(type_of(as<TypeCast>(value)->arg));
    if (labels == nullptr || enum_behind(type_of(value)) != nullptr) return;
    result_.text_labels.push_back({labels->id, as<A_Const>(literal)->val.sval.sval});
    if (equality) understood_casts_.insert(value);
}

/// select_common_type: literals among values of one type get that type.
std::uint32_t resolver::common_type(std::vector<Node*> const& values) {
    std::uint32_t type = 0;
    for (auto* value : values) {
        auto const its = value != nullptr ? type_of(value) : 0;
        if (its == 0 || its == type) continue;
        if (type != 0) return 0;
        type = its;
    }
    for (auto* value : values) {
        if (value != nullptr) becomes(value, type);
    }
    return type;
}

void resolver::operator_types(A_Expr* node) {
    if (failed()) return;
    switch (node->kind) {
    case AEXPR_OP:
        // An operator of a schema's own may take anything; with others both sides get one type where one is a literal.
        if (nodes{node->name}.size() == 1) {
            static constexpr std::string_view of_arrays[] = {"@>", "<@", "&&", "||"};
            auto const name = text_of(nodes{node->name}[0]);
            bool const of_array = std::find(std::begin(of_arrays), std::end(of_arrays), name) != std::end(of_arrays);
            auto const is_enum = [&](Node const* side) {
                auto const type = side != nullptr ? type_of(side) : 0;
                return enum_behind(type) != nullptr || (!of_array && enum_behind(element_of(type)) != nullptr);
            };
            if (is_comparison(name) || (!is_enum(node->lexpr) && !is_enum(node->rexpr))) compared(node->lexpr, node->rexpr, name == "=" || name == "<>");
            // Of json and jsonb. Where a schema has others of these names, a literal beside them is left as it is: then PostgreSQL refuses it as before.
            constexpr std::uint32_t text_type = 25;
            if (name == "->>" || name == "#>>") has_type(node, text_type);
        }
        return;
    case AEXPR_DISTINCT:
    case AEXPR_NOT_DISTINCT: return compared(node->lexpr, node->rexpr);
    case AEXPR_NULLIF: {
        compared(node->lexpr, node->rexpr);
        auto const left = type_of(node->lexpr);
        return has_type(node, left != 0 ? left : type_of(node->rexpr));
    }
    case AEXPR_IN: {
        if (node->rexpr == nullptr || tag_of(node->rexpr) != T_List) return;
        nodes const items{as<List>(reinterpret_cast<void*>(node->rexpr))};
        bool literals = true;
        for (Node* item : items) literals = literals && is_literal(item);
        for (Node* item : items) compared(node->lexpr, item, literals);
        return;
    }
    case AEXPR_BETWEEN:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_BETWEEN_SYM:
    case AEXPR_NOT_BETWEEN_SYM:
        if (node->rexpr == nullptr || tag_of(node->rexpr) != T_List) return;
        for (Node* item : nodes{as<List>(reinterpret_cast<void*>(node->rexpr))}) compared(node->lexpr, item, false);
        return;
    case AEXPR_OP_ANY:
    case AEXPR_OP_ALL: {
        becomes(node->lexpr, element_of(type_of(node->rexpr)));
        bool const literal = is_literal(node->rexpr) && nodes{node->name}.size() == 1 && is_comparison(text_of(nodes{node->name}[0]));
        if (node->rexpr == nullptr || (!literal && tag_of(node->rexpr) != T_ParamRef)) return;
        constexpr std::uint32_t text_type = 25, varchar_type = 1043;
        auto const left = type_of(node->lexpr) == varchar_type ? text_type : type_of(node->lexpr);
        auto const* element = source_.type(left);
        return becomes(node->rexpr, element != nullptr ? element->array : 0);
    }
    default: return;
    }
}

/// Puts the labels' oids into the canonical form, and notes the literals of which nothing is known.
void resolver::finish_literals() {
    for (auto const& [node, type] : enum_casts_) {
        if (!understood_casts_.contains(node)) result_.enum_texts.push_back(type);
    }
    struct piece {
        std::size_t from;
        std::size_t to;
        std::string meaning;
    };
    std::vector<piece> labels;
    for (auto const& [node, it] : literals_) {
        if (it.label != 0) labels.push_back({it.from, it.to, fmt::format("e{} ", it.label)});
        if (it.array_of != 0) labels.push_back({it.from, it.to, fmt::format("a{} e{} ", it.array_of, fmt::join(it.labels, " e"))});
        if (it.settled) continue;
        auto const index = token_at(as<A_Const>(node)->location);
        if (index != none) result_.loose_literals.push_back({tokens_[index].begin, tokens_[index].end});
    }
    std::sort(result_.loose_literals.begin(), result_.loose_literals.end(),
              [](span const& a, span const& b) { return a.begin < b.begin; });
    if (labels.empty()) return;
    std::sort(labels.begin(), labels.end(), [](piece const& a, piece const& b) { return a.from < b.from; });
    std::string out;
    std::size_t from = 0;
    for (auto const& it : labels) {
        out.append(canonical_, from, it.from - from).append(it.meaning);
        from = it.to;
    }
    canonical_ = out.append(canonical_, from);
}

} // namespace pgmend::sql
