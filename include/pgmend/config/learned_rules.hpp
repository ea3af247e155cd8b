// What `pgmend learn` found in migrations, as rules beside the state.
#pragma once

#include "pgmend/config/rule_files.hpp"
#include "pgmend/config/settings.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::config {

/// `pgmend.db.migrations.yaml` beside `state: pgmend.db`. Nothing where the state is no file.
[[nodiscard]] std::optional<std::filesystem::path> learned_file(settings const& from);

/// Puts its rules behind the user's, whose names go first. A file that cannot be used is reported as warnings and left out; none is no mistake.
void add_learned_rules(settings const& from, std::chrono::sys_seconds now, loaded_rules& to);
/// The same of texts, one for each database: names that two of them have are made different.
void add_learned_rules(std::vector<rules::source> const& texts, std::chrono::sys_seconds now, loaded_rules& to);

/// The rules of one database as the text of a rule file, made to apply there alone.
[[nodiscard]] std::string learned_text(std::string const& database, std::vector<rules::rule> made);

/// Writes the rules of one database in place of those that it had; each is made to apply in that database alone. Error: the file could not be
/// written, or holds something else.
[[nodiscard]] base::result<void> write_learned_rules(std::filesystem::path const& file, std::string const& database, std::vector<rules::rule> rules,
                                                     std::chrono::sys_seconds now);

} // namespace pgmend::config
