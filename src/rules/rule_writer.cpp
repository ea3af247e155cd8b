#include "pgmend/rules/rule_writer.hpp"

#include "written_names.hpp"

#include "pgmend/base/overloaded.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/yaml/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::rules {
namespace {

/// Whether YAML takes the text for text as it is, everywhere.
bool is_plain(std::string_view text) {
    auto const letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    auto const fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
    constexpr std::array<std::string_view, 8> others{"null", "Null", "NULL", "true", "false", "yes", "no", "nan"}; // those of other readers
    return !text.empty() && letter(text.front()) && std::all_of(text.begin(), text.end(), fits) && std::find(others.begin(), others.end(), text) == others.end();
}

std::string scalar(std::string_view text) {
    if (is_plain(text)) return std::string{text};
    bool const one_line = std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    std::string out;
    if (one_line && text.find('\\') != std::string_view::npos && text.find('\'') == std::string_view::npos) return out.append("'").append(text).append("'");
    if (one_line && text.find('"') != std::string_view::npos) {
        out = "'";
        for (char const c : text) out.append(c == '\'' ? 2 : 1, c);
        return out += '\'';
    }
    out = "\"";
    for (char const c : text) {
        if (c == '"' || c == '\\') out.append(1, '\\').append(1, c);
        else if (c == '\n') out += "\\n";
        else if (c == '\t') out += "\\t";
        else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
        else out += c;
    }
    return out += '"';
}

std::string list(std::vector<std::string> const& texts) {
    std::string out;
    for (auto const& t : texts) out += (out.empty() ? "" : ", ") + scalar(t);
    return "[" + out + "]";
}

std::string one_or_list(std::vector<std::string> const& texts) { return texts.size() == 1 ? scalar(texts.front()) : list(texts); }

using pairs = std::vector<std::pair<std::string_view, std::string>>;

std::string mapping(pairs const& members) {
    std::string out;
    for (auto const& [name, value] : members) out += fmt::format("{}{}: {}", out.empty() ? " " : ", ", name, value);
    return "{" + out + " }";
}

std::string_view subject_of(object_kind kind) {
    constexpr std::array<std::string_view, 4> names{"table", "function", "type", "sequence"};
    return names[static_cast<std::size_t>(kind)];
}

pairs form_of(action const& does) {
    return std::visit(
        base::overloaded{
            [](column_renamed const& a) { return pairs{{"column", scalar(written(a.column))}, {"now", scalar(sql::quoted_name(a.now))}}; },
            [](column_gone const& a) {
                pairs gone;
                if (a.read) gone.emplace_back("read", scalar(*a.read));
                if (a.write == column_gone::write_answer::discard) gone.emplace_back("write", "discard");
                if (a.write == column_gone::write_answer::keep_in_audit) gone.emplace_back("write", "keep-in-audit");
                return pairs{{"column", scalar(written(a.column))}, {"gone", mapping(gone)}};
            },
            [](column_default const& a) { return pairs{{"column", scalar(written(a.column))}, {"default", scalar(a.expression)}}; },
            [](label_renamed const& a) {
                return pairs{{"enum", scalar(written(a.type) + "." + written_label(a.label))}, {"now", scalar(written_label(a.now))}};
            },
            [](object_renamed const& a) { return pairs{{subject_of(a.kind), scalar(written(a.object))}, {"now", scalar(written(a.now))}}; },
            [](star_pinned const& a) {
                std::vector<std::string> names;
                for (auto const& c : a.columns) names.push_back(sql::quoted_name(c));
                return pairs{{"table", scalar(written(a.table))}, {"star", list(names)}};
            },
            [](statement_replaced const& a) { return pairs{{"statement", scalar(a.statement.text())}, {"replace", scalar(a.now.text())}}; },
            [](statement_fallback const& a) {
                pairs says;
                if (a.replica) says.emplace_back("replica", "true");
                if (a.stale.count() > 0) says.emplace_back("stale", yaml::show_duration(a.stale));
                if (says.empty()) says.emplace_back("error", "true");
                return pairs{{"statement", scalar(a.statement.text())}, {"fallback", mapping(says)}};
            },
            [](batch_split const& a) {
                return pairs{{"table", scalar(written(a.table))}, {"on_error", mapping({{"split", "rows"}, {"dead_letter", a.dead_letter ? "true" : "false"}})}};
            },
        },
        does);
}

pairs members_of(rule const& r, bool with_comment) {
    pairs out{{"name", scalar(r.name)}};
    auto const form = form_of(r.does);
    out.insert(out.end(), form.begin(), form.end());
    constexpr std::array<std::string_view, 3> modes{"off", "observe", "heal"};
    if (r.mode) out.emplace_back("mode", std::string{modes[static_cast<std::size_t>(*r.mode)]});
    if (!r.when.always()) {
        pairs when;
        if (!r.when.databases.empty()) when.emplace_back("database", one_or_list(r.when.databases));
        if (!r.when.users.empty()) when.emplace_back("user", one_or_list(r.when.users));
        if (r.when.application_name) when.emplace_back("application_name", scalar(r.when.application_name->expression()));
        out.emplace_back("when", mapping(when));
    }
    if (r.expires)
        out.emplace_back("expires", fmt::format("{:04}-{:02}-{:02}", static_cast<int>(r.expires->year()), static_cast<unsigned>(r.expires->month()), static_cast<unsigned>(r.expires->day())));
    if (with_comment && !r.comment.empty()) out.emplace_back("comment", scalar(r.comment));
    return out;
}

constexpr std::size_t line_width = 140;

} // namespace

std::string write_rule_file(std::span<rule const> rules, bool comments_above) {
    if (rules.empty()) return "rules: []\n";
    std::string out{"rules:\n"};
    for (auto const& r : rules) {
        if (comments_above && !r.comment.empty()) {
            out += "  # ";
            for (char const c : r.comment) out += c == '\n' ? std::string{"\n  # "} : std::string{c};
            out += '\n';
        }
        auto const members = members_of(r, !comments_above);
        auto const line = mapping(members);
        if (line.size() <= line_width) {
            out += "  - " + line + "\n";
            continue;
        }
        for (auto const& [name, value] : members) out += fmt::format("  {} {}: {}\n", &name == &members.front().first ? "-" : " ", name, value);
    }
    return out;
}

} // namespace pgmend::rules
