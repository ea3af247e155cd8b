// Tables, views and sequences, and their columns.
#include "healing/schema_script.hpp"

#include "pgmend/sql/parse.hpp"

#include <algorithm>

namespace pgmend::healing::testing {

catalog::relation& schema_script::find(std::string const& schema, std::string const& name) {
    for (auto& relation : relations_) {
        if (relation.schema == schema && relation.name == name) return relation;
    }
    throw std::runtime_error{"no relation " + schema + "." + name};
}

/// Its row type and that one's array take the next oids.
catalog::relation& schema_script::make(std::string const& schema, std::string const& name, char kind) {
    need_schema(schema);
    auto& made = relations_.emplace_back();
    made.id = next_;
    next_ += 3;
    made.schema = schema;
    made.name = name;
    made.kind = kind;
    if (kind == 'S') {
        made.columns = {{.number = 1, .name = "last_value", .type = 20, .not_null = true},
                        {.number = 2, .name = "log_cnt", .type = 20, .not_null = true},
                        {.number = 3, .name = "is_called", .type = 16, .not_null = true}};
    }
    return made;
}

void schema_script::add_column(catalog::oid id, reader& in) {
    auto const relation = [&]() -> catalog::relation& {
        return *std::ranges::find(relations_, id, &catalog::relation::id);
    };
    catalog::column column;
    column.number = ++last_number_[id];
    column.name = in.name();
    auto const its_type = type(in);
    column.type = its_type.type;
    column.type_modifier = its_type.modifier;
    bool const serial = its_type.word.ends_with("serial");
    column.not_null = column.has_default = serial;
    relation().columns.push_back(column);
    if (serial) {
        auto const schema = relation().schema; // making one moves the others
        make(schema, relation().name + "_" + column.name + "_seq", 'S');
    }
    while (!in.done() && !in.is(",") && !in.is(")")) column_constraint(id, column.name, in);
}

void schema_script::create_table(reader& in) {
    in.accept("if not exists");
    auto const [schema, name] = in.qualified();
    auto const id = make(schema, name, 'r').id;
    in.expect("(");
    while (!in.accept(")")) {
        if (!table_constraint(id, in)) add_column(id, in);
        in.accept(",");
    }
    if (in.accept("partition by")) std::ranges::find(relations_, id, &catalog::relation::id)->kind = 'p';
}

void schema_script::create_view(reader& in, char kind, bool replace) {
    auto const [schema, name] = in.qualified();
    in.expect("as");
    auto const query = in.text.substr(in.tokens[in.at].begin);
    auto const parsed = sql::parsed_text::parse(std::string{query});
    if (!parsed) throw std::runtime_error{parsed.error().text};

    struct source final : sql::relation_source {
        explicit source(schema_script const& o) : owner{o} {}
        answer find(std::string_view s, std::string_view n) override {
            for (auto const& relation : owner.relations_) {
                if (relation.name != n || relation.schema != (s.empty() ? "public" : s)) continue;
                auto& made = offered[relation.id];
                made = {relation.id, relation.kind, {}, true};
                for (auto const& column : relation.columns) made.columns.push_back({column.name, column.number, false});
                return {&made, false};
            }
            return {};
        }
        bool is_temporary(std::string_view) const override { return false; }
        schema_script const& owner;
        std::map<catalog::oid, sql::offered_relation> offered;
    } lookup{*this};
    auto const outcome = parsed->resolve(0, lookup, false);
    auto const* resolution = std::get_if<sql::resolution>(&outcome);
    if (resolution == nullptr) throw std::runtime_error{std::get<sql::unresolved>(outcome).text};
    std::vector<catalog::column> columns;
    for (auto const& from : *resolution->columns) {
        catalog::column column;
        column.number = static_cast<std::int16_t>(columns.size() + 1);
        column.name = from.label;
        column.type = 25;
        for (auto const& relation : relations_) {
            auto const* base = relation.id == from.relation ? relation.find_column(from.column) : nullptr;
            if (base == nullptr) continue;
            column.type = base->type;
            column.type_modifier = base->type_modifier;
        }
        columns.push_back(column);
    }
    auto const same_name = [&](auto const& r) { return r.schema == schema && r.name == name; };
    auto const there = replace ? std::ranges::find_if(relations_, same_name) : relations_.end();
    (there != relations_.end() ? *there : make(schema, name, kind)).columns = std::move(columns);
}

void schema_script::set_schema(catalog::relation& relation, std::string const& moved) {
    need_schema(moved);
    auto const before = std::exchange(relation.schema, moved);
    auto const sequences = relation.name + "_";
    for (auto& other : relations_) { // owned sequences go along
        if (other.kind == 'S' && other.schema == before && other.name.starts_with(sequences)) other.schema = moved;
    }
}

void schema_script::drop_column(catalog::relation& relation, std::string const& name) {
    auto const* column = relation.find_column(name);
    if (column == nullptr) throw std::runtime_error{"no column " + name};
    auto const number = column->number;
    auto const uses = [&](auto const& it) { return std::ranges::find(it.columns, number) != it.columns.end(); };
    std::erase_if(relation.constraints, uses);
    std::erase_if(relation.unique_indexes, uses);
    std::erase_if(relation.columns, [&](auto const& c) { return c.number == number; });
}

void schema_script::alter_column(reader& in, catalog::relation& relation, catalog::column& column) {
    if (in.accept("set data type") || in.accept("type")) {
        auto const its_type = type(in);
        column.type = its_type.type;
        column.type_modifier = its_type.modifier;
    } else if (in.accept("set not null")) {
        column.not_null = true;
    } else if (in.accept("drop not null")) {
        column.not_null = false;
    } else if (in.accept("set default")) {
        column.has_default = true;
    } else if (in.accept("drop default")) {
        column.has_default = false;
    } else if (in.accept("add generated always") || in.accept("set generated always")) {
        column.identity = 'a';
    } else if (in.accept("add generated by default") || in.accept("set generated by default")) {
        column.identity = 'd';
    } else if (in.accept("drop identity")) {
        column.identity = 0;
    } else {
        in.fail("not known of " + relation.name);
    }
    in.skip_item();
}

void schema_script::alter_action(reader& in, catalog::oid id) {
    auto& relation = *std::ranges::find(relations_, id, &catalog::relation::id);
    auto const column = [&](std::string const& wanted) -> catalog::column& {
        auto const found = std::ranges::find(relation.columns, wanted, &catalog::column::name);
        if (found == relation.columns.end()) in.fail("no column " + wanted);
        return *found;
    };
    if (in.accept("rename to")) {
        relation.name = in.name();
    } else if (in.accept("rename constraint")) {
        auto const before = in.name();
        in.expect("to");
        rename_constraint(relation, before, in.name());
    } else if (in.accept("rename")) {
        in.accept("column");
        auto& renamed = column(in.name());
        in.expect("to");
        renamed.name = in.name();
    } else if (in.accept("set schema")) {
        set_schema(relation, in.name());
    } else if (in.accept("add")) {
        if (table_constraint(id, in)) return;
        in.accept("column");
        in.accept("if not exists");
        add_column(id, in);
    } else if (in.accept("drop constraint")) {
        in.accept("if exists");
        drop_constraint(relation, in.name());
        in.skip_item();
    } else if (in.accept("drop")) {
        in.accept("column");
        in.accept("if exists");
        drop_column(relation, in.name());
        in.skip_item();
    } else if (in.accept("alter")) {
        in.accept("column");
        alter_column(in, relation, column(in.name()));
    } else {
        in.skip_item(); // OWNER TO, ENABLE ROW LEVEL SECURITY, …
    }
}

void schema_script::alter_relation(reader& in) {
    in.accept("if exists");
    in.accept("only");
    auto const [schema, name] = in.qualified();
    auto const id = find(schema, name).id;
    do alter_action(in, id);
    while (in.accept(","));
}

} // namespace pgmend::healing::testing
