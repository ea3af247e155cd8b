#include "healing/schema_script.hpp"

#include <algorithm>

namespace pgmend::healing::testing {

void schema_script::create(reader& in) {
    bool const replace = in.accept("or replace");
    if (in.accept("schema")) {
        in.accept("if not exists");
        need_schema(in.name());
    } else if (in.accept("type")) {
        create_type(in);
    } else if (in.accept("domain")) {
        create_domain(in);
    } else if (in.accept("unique index")) {
        create_index(in, true);
    } else if (in.accept("index")) {
        create_index(in, false);
    } else if (in.accept("function")) {
        create_function(in, 'f');
    } else if (in.accept("procedure")) {
        create_function(in, 'p');
    } else if (in.accept("table")) {
        create_table(in);
    } else if (in.accept("view")) {
        create_view(in, 'v', replace);
    } else if (in.accept("materialized view")) {
        create_view(in, 'm', replace);
    } else if (in.accept("sequence")) {
        auto const [schema, name] = in.qualified();
        make(schema, name, 'S');
    } else if (!in.is("extension") && !in.is("trigger")) {
        in.fail("not known");
    }
}

void schema_script::alter_schema(reader& in) {
    auto const before = in.name();
    in.expect("rename to");
    auto const after = in.name();
    for (auto& schema : schemas_) {
        if (schema.name == before) schema.name = after;
    }
    auto const follow = [&](auto& objects) {
        for (auto& object : objects) {
            if (object.schema == before) object.schema = after;
        }
    };
    follow(relations_);
    follow(types_);
    follow(functions_);
    need_schema(after);
}

void schema_script::alter(reader& in) {
    if (in.accept("schema")) return alter_schema(in);
    if (in.accept("type") || in.accept("domain")) return alter_type(in);
    if (in.accept("function") || in.accept("procedure") || in.accept("routine")) return alter_function(in);
    if (in.accept("index")) return rename_index(in);
    in.accept("materialized");
    if (!in.accept("view") && !in.accept("sequence")) in.expect("table");
    alter_relation(in);
}

void schema_script::drop(reader& in) {
    auto const kind = std::string{in.name()};
    if (kind == "materialized") in.expect("view");
    in.accept("concurrently");
    in.accept("if exists");
    do {
        if (kind == "function" || kind == "procedure" || kind == "routine") {
            auto const* gone = &find_function(in);
            functions_.erase(functions_.begin() + (gone - functions_.data()));
        } else if (kind == "schema") {
            auto const gone = in.name();
            std::erase_if(schemas_, [&](auto const& s) { return s.name == gone; });
            std::erase_if(relations_, [&](auto const& r) { return r.schema == gone; });
            std::erase_if(types_, [&](auto const& t) { return t.schema == gone; });
            std::erase_if(functions_, [&](auto const& f) { return f.schema == gone; });
        } else if (kind == "type" || kind == "domain") {
            auto const [schema, name] = in.qualified();
            std::erase_if(types_, [&](auto const& t) { return t.schema == schema && t.name == name; });
            std::erase_if(relations_, [&](auto const& r) { return r.kind == 'c' && r.schema == schema && r.name == name; });
        } else if (kind == "index") {
            drop_index(in.qualified().second);
        } else if (kind == "table" || kind == "view" || kind == "materialized" || kind == "sequence") {
            auto const [schema, name] = in.qualified();
            auto const* gone = &find(schema, name);
            relations_.erase(relations_.begin() + (gone - relations_.data()));
        } else if (kind != "trigger" && kind != "extension") {
            in.fail("not known");
        }
    } while (in.accept(","));
}

void schema_script::statement(reader& in) {
    if (in.accept("create")) return create(in);
    if (in.accept("alter")) return alter(in);
    if (in.accept("drop")) return drop(in);
    if (!in.is_one_of({"insert", "comment", "set", "grant", "update", "select"})) in.fail("not known");
}

void schema_script::run(std::string_view ddl) {
    auto const list = sql::scan(ddl);
    std::size_t first = 0;
    for (std::size_t i = 0; i <= list.tokens.size(); ++i) {
        bool const end = i == list.tokens.size() || ddl.substr(list.tokens[i].begin, list.tokens[i].end - list.tokens[i].begin) == ";";
        if (!end) continue;
        if (i > first) {
            auto const begin = list.tokens[first].begin;
            reader in{ddl.substr(begin, list.tokens[i - 1].end - begin)};
            statement(in);
        }
        first = i + 1;
    }
}

} // namespace pgmend::healing::testing
