// What a server says of a statement that is not run.
#pragma once

#include "pgmend/control/settings.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::control {

struct analysis_request {
    std::string database;
    std::optional<std::string> role;         ///< SET ROLE; nothing: the control connection's own
    std::vector<std::string> search_path;    ///< names of schemas; may have $user
    std::vector<std::string> statements;     ///< each on its own
    std::vector<std::uint32_t> parameter_types;
};

/// One for each statement asked about: nothing where the server accepts it, else why not.
using analysis = std::vector<std::optional<pg::error>>;

/// Over a connection of its own. Blocks. Error: the server could not be asked, or does not let the control role be that role.
[[nodiscard]] pg::result<analysis> analyse(watcher_settings const& settings, analysis_request const& request);

/// `name` as an SQL identifier in double quotes.
[[nodiscard]] std::string quoted_identifier(std::string_view name);

} // namespace pgmend::control
