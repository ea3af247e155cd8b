#include "keys.hpp"

#include "pgmend/config/load.hpp"
#include "pgmend/yaml/json.hpp"

#include <fmt/format.h>

namespace pgmend::config {
namespace {

using yaml::json;

json string_type() { return json::object{{"type", "string"}}; }
json strings() { return json::object{{"type", "array"}, {"items", string_type()}}; }

json choices(key const& k) {
    json::array out;
    for (auto const c : k.choices) out.emplace_back(std::string{c});
    return out;
}

json number(key const& k) {
    return json::object{{"type", "integer"}, {"minimum", static_cast<std::int64_t>(k.least)}, {"maximum", static_cast<std::int64_t>(k.most)}};
}

json pattern(char const* expression) { return json::object{{"type", "string"}, {"pattern", expression}}; }

json::object either(json a, json b) { return {{"anyOf", json::array{std::move(a), std::move(b)}}}; }

json mapping(std::string_view group);

constexpr char const* duration = "^[0-9]+ ?(ms|s|m|h)$";

json::object type_of(key const& k) {
    switch (k.type) {
        case key_type::boolean: return {{"type", "boolean"}};
        case key_type::number: return {{"type", "integer"}, {"minimum", static_cast<std::int64_t>(k.least)}, {"maximum", static_cast<std::int64_t>(k.most)}};
        case key_type::bytes: return either(number(k), pattern("^[0-9]+ ?(B|KiB|MiB|GiB)$"));
        case key_type::seconds:
        case key_type::milliseconds: return {{"type", "string"}, {"pattern", duration}};
        case key_type::number_or_duration: return either(number(k), pattern(duration));
        case key_type::percentage: return {{"type", "string"}, {"pattern", "^[0-9]+%$"}};
        case key_type::choice: return {{"enum", choices(k)}};
        case key_type::texts: return {{"type", "array"}, {"items", string_type()}};
        case key_type::paths: return either(string_type(), strings());
        case key_type::paths_or_mapping: return {{"anyOf", json::array{string_type(), strings(), mapping(k.children)}}};
        case key_type::list_of_mappings: return {{"type", "array"}, {"items", mapping(k.children)}};
        case key_type::connection: return {{"type", json::array{"string", "null"}}};
        case key_type::text: return {{"type", json::array{"string", "number"}}};
        case key_type::path:
        case key_type::listen_address:
        case key_type::backend_host:
        case key_type::mapping: break;
    }
    return {{"type", "string"}};
}

json property(key const& k) {
    json::object out;
    std::string text{k.help};
    if (!k.usual.empty()) text += fmt::format("{}[{}]", text.empty() ? "" : " ", k.usual);
    if (k.apply == nullptr) text = "without effect in this version";
    if (!text.empty()) out.emplace_back("description", text);
    auto members = k.type == key_type::mapping ? json::object{{"anyOf", json::array{mapping(k.children), json::object{{"type", "null"}}}}} : type_of(k);
    out.insert(out.end(), members.begin(), members.end());
    return out;
}

json mapping(std::string_view group) {
    json::object properties;
    for (auto const& k : all_keys())
        if (k.group == group) properties.emplace_back(k.name, property(k));
    return json::object{{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
}

} // namespace

std::string settings_schema() {
    json::object properties;
    for (auto const& k : all_keys())
        if (k.group.empty()) properties.emplace_back(k.name, property(k));
    json::object out{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "pgmend configuration"}, {"type", "object"}, {"additionalProperties", false},
                     {"properties", std::move(properties)}};
    return json{std::move(out)}.text() + "\n";
}

} // namespace pgmend::config
