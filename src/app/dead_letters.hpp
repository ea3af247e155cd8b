// Rows that a rule set aside, for people.
#pragma once

#include "pgmend/config/settings.hpp"
#include "pgmend/state/records.hpp"

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::app {

void list(std::vector<state::dead_letter> const& letters, std::ostream& out);

/// A SQL script of those that wait, for psql.
void write_script(std::vector<state::dead_letter> const& letters, std::ostream& out);

/// Each in a transaction of its own, as the user and with the search_path that it had. Returns the exit status: 1 where one still fails.
int retry(std::vector<state::dead_letter> const& letters, std::string const& place, config::settings const& settings,
          std::optional<std::string> const& connection, std::ostream& out, std::ostream& err);

} // namespace pgmend::app
