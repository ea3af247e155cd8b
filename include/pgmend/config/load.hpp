// From a YAML file to settings, or to every reason why not.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/config/settings.hpp"
#include "pgmend/yaml/problem.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::config {

using yaml::format;
using yaml::problem;
using yaml::severity;

/// Settings are to be used only if there is no error; where there are errors they hold what was understood.
struct loaded {
    settings values;
    std::vector<problem> problems; ///< in the order of the file

    [[nodiscard]] bool ok() const; ///< no errors; there may be warnings
};

/// What the command line or the environment gives, so that the file need not.
struct given_elsewhere {
    bool backend{false};
    bool control{false};
};

/// Larger files are refused.
inline constexpr std::size_t most_file_bytes = 1024 * 1024;

/// Reads and checks a file. Relative paths in it are relative to its directory; that of a state file to $STATE_DIRECTORY, if that is set. Never throws for what is in
/// the file or the file system; std::bad_alloc only.
[[nodiscard]] loaded load(std::filesystem::path const& file, given_elsewhere given = {});

/// The same for a text that is already in memory; `file` is only shown, `directory` is where relative paths begin.
[[nodiscard]] loaded load_text(std::string_view text, std::string_view file, std::filesystem::path const& directory,
                               given_elsewhere given = {});

/// What is wrong with the settings as a whole, wherever they came from: no control connection although
/// healing.mode needs one. `file` is where the user would repair it.
void check_whole(settings const& s, std::string_view file, std::vector<problem>& problems);

/// Sets one value as if the file said so: how flags of the command line get their checks and ranges from the table of
/// keys. `group` and `name` are the key's (`log` and `level`; no group at the top), `shown` is what the error's text calls it.
[[nodiscard]] base::result<void> assign(settings& s, std::string_view group, std::string_view name, std::string_view text,
                                        std::string_view shown);

/// Every key with its type, default and meaning, one a line: for `pgmend check --help` and the manual.
[[nodiscard]] std::string describe_keys();

/// The JSON Schema of a configuration file (draft 7), made from the table of keys: what conf/pgmend.schema.json holds.
[[nodiscard]] std::string settings_schema();

} // namespace pgmend::config
