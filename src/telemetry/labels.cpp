#include "pgmend/telemetry/labels.hpp"

#include <utility>

namespace pgmend::telemetry {
namespace {

constexpr std::size_t digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<std::size_t>(c - '0');
    if (c >= 'A' && c <= 'Z') return static_cast<std::size_t>(c - 'A') + 10;
    return class_count;
}

constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

} // namespace

statement_kind kind_of_tag(std::string_view tag) {
    if (tag.size() < 3) return statement_kind::other;
    switch (tag[0]) {
    case 'S': return tag.starts_with("SELECT") ? statement_kind::select : statement_kind::other;
    case 'I': return tag.starts_with("INSERT") ? statement_kind::insert : tag.starts_with("IMPORT") ? statement_kind::ddl : statement_kind::other;
    case 'U': return tag.starts_with("UPDATE") ? statement_kind::update : statement_kind::other;
    case 'M': return tag.starts_with("MERGE") ? statement_kind::update : tag.starts_with("MOVE") ? statement_kind::select : statement_kind::other;
    case 'F': return tag.starts_with("FETCH") ? statement_kind::select : statement_kind::other;
    case 'D':
        if (tag.starts_with("DELETE")) return statement_kind::delete_rows;
        return tag.starts_with("DROP") ? statement_kind::ddl : statement_kind::other;
    case 'C':
        if (tag.starts_with("COPY")) return statement_kind::copy;
        return tag.starts_with("CREATE") || tag.starts_with("COMMENT") ? statement_kind::ddl : statement_kind::other;
    case 'A': return tag.starts_with("ALTER") ? statement_kind::ddl : statement_kind::other;
    case 'G': return tag.starts_with("GRANT") ? statement_kind::ddl : statement_kind::other;
    case 'R': return tag.starts_with("REVOKE") || tag.starts_with("REFRESH") || tag.starts_with("REASSIGN") ? statement_kind::ddl : statement_kind::other;
    case 'T': return tag.starts_with("TRUNCATE") ? statement_kind::ddl : statement_kind::other;
    default: return statement_kind::other;
    }
}

strategy strategy_of(std::string_view pattern) {
    static constexpr std::pair<std::string_view, strategy> beginnings[] = {
        {"column ", strategy::column},       {"relation ", strategy::relation},          {"function ", strategy::function},
        {"type ", strategy::type},           {"enum ", strategy::label},                 {"constraint ", strategy::constraint},
        {"ambiguous ", strategy::ambiguous}, {"dropped ", strategy::dropped},            {"identity ", strategy::identity},
        {"conflict ", strategy::conflict},   {"rule ", strategy::rule},                  {"sequence ", strategy::relation},
        {"label ", strategy::label},         {"parameter", strategy::cast}};
    for (auto const& [beginning, is] : beginnings) {
        if (!pattern.starts_with(beginning)) continue;
        auto const first = pattern.substr(0, pattern.find("; "));
        return is == strategy::column && first.find(": cast") != std::string_view::npos ? strategy::cast : is;
    }
    return strategy::other;
}

std::size_t class_of(std::string_view sqlstate) {
    if (sqlstate.size() != 5) return class_count - 1;
    auto const high = digit_of(sqlstate[0]);
    auto const low = digit_of(sqlstate[1]);
    return high == class_count || low == class_count ? class_count - 1 : high * 36 + low;
}

std::array<char, 2> class_name(std::size_t number) {
    if (number >= class_count - 1) return {'?', '?'};
    return {digits[number / 36], digits[number % 36]};
}

} // namespace pgmend::telemetry
