#include "pgmend/state/report.hpp"

#include "pgmend/yaml/json.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::state {
namespace {

std::string application_of(drift_row const& row) { return row.application_name.empty() ? "(no application_name)" : row.application_name; }

std::string times(std::uint64_t count) { return count == 1 ? "once" : fmt::format("{} times", count); }

/// What became of it, and by what.
std::string outcome_of(drift_row const& row) {
    std::string out;
    switch (row.outcome) {
    case drift_outcome::healed: out = "healed"; break;
    case drift_outcome::observed: out = "would have been healed"; break;
    case drift_outcome::refused: out = "failed"; break;
    case drift_outcome::silent: out = "runs, but means something else than before"; break;
    }
    bool const told = !row.pattern.empty() && row.reason.find(row.pattern) != std::string::npos;
    if (!row.pattern.empty() && !told) out += fmt::format("{} {}", row.outcome == drift_outcome::silent ? ":" : row.outcome == drift_outcome::refused ? "; there is" : " by", row.pattern);
    if (!row.evidence.empty() && !told) out += fmt::format(" ({})", row.evidence);
    if (!row.reason.empty()) out += ": " + row.reason;
    return out;
}

/// Each line behind `prefix`.
void append_lines(std::string& out, std::string_view prefix, std::string_view text) {
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        out.append(prefix).append(text.substr(0, end)) += '\n';
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::string as_text(std::span<drift_row const> rows) {
    if (rows.empty()) return "No statement drifts.\n";
    std::string out;
    for (auto const& row : rows) {
        if (!out.empty()) out += '\n';
        out += fmt::format("{} as {} in {}: {}, {} to {}\n  {}\n", application_of(row), row.user, row.database, times(row.count), time_text(row.first_seen),
                           time_text(row.last_seen), outcome_of(row));
        append_lines(out, "  - ", row.before);
        append_lines(out, "  + ", row.after);
    }
    return out;
}

/// A cell of a table.
std::string cell(std::string_view text) {
    std::string out;
    for (char const c : text) {
        if (c == '|') out += "\\|";
        else out += c == '\n' ? ' ' : c;
    }
    return out;
}

std::string code(std::string_view text) {
    if (text.empty()) return {};
    std::string ticks = "`";
    while (text.find(ticks) != std::string_view::npos) ticks += '`';
    bool const touches = text.front() == '`' || text.back() == '`';
    return fmt::format("{}{}{}{}{}", ticks, touches ? " " : "", cell(text), touches ? " " : "", ticks);
}

std::string as_markdown(std::span<drift_row const> rows) {
    std::string out = "| application | user | database | times | first seen | last seen | what happens | statement | write instead |\n"
                      "|---|---|---|--:|---|---|---|---|---|\n";
    for (auto const& row : rows)
        out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", cell(application_of(row)), cell(row.user), cell(row.database), row.count,
                           time_text(row.first_seen), time_text(row.last_seen), cell(outcome_of(row)), code(row.before), code(row.after));
    return out;
}

std::string as_json(std::span<drift_row const> rows) {
    if (rows.empty()) return "[]\n";
    yaml::json::array all;
    for (auto const& row : rows)
        all.emplace_back(yaml::json::object{{"database", row.database},
                                            {"user", row.user},
                                            {"application_name", row.application_name},
                                            {"fingerprint", row.fingerprint},
                                            {"outcome", std::string{name_of(row.outcome)}},
                                            {"pattern", row.pattern},
                                            {"evidence", row.evidence},
                                            {"reason", row.reason},
                                            {"before", row.before},
                                            {"after", row.after},
                                            {"count", static_cast<std::int64_t>(row.count)},
                                            {"first_seen", time_text(row.first_seen)},
                                            {"last_seen", time_text(row.last_seen)}});
    return yaml::json{std::move(all)}.text() + "\n";
}

} // namespace

std::string time_text(time_point at) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(at))));
}

std::optional<report_format> format_named(std::string_view name) {
    if (name == "text") return report_format::text;
    if (name == "markdown") return report_format::markdown;
    if (name == "json") return report_format::json;
    return std::nullopt;
}

std::string report(std::span<drift_row const> rows, report_format format) {
    switch (format) {
    case report_format::markdown: return as_markdown(rows);
    case report_format::json: return as_json(rows);
    case report_format::text: break;
    }
    return as_text(rows);
}

} // namespace pgmend::state
