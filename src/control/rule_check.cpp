#include "pgmend/control/rule_check.hpp"

#include "pgmend/control/login.hpp"
#include "pgmend/pg/blocking_connection.hpp"
#include "pgmend/rules/catalog_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgmend::control {
namespace {

constexpr std::chrono::seconds patience{5};

std::string columns_of(pg::description const& of) {
    if (of.columns.empty()) return "no rows";
    std::string out;
    for (auto const& it : of.columns) out += fmt::format("{}{} (type {})", out.empty() ? "" : ", ", it.label, it.type);
    return out;
}

bool same_columns(pg::description const& a, pg::description const& b) {
    return std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                      [](auto const& x, auto const& y) { return x.label == y.label && x.type == y.type; });
}

struct doubt {
    std::string text;
    bool near{true}; ///< the relations are there: this is the database that the rule is for
};

/// What PostgreSQL has against `what`; nothing where it was not asked for lack of a connection.
std::optional<doubt> refusal_of(pg::error const& e, std::string_view what) {
    if (e.sqlstate.empty()) return std::nullopt;
    if (e.sqlstate == "42501") return doubt{fmt::format("what {} says could not be checked with the rights of the control connection: {} ({})", what, e.text, e.sqlstate)};
    bool const elsewhere = e.sqlstate == "42P01" || e.sqlstate == "3F000"; // no such table, no such schema
    return doubt{fmt::format("PostgreSQL refuses what {} says: {} ({})", what, e.text, e.sqlstate), !elsewhere};
}

std::optional<doubt> problem_of(pg::blocking_connection& to, rules::statement_replaced const& says) {
    auto const now = to.describe(says.now.text(), patience);
    if (!now) return refusal_of(now.error(), "replace");
    auto const before = to.describe(says.statement.text(), patience);
    if (before && !same_columns(*before, *now)) return doubt{fmt::format("replace answers with other columns: {}, not {}", columns_of(*now), columns_of(*before))};
    return std::nullopt;
}

std::optional<doubt> problem_of(pg::blocking_connection& to, rules::rule const& rule, std::string const& probe) {
    if (auto const* const says = std::get_if<rules::statement_replaced>(&rule.does)) return problem_of(to, *says);
    auto const described = to.describe(probe, patience);
    return described ? std::nullopt : refusal_of(described.error(), std::holds_alternative<rules::column_gone>(rule.does) ? "gone.read" : "default");
}

/// One for each rule whose SQL PostgreSQL does not take as it is.
std::vector<yaml::problem> check_texts(watcher_settings const& settings, rules::rule_set const& rules, std::vector<watched_database> const& databases,
                                              std::function<bool()> const& stop) {
    std::map<std::string, std::unique_ptr<pg::blocking_connection>> connections;
    auto const connection = [&](std::string const& database) -> pg::blocking_connection* {
        auto& it = connections[database];
        if (it) return it->is_open() ? it.get() : nullptr;
        it = std::make_unique<pg::blocking_connection>();
        auto wanted = login_parameters(settings, database);
        if (!wanted || !it->open(std::move(*wanted), patience)) return nullptr;
        return it.get();
    };
    std::vector<yaml::problem> out;
    for (auto const& rule : rules.rules()) {
        if (stop()) break;
        if (rule.mode == rules::rule_mode::off) continue;
        bool const replaces = std::holds_alternative<rules::statement_replaced>(rule.does);
        // Good where it fits one of the databases that it may be for; else the first one that has its tables is told about, or the first.
        std::string told;
        bool told_near = false;
        bool good = false;
        for (auto const& database : databases) {
            auto const& only = rule.when.databases;
            if (!database.schema || (!only.empty() && std::find(only.begin(), only.end(), database.name) == only.end())) continue;
            auto const probe = replaces ? std::string{} : rules::probe_of(rule, database.schema->current());
            if (!replaces && probe.empty()) continue;
            auto* const to = connection(database.name);
            if (to == nullptr || stop()) continue;
            auto const what = problem_of(*to, rule, probe);
            good = !what;
            if (good) break;
            if (!told.empty() && !(what->near && !told_near)) continue;
            told = fmt::format("rule {}: in database {} {}", rule.name, database.name, what->text);
            told_near = what->near;
        }
        if (!good && !told.empty()) out.push_back({rule.where.file, rule.where.line, rule.where.column, yaml::severity::warning, std::move(told)});
    }
    return out;
}

} // namespace

std::vector<yaml::problem> check_rules(watcher_settings const& settings, rules::rule_set const& rules, std::vector<watched_database> const& databases,
                                       std::function<bool()> const& stop) {
    std::vector<rules::named_schema> schemas;
    for (auto const& d : databases)
        if (d.schema) schemas.push_back({d.name, &d.schema->current()});
    auto found = rules::check_against(rules, schemas);
    auto said = check_texts(settings, rules, databases, stop);
    if (said.empty()) return found;
    // Both go through the rules in their order; of a rule that both have found PostgreSQL's word is told.
    std::vector<yaml::problem> out;
    auto by_server = said.begin();
    auto own = found.begin();
    for (auto const& rule : rules.rules()) {
        auto const is_of = [&rule](yaml::problem const& it) {
            return it.line == rule.where.line && it.column == rule.where.column && it.file == rule.where.file;
        };
        bool const told = by_server != said.end() && is_of(*by_server);
        if (told) out.push_back(std::move(*by_server++));
        if (own == found.end() || !is_of(*own)) continue;
        if (!told) out.push_back(std::move(*own));
        ++own;
    }
    return out;
}

} // namespace pgmend::control
