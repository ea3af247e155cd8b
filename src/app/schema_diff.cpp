#include "pgmend/app/options.hpp"
#include "pgmend/catalog/diff.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <ostream>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace pgmend::app {
namespace {

std::string time_text(std::int64_t microseconds) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(microseconds / 1000000)));
}

void list(store::kept_database const& database, std::ostream& out) {
    catalog::snapshot const* before = nullptr;
    for (std::size_t i = 0; i < database.rows.size(); ++i) {
        auto const& row = database.rows[i];
        out << fmt::format("version {}  {}  {}  {}{}\n", row.number, time_text(row.at), before ? row.severity : "first", row.fingerprint.substr(0, 12),
                           row.by.empty() ? "" : "  by " + row.by);
        if (before) {
            for (auto const& c : catalog::diff(*before, *database.versions[i])) out << fmt::format("  {:<8}  {}\n", catalog::to_text(c.level), catalog::to_text(c));
        }
        before = database.versions[i].get();
    }
}

} // namespace

int schema_diff(schema_options const& options, std::ostream& out, std::ostream& err) {
    auto path = options.state.value_or("");
    if (path.empty()) {
        auto const loaded = config::load(*options.file, {.backend = true, .control = true});
        if (!loaded.ok()) {
            err << config::format(loaded.problems);
            return status_failure;
        }
        path = loaded.values.state;
    }
    auto const fail = [&](std::string const& why) {
        err << "pgmend: " << why << '\n';
        return status_failure;
    };
    if (path.empty()) return fail("the configuration has no state, so nothing is remembered");
    auto const all = store::read_all(path);
    if (!all) return fail(all.error().text);
    std::vector<store::kept_database const*> fitting;
    std::string names;
    for (auto const& database : *all) {
        if (!options.database || database.name == *options.database) fitting.push_back(&database);
        names += (names.empty() ? "" : ", ") + database.name;
    }
    if (fitting.empty()) return fail(fmt::format("no such database in {}; it has: {}", path, names.empty() ? "none" : names));
    if (fitting.size() > 1 && !options.database) return fail(fmt::format("which database? --database NAME, one of: {}", names));
    auto const& database = *fitting.back(); // of several that had the name, the last made
    if (options.versions.empty()) {
        list(database, out);
        return status_ok;
    }
    std::vector<catalog::snapshot const*> two;
    for (auto const number : options.versions) {
        auto const row = std::ranges::find(database.rows, number, &store::version_row::number);
        if (row == database.rows.end()) return fail(fmt::format("{} has no version {}", database.name, number));
        two.push_back(database.versions[static_cast<std::size_t>(row - database.rows.begin())].get());
    }
    for (auto const& c : catalog::diff(*two[0], *two[1])) out << fmt::format("{:<8}  {}\n", catalog::to_text(c.level), catalog::to_text(c));
    return status_ok;
}

} // namespace pgmend::app
