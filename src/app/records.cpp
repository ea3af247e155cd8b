// What people ask of the state: the report, the rules, the rows that were set aside.
#include "pgmend/app/options.hpp"

#include "dead_letters.hpp"

#include "pgmend/rules/pattern_rules.hpp"
#include "pgmend/state/report.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace pgmend::app {
namespace {

using what = records_options::what_type;

/// Which relations are sequences, as far as is kept.
auto sequences_of(std::string const& place) {
    std::vector<store::kept_database> databases;
    if (auto all = store::read_all(place)) databases = std::move(*all);
    return [databases = std::move(databases)](std::string const& database, std::string const& schema, std::string const& name) {
        for (auto const& d : databases) {
            if (d.name != database || d.versions.empty()) continue;
            auto const* const relation = d.versions.back()->find(schema, name);
            if (relation != nullptr) return relation->kind == 'S';
        }
        return false;
    };
}

} // namespace

int records(records_options const& options, std::ostream& out, std::ostream& err) {
    auto const fail = [&](std::string const& why) {
        err << "pgmend: " << why << '\n';
        return status_failure;
    };
    config::settings settings;
    if (options.file) {
        auto const loaded = config::load(*options.file, {.backend = true, .control = true});
        if (!loaded.ok()) {
            err << config::format(loaded.problems);
            return status_failure;
        }
        settings = loaded.values;
    }
    auto const place = options.state.value_or(settings.state);
    if (place.empty()) return fail("the configuration has no state, so nothing is remembered");
    auto found = store::read_records(place);
    if (!found) return fail(found.error().text);
    auto const elsewhere = [&](auto const& it) { return options.database && it.database != *options.database; };
    std::erase_if(found->drift, elsewhere);
    std::erase_if(found->patterns, elsewhere);
    std::erase_if(found->dead_letters, elsewhere);
    switch (options.what) {
    case what::report: out << state::report(found->drift, *state::format_named(options.format)); break;
    case what::export_rules: out << rules::export_text(rules::rules_of(found->patterns, sequences_of(place))); break;
    case what::list_dead_letters: list(found->dead_letters, out); break;
    case what::export_dead_letters: write_script(found->dead_letters, out); break;
    case what::retry_dead_letters: return retry(found->dead_letters, place, settings, options.connection, out, err);
    }
    return status_ok;
}

} // namespace pgmend::app
