// tests/cases/*.heal: healing as data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::healing::testing {

/// One statement, and what becomes of it.
struct healing_case {
    std::string file;
    std::string name;
    std::vector<std::string> versions; ///< DDL: the first schema, then each migration
    std::vector<std::string> search_path{"pg_catalog", "public"};
    std::vector<std::string> temporary;
    std::string rules;                   ///< YAML, as in a rule file
    std::vector<std::string> who;        ///< user, application_name, database
    bool forgotten{false};               ///< only the last version is known
    std::string sql;
    std::optional<std::string> gives;   ///< the rewritten text
    std::optional<std::string> proposed; ///< the text that would run after approval
    std::optional<std::string> silent;   ///< part of the pattern of a silent drift
    bool passes{false};                  ///< nothing is to be done
    bool before{false};                  ///< nothing has failed yet: tier 1
    bool shape_only{false};              ///< 0A000
    std::optional<std::string> refused; ///< part of the reason
    std::string sqlstate{"42703"};      ///< what PostgreSQL said, as integration/heal_cases.py recorded it
    std::string routine;
    std::optional<std::uint32_t> position;
};

/// All cases of a directory. Throws std::runtime_error on a file that it cannot read.
[[nodiscard]] std::vector<healing_case> read_cases(std::string const& directory);

} // namespace pgmend::healing::testing
