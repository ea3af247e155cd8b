// From YAML to rules, or to every reason why not.
#pragma once

#include "pgmend/rules/rule.hpp"
#include "pgmend/yaml/problem.hpp"

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::rules {

/// A rule file's text. Reading files is not this floor's business.
struct source {
    std::string file; ///< as the user named it
    std::string text;
};

inline constexpr std::size_t most_file_bytes = std::size_t{16} * 1024 * 1024; ///< larger files are refused
inline constexpr std::size_t most_rules = 100'000;                            ///< of all files together

/// The rules are to be used only if there is no error.
struct loaded {
    std::vector<rule> rules;              ///< in the order of the files
    std::vector<yaml::problem> problems;  ///< in the order of the files and of their lines

    [[nodiscard]] bool ok() const { return !yaml::has_errors(problems); } ///< no errors; there may be warnings
};

/// Reads and checks all files of one configuration: each rule by itself, then against the others (names used twice, contradictions,
/// cycles). `now` tells which rules have expired. Pure but for the parser's memory: call it on a thread that may
/// parse (sql/parse.hpp). Problems show names, and SQL only as the file has it.
[[nodiscard]] loaded load(std::span<source const> sources, std::chrono::sys_seconds now);

/// Every key with its meaning, one a line.
[[nodiscard]] std::string describe_rule_keys();

/// The JSON Schema of a rule file (draft 7), made from the table of keys: what conf/rules.schema.json holds.
[[nodiscard]] std::string rule_file_schema();

} // namespace pgmend::rules
