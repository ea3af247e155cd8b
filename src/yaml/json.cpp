#include "pgmend/yaml/json.hpp"

#include <fmt/format.h>

namespace pgmend::yaml {
namespace {

constexpr std::size_t line_width = 120;

std::string quoted(std::string const& text) {
    std::string out{'"'};
    for (char const c : text) {
        if (c == '"' || c == '\\') out.append(1, '\\').append(1, c);
        else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else out += c;
    }
    return out += '"';
}

} // namespace

std::string json::line() const {
    if (auto const* const b = std::get_if<bool>(&value_)) return *b ? "true" : "false";
    if (auto const* const n = std::get_if<std::int64_t>(&value_)) return fmt::format("{}", *n);
    if (auto const* const s = std::get_if<std::string>(&value_)) return quoted(*s);
    std::string out;
    if (auto const* const a = std::get_if<array>(&value_)) {
        for (auto const& item : *a) out += (out.empty() ? "" : ", ") + item.line();
        return "[" + out + "]";
    }
    for (auto const& [name, member] : std::get<object>(value_)) out += (out.empty() ? "" : ", ") + quoted(name) + ": " + member.line();
    return "{" + out + "}";
}

std::string json::text(std::size_t indent) const {
    auto one_line = line();
    auto const* const items = std::get_if<array>(&value_);
    auto const* const members = std::get_if<object>(&value_);
    if ((items == nullptr && members == nullptr) || (indent > 0 && indent + one_line.size() <= line_width)) return one_line;
    std::string const pad(indent + 2, ' ');
    std::string out{items != nullptr ? "[" : "{"};
    char const* separator = "\n";
    auto const add = [&](std::string const& piece) {
        out.append(separator).append(pad).append(piece);
        separator = ",\n";
    };
    if (items != nullptr)
        for (auto const& item : *items) add(item.text(indent + 2));
    else
        for (auto const& [name, member] : *members) add(quoted(name) + ": " + member.text(indent + 2));
    return out.append("\n").append(indent, ' ').append(items != nullptr ? "]" : "}");
}

} // namespace pgmend::yaml
