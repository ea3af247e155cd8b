// The schemas of a running server, once.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/control/catalog_watcher.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::app {

/// Reads all databases that the control connection may read, within `limit`. Those that could not be read have no schema but a problem. Error: no
/// database is known; the text says why.
[[nodiscard]] base::result<std::vector<control::watched_database>> read_schemas(control::watcher_settings const& settings, std::chrono::milliseconds limit);

/// The same of one database.
[[nodiscard]] base::result<std::shared_ptr<catalog::history const>> read_schema(control::watcher_settings const& settings, std::string const& database,
                                                                                std::chrono::milliseconds limit);

} // namespace pgmend::app
