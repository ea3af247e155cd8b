#include "pgmend/session/session_probe.hpp"

#include "pgmend/sql/array_text.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pgmend::session {
namespace {

constexpr std::size_t most_temporary_relations = 10000;

// One row, and no set operations: in a session's first heal planning is what this takes its time for.
// Operators and types are qualified: the session's search_path may begin with somebody's schema.
constexpr base::byte_view probe_sql =
    "SELECT pg_catalog.current_schemas(true)::pg_catalog.text[], pg_catalog.current_setting('search_path'), current_user::pg_catalog.text,"
    " ARRAY(SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()),"
    " ARRAY(SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS n"
    " WHERE n.nspname OPERATOR(pg_catalog.=) current_user OR 0 OPERATOR(pg_catalog.<) pg_catalog.strpos("
    "pg_catalog.current_setting('search_path'), pg_catalog.replace(n.nspname::pg_catalog.text, '\"', '\"\"')))";

// Tells the text and the types that the server itself holds, so pgmend need not keep them.
constexpr base::byte_view prepared_sql =
    "SELECT p.statement, p.parameter_types::pg_catalog.oid[]::pg_catalog.text FROM pg_catalog.pg_prepared_statements AS p"
    " WHERE p.name OPERATOR(pg_catalog.=) $1 AND NOT p.from_sql";

template <class T>
std::optional<T> number(base::byte_view text) {
    T value{};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// `{23,25}` as the elements it holds.
std::optional<std::vector<std::uint32_t>> read_oid_array(base::byte_view text) {
    std::vector<std::uint32_t> oids;
    if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::nullopt;
    text = text.substr(1, text.size() - 2);
    while (!text.empty()) {
        auto const comma = std::min(text.find(','), text.size());
        auto const oid = number<std::uint32_t>(text.substr(0, comma));
        if (!oid) return std::nullopt;
        oids.push_back(*oid);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return oids;
}

/// The names in an array.
std::optional<std::vector<std::string>> read_names(base::byte_view text) {
    auto elements = sql::array_elements(text);
    if (!elements) return std::nullopt;
    std::vector<std::string> names;
    names.reserve(elements->size());
    for (auto& it : *elements) {
        if (!it.value) return std::nullopt;
        names.push_back(std::move(*it.value));
    }
    return names;
}

/// The names in a setting of search_path, as PostgreSQL reads them.
std::vector<std::string> read_path(base::byte_view setting) {
    std::vector<std::string> names;
    std::string name;
    bool quoted = false;
    for (std::size_t i = 0; i <= setting.size(); ++i) {
        char const c = i < setting.size() ? setting[i] : ',';
        if (quoted && i < setting.size()) {
            if (c != '"') name += c;
            else if (i + 1 < setting.size() && setting[i + 1] == '"') name += setting[++i];
            else quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            if (!name.empty()) names.push_back(std::exchange(name, {}));
        } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        }
    }
    return names;
}

constexpr auto not_understood = "the server's answer is not understood";

} // namespace

void session_probe::append(std::string& out, base::byte_view prepared) {
    base::byte_view const parameters[] = {prepared};
    if (!prepared.empty()) append_statement(out, prepared_sql, parameters);
    append_statement(out, probe_sql);
}

std::optional<std::string> session_probe::on_row(base::byte_view body) {
    auto const columns = wire::read_data_row(body);
    bool const complete = columns && std::all_of(columns->begin(), columns->end(), [](auto const& it) { return it.has_value(); });
    if (!complete || (columns->size() != 2 && columns->size() != 5)) return not_understood;
    auto const text = [&](std::size_t i) { return *(*columns)[i]; };
    if (columns->size() == 2) {
        auto types = read_oid_array(text(1));
        if (!types) return not_understood;
        prepared_ = prepared_statement{std::string{text(0)}, std::move(*types)};
        return std::nullopt;
    }
    auto path = read_names(text(0));
    auto temporary = read_names(text(3));
    auto schemas = read_names(text(4));
    if (!path || !temporary || !schemas) return not_understood;
    if (temporary->size() > most_temporary_relations) return "too many temporary relations";
    existing_path_ = std::move(*path);
    view_.temporary_relations = std::move(*temporary);
    existing_schemas_ = std::move(*schemas);
    view_.role = text(2);
    for (auto& name : read_path(text(1))) {
        if (name != "$user") set_path_.push_back(std::move(name));
        else if (!view_.role.empty()) set_path_.push_back(view_.role);
    }
    return std::nullopt;
}

/// current_schemas() leaves out what does not exist. A schema that was renamed or dropped was on the path, though, and hid what
/// comes behind it.
void session_probe::finish() {
    auto const among = [](std::vector<std::string> const& names, std::string const& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    for (auto const& name : existing_path_) { // those that are always there come first
        if (!among(set_path_, name)) view_.search_path.push_back(name);
    }
    for (auto const& name : set_path_) {
        if (among(view_.search_path, name)) continue;
        if (among(existing_path_, name) || !among(existing_schemas_, name)) view_.search_path.push_back(name);
    }
}

} // namespace pgmend::session
