#include "written_names.hpp"

#include "pgmend/sql/names.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace pgmend::rules {
namespace {

constexpr std::size_t most_name_bytes = 63; // NAMEDATALEN - 1; PostgreSQL cuts longer ones, with a notice

base::error must_be(std::string_view what, std::string_view text) {
    return base::fail(base::errc::invalid_input, fmt::format("must be {}, not {}", what, yaml::in_quotes(text)));
}

/// From `least` to `most` identifiers.
base::result<std::vector<std::string>> parts(std::string_view text, std::size_t least, std::size_t most, std::string_view what) {
    auto found = sql::split_name(text);
    if (!found || found->size() < least) return must_be(what, text);
    if (found->size() == most + 1 && least == most - 1)
        return must_be(std::string{what} + " (a database is named in when: { database: … })", text);
    if (found->size() > most) return must_be(what, text);
    for (auto const& name : *found) {
        if (name.empty()) return must_be(what, text);
        if (name.size() > most_name_bytes)
            return base::fail(base::errc::too_large, fmt::format("has a name that is longer than {} bytes: {}", most_name_bytes, yaml::in_quotes(name)));
    }
    return std::move(*found);
}

} // namespace

base::result<column_name> parse_column_name(std::string_view text) {
    auto found = parts(text, 2, 3, "[schema.]table.column");
    if (!found) return found.error();
    auto& names = *found;
    if (names.size() == 2) names.insert(names.begin(), std::string{});
    return column_name{std::move(names[0]), std::move(names[1]), std::move(names[2])};
}

base::result<object_name> parse_object_name(std::string_view text) {
    if (text.find('(') != std::string_view::npos && text.find('"') == std::string_view::npos) return must_be("a name, without arguments", text);
    auto found = parts(text, 1, 2, "[schema.]name");
    if (!found) return found.error();
    auto& names = *found;
    if (names.size() == 1) names.insert(names.begin(), std::string{});
    return object_name{std::move(names[0]), std::move(names[1])};
}

base::result<std::string> parse_name(std::string_view text) {
    auto found = parts(text, 1, 1, "one name");
    if (!found) return found.error();
    return std::move(found->front());
}

std::string parse_label(std::string_view text) {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string{text};
    std::string out;
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        out += text[i];
        if (text[i] == '"' && i + 2 < text.size() && text[i + 1] == '"') ++i;
    }
    return out;
}

base::result<label_renamed> parse_label_name(std::string_view text) {
    constexpr std::string_view what = "[schema.]type.label";
    bool quoted = false;
    std::size_t period = std::string_view::npos;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"') quoted = !quoted;
        if (text[i] == '.' && !quoted) period = i;
    }
    if (quoted || period == std::string_view::npos || period + 1 == text.size()) return must_be(what, text);
    auto type = parts(text.substr(0, period), 1, 2, what);
    if (!type) return must_be(what, text);
    label_renamed out;
    if (type->size() == 2) out.type.schema = std::move(type->front());
    out.type.name = std::move(type->back());
    out.label = parse_label(text.substr(period + 1));
    return out;
}

std::string written(object_name const& name) {
    return (name.schema.empty() ? std::string{} : sql::quoted_name(name.schema) + ".") + sql::quoted_name(name.name);
}

std::string written(column_name const& name) {
    return written(object_name{name.schema, name.table}) + "." + sql::quoted_name(name.column);
}

std::string written_label(std::string_view label) {
    if (!label.empty() && label.find_first_of(".\"") == std::string_view::npos) return std::string{label};
    std::string out{'"'};
    for (char const c : label) {
        if (c == '"') out += '"';
        out += c;
    }
    return out += '"';
}

} // namespace pgmend::rules
