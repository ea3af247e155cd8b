// Types, functions and schemas, and the picture as a whole.
#include "healing/schema_script.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <tuple>

namespace pgmend::healing::testing {

namespace {

struct built_in {
    std::string_view name;
    catalog::oid id;
    catalog::oid array;
    char kind{'b'};
};

constexpr std::array built_ins{
    built_in{"bool", 16, 1000},     built_in{"bytea", 17, 1001},       built_in{"name", 19, 1003},          built_in{"int8", 20, 1016},
    built_in{"int2", 21, 1005},     built_in{"int4", 23, 1007},        built_in{"text", 25, 1009},          built_in{"oid", 26, 1028},
    built_in{"json", 114, 199},     built_in{"float4", 700, 1021},     built_in{"float8", 701, 1022},       built_in{"unknown", 705, 0, 'p'},
    built_in{"money", 790, 791},    built_in{"inet", 869, 1041},       built_in{"bpchar", 1042, 1014},      built_in{"varchar", 1043, 1015},
    built_in{"date", 1082, 1182},   built_in{"time", 1083, 1183},      built_in{"timestamp", 1114, 1115},   built_in{"timestamptz", 1184, 1185},
    built_in{"interval", 1186, 1187}, built_in{"timetz", 1266, 1270},  built_in{"numeric", 1700, 1231},     built_in{"regclass", 2205, 2210},
    built_in{"record", 2249, 2287, 'p'}, built_in{"void", 2278, 0, 'p'}, built_in{"trigger", 2279, 0, 'p'}, built_in{"uuid", 2950, 2951},
    built_in{"anyelement", 2283, 0, 'p'},
    built_in{"jsonb", 3802, 3807},
};

std::string_view without_alias(std::string_view name) {
    static std::map<std::string_view, std::string_view> const aliases{
        {"int", "int4"}, {"integer", "int4"}, {"serial", "int4"}, {"bigint", "int8"}, {"bigserial", "int8"}, {"smallint", "int2"},
        {"smallserial", "int2"}, {"boolean", "bool"}, {"real", "float4"}, {"double precision", "float8"}, {"float", "float8"},
        {"char", "bpchar"}, {"character", "bpchar"}, {"character varying", "varchar"}, {"decimal", "numeric"},
        {"timestamp with time zone", "timestamptz"}, {"timestamp without time zone", "timestamp"},
        {"time with time zone", "timetz"}, {"time without time zone", "time"},
    };
    auto const found = aliases.find(name);
    return found == aliases.end() ? name : found->second;
}

bool mentions_session(std::string_view text) {
    std::string lower;
    for (char const c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return std::ranges::any_of(std::array{"set_config", "search_path", "session_authorization", "role", "temp", "execute"},
                               [&](char const* word) { return lower.find(word) != std::string::npos; });
}

} // namespace

schema_script::schema_script() : schemas_{{11, "pg_catalog"}, {2200, "public"}, {13000, "information_schema"}} {}

void schema_script::need_schema(std::string const& name) {
    if (std::ranges::find(schemas_, name, &catalog::schema_entry::name) == schemas_.end()) schemas_.push_back({next_++, name});
}

/// A type that nobody made is made here, so that short scripts stay short.
schema_script::type_reference schema_script::type(reader& in) {
    type_reference found;
    std::string schema;
    found.word = in.name();
    if (in.accept(".")) {
        schema = std::exchange(found.word, in.name());
    } else if (found.word == "double") {
        in.expect("precision");
        found.word += " precision";
    } else if (found.word == "character" && in.accept("varying")) {
        found.word += " varying";
    }
    std::vector<int> numbers;
    if (in.accept("(")) {
        do numbers.push_back(std::stoi(std::string{in.here()})), ++in.at;
        while (in.accept(","));
        in.expect(")");
    }
    if (in.accept("with time zone")) found.word += " with time zone";
    else if (in.accept("without time zone")) found.word += " without time zone";
    auto const name = std::string{without_alias(found.word)};
    if (found.word == "char" && numbers.empty()) numbers.push_back(1);
    if (name == "numeric" && !numbers.empty()) {
        found.modifier = (numbers[0] << 16 | (numbers.size() > 1 ? numbers[1] : 0)) + 4;
    } else if (!numbers.empty()) {
        found.modifier = numbers[0] + (name == "varchar" || name == "bpchar" ? 4 : 0);
    }
    catalog::oid array = 0;
    auto const* const known = std::ranges::find(built_ins, std::string_view{name}, &built_in::name);
    if ((schema.empty() || schema == "pg_catalog") && known != built_ins.end()) {
        found.type = known->id;
        array = known->array;
    } else {
        if (schema.empty()) schema = "public";
        for (auto const& relation : relations_) { // a row type
            if (relation.schema == schema && relation.name == name && relation.kind != 'S' && relation.kind != 'c') found.type = relation.id + 1, array = relation.id + 2;
        }
        if (found.type == 0) {
            auto* its = find_type(schema, name);
            if (its == nullptr) its = &make_type(schema, name, 'b');
            found.type = its->id;
            array = its->array;
        }
    }
    while (in.accept("[")) {
        if (!in.is("]")) ++in.at;
        in.expect("]");
        found.type = array;
    }
    return found;
}

catalog::type_entry* schema_script::find_type(std::string const& schema, std::string const& name) {
    auto const found = std::ranges::find_if(types_, [&](auto const& t) { return t.schema == schema && t.name == name; });
    return found == types_.end() ? nullptr : &*found;
}

catalog::type_entry& schema_script::make_type(std::string const& schema, std::string const& name, char kind) {
    need_schema(schema);
    auto& made = types_.emplace_back();
    made.array = next_++; // PostgreSQL takes the array's oid first
    made.id = next_++;
    made.schema = schema;
    made.name = name;
    made.kind = kind;
    return made;
}

void schema_script::create_type(reader& in) {
    auto const [schema, name] = in.qualified();
    if (in.accept("as enum")) {
        auto& made = make_type(schema, name, 'e');
        reader labels{in.bracketed()};
        while (!labels.done()) {
            made.labels.push_back({next_++, labels.literal()});
            labels.accept(",");
        }
    } else if (in.accept("as")) {
        auto const id = make_type(schema, name, 'c').relation = next_++;
        auto& attributes = relations_.emplace_back();
        attributes.id = id;
        attributes.schema = schema;
        attributes.name = name;
        attributes.kind = 'c';
        reader list{in.bracketed()};
        while (!list.done()) {
            add_column(id, list);
            list.accept(",");
        }
    } else {
        make_type(schema, name, 'b');
    }
}

void schema_script::create_domain(reader& in) {
    auto const [schema, name] = in.qualified();
    in.accept("as");
    auto const base = type(in).type;
    make_type(schema, name, 'd').base = base;
}

void schema_script::alter_type(reader& in) {
    auto const [schema, name] = in.qualified();
    auto* const found = find_type(schema, name);
    if (found == nullptr) in.fail("no type " + name);
    auto const label = [&](std::string const& wanted) {
        auto const its = std::ranges::find(found->labels, wanted, &catalog::enum_label::label);
        if (its == found->labels.end()) in.fail("no label " + wanted);
        return its;
    };
    auto const attributes = std::ranges::find_if(relations_, [&](auto const& r) { return r.id == found->relation && r.kind == 'c'; });
    auto const attribute = [&](std::string const& wanted) -> catalog::column& {
        if (attributes == relations_.end()) in.fail("no composite type " + name);
        auto const its = std::ranges::find(attributes->columns, wanted, &catalog::column::name);
        if (its == attributes->columns.end()) in.fail("no attribute " + wanted);
        return *its;
    };
    if (in.accept("rename to")) {
        found->name = in.name();
        if (attributes != relations_.end()) attributes->name = found->name;
    } else if (in.accept("rename attribute")) {
        auto& its = attribute(in.name());
        in.expect("to");
        its.name = in.name();
    } else if (in.accept("add attribute")) {
        add_column(found->relation, in);
    } else if (in.accept("drop attribute")) {
        drop_column(*attributes, in.name());
    } else if (in.accept("alter attribute")) {
        auto& its = attribute(in.name());
        alter_column(in, *attributes, its);
    } else if (in.accept("rename value")) {
        auto const its = label(in.literal());
        in.expect("to");
        its->label = in.literal();
    } else if (in.accept("add value")) {
        in.accept("if not exists");
        auto const added = in.literal();
        auto at = found->labels.end();
        if (in.accept("before")) at = label(in.literal());
        else if (in.accept("after")) at = std::next(label(in.literal()));
        found->labels.insert(at, {next_++, added});
    } else if (in.accept("set schema")) {
        found->schema = in.name();
        need_schema(found->schema);
        if (attributes != relations_.end()) attributes->schema = found->schema;
    } else if (!in.is("owner")) {
        in.fail("not known");
    }
}

void schema_script::create_function(reader& in, char kind) {
    catalog::function_entry made;
    std::tie(made.schema, made.name) = in.qualified();
    made.kind = kind;
    std::vector<catalog::oid> results;
    reader list{in.bracketed()};
    while (!list.done()) {
        bool const out = list.accept("out");
        bool const both = !out && list.accept("inout");
        bool const variadic = !out && !both && list.accept("variadic");
        list.accept("in");
        std::string name;
        // A name stands in front of the type, unless the one word that is left is the type.
        auto const next = list.at + 1 < list.tokens.size() ? list.text.substr(list.tokens[list.at + 1].begin) : std::string_view{};
        bool const two_words = !next.empty() && (std::isalpha(static_cast<unsigned char>(next.front())) || next.front() == '_' || next.front() == '"') &&
                               !next.starts_with("default") && !next.starts_with("DEFAULT") && !next.starts_with("precision") &&
                               !next.starts_with("varying") && !next.starts_with("with");
        if (two_words) name = list.name();
        auto const its_type = type(list).type;
        if (!out) made.arguments.push_back(its_type);
        if (out || both) {
            results.push_back(its_type);
            made.output_names.push_back(name);
        }
        if (variadic) {
            for (auto const& b : built_ins) {
                if (b.array == its_type) made.variadic = b.id;
            }
            for (auto const& t : types_) {
                if (t.array == its_type) made.variadic = t.id;
            }
        }
        if (list.accept("default") || list.accept("=")) ++made.defaults;
        list.skip_item();
        list.accept(",");
    }
    if (in.accept("returns table")) {
        reader columns{in.bracketed()};
        made.returns_set = true;
        while (!columns.done()) {
            made.output_names.push_back(columns.name());
            results.push_back(type(columns).type);
            columns.accept(",");
        }
    } else if (in.accept("returns")) {
        made.returns_set = in.accept("setof");
        made.result = type(in).type;
    }
    if (made.result == 0) made.result = results.size() == 1 ? results.front() : results.empty() ? 2278 : 2249;
    for (; !in.done(); ++in.at) {
        if (in.is("immutable")) made.volatility = 'i';
        if (in.is("stable")) made.volatility = 's';
        if (in.is("c") || in.is("internal") || mentions_session(in.here())) made.changes_session = true;
    }
    for (auto& there : functions_) { // OR REPLACE
        if (there.schema != made.schema || there.name != made.name || there.arguments != made.arguments) continue;
        made.id = there.id;
        there = std::move(made);
        return;
    }
    need_schema(made.schema);
    made.id = next_++;
    functions_.push_back(std::move(made));
}

catalog::function_entry& schema_script::find_function(reader& in) {
    auto const [schema, name] = in.qualified();
    std::optional<std::vector<catalog::oid>> arguments;
    if (in.is("(")) {
        arguments.emplace();
        reader list{in.bracketed()};
        while (!list.done()) {
            arguments->push_back(type(list).type);
            list.accept(",");
        }
    }
    for (auto& function : functions_) {
        if (function.schema == schema && function.name == name && (!arguments || function.arguments == *arguments)) return function;
    }
    in.fail("no function " + name);
}

void schema_script::alter_function(reader& in) {
    auto& function = find_function(in);
    if (in.accept("rename to")) {
        function.name = in.name();
    } else if (in.accept("set schema")) {
        function.schema = in.name();
        need_schema(function.schema);
    } else if (!in.is("owner")) {
        in.fail("not known");
    }
}

std::shared_ptr<catalog::snapshot const> schema_script::take() const {
    catalog::contents all;
    auto const add_type = [&](catalog::type_entry t) {
        if (t.array != 0)
            all.types.push_back(std::make_shared<catalog::type_entry>(
                catalog::type_entry{.id = t.array, .schema = t.schema, .name = "_" + t.name, .kind = 'b', .element = t.id}));
        all.types.push_back(std::make_shared<catalog::type_entry>(std::move(t)));
    };
    for (auto const& b : built_ins)
        add_type({.id = b.id, .schema = "pg_catalog", .name = std::string{b.name}, .kind = b.kind, .element = 0, .array = b.array});
    for (auto const& relation : relations_) {
        all.relations.push_back(std::make_shared<catalog::relation>(relation));
        if (relation.kind != 'S' && relation.kind != 'c')
            add_type({.id = relation.id + 1, .schema = relation.schema, .name = relation.name, .kind = 'c', .element = 0,
                      .array = relation.id + 2, .base = 0, .relation = relation.id});
    }
    for (auto const& t : types_) add_type(t);
    for (auto const& function : functions_) all.functions.push_back(std::make_shared<catalog::function_entry>(function));
    for (auto const& schema : schemas_) all.schemas.push_back(std::make_shared<catalog::schema_entry>(schema));
    all.system_functions = std::make_shared<std::vector<std::string> const>(
        std::vector<std::string>{"abs", "array_agg", "array_length", "avg", "concat", "count", "currval", "date_trunc", "dense_rank",
                                 "enum_first", "enum_range", "generate_series", "json_agg", "json_build_object",
                                 "json_each", "json_populate_record", "json_to_record", "jsonb_agg",
                                 "jsonb_array_elements_text", "jsonb_build_object", "lag", "left", "length", "lower",
                                 "make_interval", "max", "min", "nextval", "now", "percentile_disc", "pg_get_serial_sequence",
                                 "pg_options_to_table", "pg_show_all_settings", "rank", "regexp_split_to_table",
                                 "repeat", "round", "row_number", "row_to_json", "set_config", "setval", "string_agg",
                                 "string_to_array", "substr", "sum", "to_json", "to_jsonb", "to_regclass",
                                 "to_timestamp", "unnest", "upper"});
    return std::make_shared<catalog::snapshot>(catalog::database_identity{system_identifier, 5}, std::move(all));
}

} // namespace pgmend::healing::testing
