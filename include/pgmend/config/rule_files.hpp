// The rule files that the settings name.
#pragma once

#include "pgmend/config/settings.hpp"
#include "pgmend/rules/rule_file.hpp"

#include <chrono>
#include <filesystem>
#include <vector>

namespace pgmend::config {

struct loaded_rules {
    std::vector<rules::rule> rules;
    std::vector<yaml::problem> problems;       ///< in the order of the files
    std::size_t files{0};                      ///< how many were read
    std::vector<std::filesystem::path> folders; ///< where changes would show: of directories themselves, of files the directories they are in

    [[nodiscard]] bool ok() const { return !yaml::has_errors(problems); }
};

/// Reads all files that `rules` names: of a directory every *.yaml and *.yml in it, in the order of their names (hidden ones are left out). The
/// rules are to be used only if all of them are good. Never throws for what is in the file system. Parses SQL: see sql/parse.hpp for threads.
[[nodiscard]] loaded_rules load_rule_files(rule_settings const& from, std::chrono::sys_seconds now);

} // namespace pgmend::config
