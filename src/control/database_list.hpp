// Which databases a server has.
#pragma once

#include "pgmend/control/settings.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <string>
#include <vector>

namespace pgmend::control {

/// Whether trying again later cannot help: the server is there and refuses this role or database.
[[nodiscard]] bool is_refusal(pg::error const& e);

/// All that one can connect to, without templates; the busiest first.
pg::task<pg::result<std::vector<std::string>>> list_databases(boost::asio::io_context& io, watcher_settings settings);

} // namespace pgmend::control
