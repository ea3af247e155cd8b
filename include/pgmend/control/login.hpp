// How the control connection logs in.
#pragma once

#include "pgmend/control/settings.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <string>
#include <vector>

namespace pgmend::control {

/// The parameters for one database: what the user's connection string says, except that host, port and database are ours;
/// what it leaves open about TLS is as the backend's settings say. Error: invalid_input.
[[nodiscard]] base::result<pg::parameters> login_parameters(watcher_settings const& settings, std::string const& database);

/// Where to ask for the list of databases, in this order: the connection string's own database, postgres, the user's name.
/// Error: invalid_input.
[[nodiscard]] base::result<std::vector<std::string>> control_databases(watcher_settings const& settings);

} // namespace pgmend::control
