// Constraints and unique indexes.
#include "healing/schema_script.hpp"

#include <algorithm>

namespace pgmend::healing::testing {

namespace {

std::vector<std::string> column_names(std::string_view list) {
    std::vector<std::string> names;
    script_reader in{list};
    while (!in.done()) {
        names.push_back(in.name());
        in.skip_item();
        in.accept(",");
    }
    return names;
}

} // namespace

void schema_script::add_key(catalog::relation& relation, key wanted) {
    catalog::constraint_entry constraint{.id = 0, .name = std::move(wanted.name), .kind = wanted.kind, .columns = {}};
    std::string joined;
    for (auto const& name : wanted.columns) {
        auto const found = std::ranges::find(relation.columns, name, &catalog::column::name);
        if (found == relation.columns.end()) throw std::runtime_error{"no column " + name + " for a key"};
        if (wanted.kind == 'p') found->not_null = true;
        constraint.columns.push_back(found->number);
        joined += "_" + name;
    }
    if (constraint.name.empty()) {
        auto const taken = [&](std::string const& name) {
            return std::ranges::any_of(relation.constraints, [&](auto const& c) { return c.name == name; });
        };
        auto const base = relation.name + (wanted.kind == 'p' ? "_pkey" : joined + (wanted.kind == 'u' ? "_key" : wanted.kind == 'f' ? "_fkey" : "_check"));
        constraint.name = base;
        for (int i = 1; taken(constraint.name); ++i) constraint.name = base + std::to_string(i);
    }
    if (wanted.kind == 'p' || wanted.kind == 'u') {
        relation.unique_indexes.push_back({.id = next_++, .name = constraint.name, .columns = constraint.columns, .unique = true,
                                           .primary = wanted.kind == 'p', .immediate = true,
                                           .nulls_not_distinct = wanted.nulls_not_distinct, .predicate = {}, .expressions = {}});
    }
    constraint.id = next_++;
    relation.constraints.push_back(std::move(constraint));
}

/// ADD CONSTRAINT name … USING INDEX: the index takes the constraint's name.
void schema_script::use_index(catalog::relation& relation, std::string const& index, std::string const& name, char kind) {
    auto const found = std::ranges::find(relation.unique_indexes, index, &catalog::index_entry::name);
    if (found == relation.unique_indexes.end()) throw std::runtime_error{"no index " + index};
    if (!name.empty()) found->name = name;
    found->primary = kind == 'p';
    relation.constraints.push_back({.id = next_++, .name = found->name, .kind = kind, .columns = found->columns});
}

bool schema_script::table_constraint(catalog::oid id, reader& in) {
    auto const began = in.at;
    key wanted;
    if (in.accept("constraint")) wanted.name = in.name();
    auto& relation = *std::ranges::find(relations_, id, &catalog::relation::id);
    if (in.accept("primary key")) {
        wanted.kind = 'p';
    } else if (in.accept("unique")) {
        wanted.kind = 'u';
        wanted.nulls_not_distinct = in.accept("nulls not distinct");
    } else if (in.accept("foreign key")) {
        wanted.kind = 'f';
    } else if (in.accept("check")) {
        wanted.kind = 'c';
    } else if (in.accept("exclude")) {
        in.skip_item();
        return true;
    } else {
        in.at = began;
        return false;
    }
    if (in.accept("using index")) {
        use_index(relation, in.name(), wanted.name, wanted.kind);
    } else if (wanted.kind == 'c') {
        in.bracketed();
        add_key(relation, std::move(wanted));
    } else {
        wanted.columns = column_names(in.bracketed());
        add_key(relation, std::move(wanted));
    }
    in.skip_item();
    return true;
}

void schema_script::column_constraint(catalog::oid id, std::string const& column, reader& in) {
    auto& relation = *std::ranges::find(relations_, id, &catalog::relation::id);
    auto& its_column = *std::ranges::find(relation.columns, column, &catalog::column::name);
    std::string name;
    if (in.accept("constraint")) name = in.name();
    if (in.accept("not null")) {
        its_column.not_null = true;
    } else if (in.accept("primary key")) {
        add_key(relation, {.name = name, .kind = 'p', .columns = {column}});
    } else if (in.accept("unique")) {
        bool const not_distinct = in.accept("nulls not distinct");
        add_key(relation, {.name = name, .kind = 'u', .columns = {column}, .nulls_not_distinct = not_distinct});
    } else if (in.accept("references")) {
        in.qualified();
        if (in.is("(")) in.bracketed();
        while (in.accept("on delete") || in.accept("on update")) {
            if (!in.accept("set null") && !in.accept("set default") && !in.accept("no action")) ++in.at;
        }
        add_key(relation, {.name = name, .kind = 'f', .columns = {column}});
    } else if (in.accept("check")) {
        in.bracketed();
        add_key(relation, {.name = name, .kind = 'c', .columns = {column}});
    } else if (in.accept("generated")) {
        char const how = in.accept("by default") ? 'd' : 'a';
        in.accept("always");
        in.expect("as");
        if (in.accept("identity")) {
            its_column.identity = how;
            its_column.not_null = true;
        } else {
            in.bracketed();
            its_column.generated = in.accept("stored") ? 's' : 'v';
            its_column.has_default = true;
        }
        if (in.is("(")) in.bracketed();
    } else if (in.accept("default")) {
        its_column.has_default = true;
        do {
            if (in.is("(")) in.bracketed();
            else ++in.at;
        } while (!in.done() && !in.is_one_of({",", ")", "constraint", "not", "null", "primary", "unique", "references", "check", "generated"}));
    } else {
        if (in.is("(")) in.bracketed();
        else ++in.at; // NULL, COLLATE x, DEFERRABLE, …
    }
}

void schema_script::create_index(reader& in, bool unique) {
    in.accept("concurrently");
    in.accept("if not exists");
    std::string name;
    if (!in.is("on")) name = in.name();
    in.expect("on");
    in.accept("only");
    auto const [schema, table] = in.qualified();
    auto& relation = find(schema, table);
    if (in.accept("using")) in.name();
    catalog::index_entry index{.id = next_++, .name = std::move(name), .columns = {}, .unique = true, .primary = false,
                               .immediate = true, .nulls_not_distinct = false, .predicate = {}, .expressions = {}};
    reader items{in.bracketed()};
    std::string joined;
    while (!items.done()) {
        auto const first = items.at;
        auto const item = std::string{items.here()};
        bool const expression = items.is("(") || (items.at + 1 < items.tokens.size() && items.text[items.tokens[items.at + 1].begin] == '(');
        if (expression) {
            items.skip_item();
            auto const begin = items.tokens[first].begin;
            index.expressions += (index.expressions.empty() ? "" : ", ") +
                                 std::string{items.text.substr(begin, items.tokens[items.at - 1].end - begin)};
            index.columns.push_back(0);
            joined += "_expr";
        } else {
            auto const column = items.name();
            auto const* found = relation.find_column(column);
            if (found == nullptr) in.fail("no column " + column);
            index.columns.push_back(found->number);
            joined += "_" + column;
            items.skip_item();
        }
        items.accept(",");
    }
    if (index.name.empty()) index.name = relation.name + joined + "_idx";
    if (in.accept("include")) in.bracketed();
    index.nulls_not_distinct = in.accept("nulls not distinct");
    if (in.accept("where")) index.predicate = std::string{in.text.substr(in.tokens[in.at].begin)};
    if (unique) relation.unique_indexes.push_back(std::move(index));
}

void schema_script::rename_index(reader& in) {
    in.accept("if exists");
    auto const before = in.qualified().second;
    in.expect("rename to");
    auto const after = in.name();
    for (auto& relation : relations_) rename_constraint(relation, before, after);
}

bool schema_script::drop_index(std::string const& name) {
    bool any = false;
    for (auto& relation : relations_) {
        any |= std::erase_if(relation.unique_indexes, [&](auto const& i) { return i.name == name; }) > 0;
    }
    return any;
}

void schema_script::drop_constraint(catalog::relation& relation, std::string const& name) {
    std::erase_if(relation.constraints, [&](auto const& c) { return c.name == name; });
    std::erase_if(relation.unique_indexes, [&](auto const& i) { return i.name == name; });
}

/// A constraint and its index have one name.
void schema_script::rename_constraint(catalog::relation& relation, std::string const& before, std::string const& after) {
    for (auto& constraint : relation.constraints) {
        if (constraint.name == before) constraint.name = after;
    }
    for (auto& index : relation.unique_indexes) {
        if (index.name == before) index.name = after;
    }
}

} // namespace pgmend::healing::testing
