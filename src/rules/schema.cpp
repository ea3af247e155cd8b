#include "keys.hpp"

#include "pgmend/rules/rule_file.hpp"
#include "pgmend/yaml/json.hpp"

namespace pgmend::rules {
namespace {

using yaml::json;

json string_type() { return json::object{{"type", "string"}}; }

json list_of(json item) { return json::object{{"type", "array"}, {"items", std::move(item)}, {"minItems", std::int64_t{1}}}; }

json texts(std::vector<std::string_view> const& words) {
    json::array out;
    for (auto const w : words) out.emplace_back(std::string{w});
    return out;
}

json mapping(std::string_view group);

json::object members_of(key const& k) {
    switch (k.type) {
        case key_type::boolean: return {{"type", "boolean"}};
        case key_type::date: return {{"type", "string"}, {"pattern", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}};
        case key_type::duration: return {{"type", "string"}, {"pattern", "^[0-9]+ ?(ms|s|m|h)$"}};
        case key_type::names: return {{"type", "array"}, {"items", string_type()}, {"minItems", std::int64_t{1}}, {"uniqueItems", true}};
        case key_type::text_or_texts: return {{"anyOf", json::array{string_type(), list_of(string_type())}}};
        case key_type::choice: return {{"enum", texts({k.choices.begin(), k.choices.end()})}};
        case key_type::list_of_mappings: return {{"type", "array"}, {"items", mapping(k.children)}};
        // An unquoted 12 or false is text to pgmend.
        case key_type::text:
        case key_type::expression: return {{"type", json::array{"string", "number", "boolean"}}};
        case key_type::mapping:
        case key_type::column_name:
        case key_type::object_name:
        case key_type::label_name:
        case key_type::statement:
        case key_type::regex: break;
    }
    return {{"type", "string"}};
}

json property(key const& k) {
    if (k.type == key_type::mapping) return mapping(k.children);
    auto out = members_of(k);
    if (!k.help.empty()) out.insert(out.begin(), {"description", std::string{k.help}});
    return out;
}

json mapping(std::string_view group) {
    json::object properties;
    std::vector<std::string_view> required;
    for (auto const& k : all_keys()) {
        if (k.group != group) continue;
        properties.emplace_back(k.name, property(k));
        if (k.required) required.push_back(k.name);
    }
    json::object out{{"type", "object"}, {"additionalProperties", false}};
    if (!required.empty()) out.emplace_back("required", texts(required));
    if (required.empty()) out.emplace_back("minProperties", std::int64_t{1});
    if (group == "rule") {
        json::array forms; // exactly one subject with exactly one thing said of it
        for (auto const& f : all_forms()) forms.emplace_back(json::object{{"required", texts({f.subject, f.does})}});
        out.emplace_back("oneOf", std::move(forms));
    }
    out.emplace_back("properties", std::move(properties));
    return out;
}

} // namespace

std::string rule_file_schema() {
    json::object out{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "pgmend rules"}, {"type", "object"}, {"additionalProperties", false},
                     {"required", json::array{"rules"}}, {"properties", json::object{{"rules", property(*find_key("", "rules"))}}}};
    return json{std::move(out)}.text() + "\n";
}

} // namespace pgmend::rules
