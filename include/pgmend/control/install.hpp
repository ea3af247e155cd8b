// The event trigger that tells pgmend of every change at once.
#pragma once

#include "pgmend/control/settings.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <string>
#include <vector>

namespace pgmend::control {

/// SQL that makes the schema pgmend, a function and two event triggers in one database; or takes them away. Either may run any
/// number of times. Needs a superuser (PostgreSQL 15, 40.1).
[[nodiscard]] std::string install_sql();
[[nodiscard]] std::string uninstall_sql();

/// What came of it in one database.
struct installation {
    std::string database;
    std::string problem; ///< empty: done
};

/// Runs `sql` in each database, over connections of its own; in all that clients can connect to where none is named. Blocks.
/// Error: the list of databases could not be read.
[[nodiscard]] pg::result<std::vector<installation>> run_in_databases(watcher_settings const& settings, std::string const& sql,
                                                                     std::vector<std::string> databases);

} // namespace pgmend::control
