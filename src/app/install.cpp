#include "pgmend/app/options.hpp"
#include "pgmend/control/install.hpp"

#include "watching.hpp"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

namespace pgmend::app {

int install(install_options const& options, std::ostream& out, std::ostream& err) {
    auto const sql = options.remove ? control::uninstall_sql() : control::install_sql();
    if (options.print) {
        out << sql;
        return status_ok;
    }
    auto const loaded = effective_settings(options.server);
    if (!loaded.ok() || !loaded.values.control) {
        err << config::format(loaded.problems);
        if (loaded.ok()) err << "pgmend: no control connection: --control, PGMEND_CONTROL, or control in the file\n";
        return status_failure;
    }
    auto const all = control::run_in_databases(watcher_settings_of(loaded.values), sql, options.databases);
    if (!all) {
        err << "pgmend: the databases could not be listed: " << all.error().text << '\n';
        return status_failure;
    }
    for (auto const& one : *all) {
        if (one.problem.empty()) out << one.database << (options.remove ? ": uninstalled\n" : ": installed\n");
        else err << "pgmend: " << one.database << ": " << one.problem << '\n';
    }
    bool const well = std::ranges::all_of(*all, [](auto const& one) { return one.problem.empty(); });
    return well ? status_ok : status_failure;
}

} // namespace pgmend::app
