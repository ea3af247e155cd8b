// From what pgmend learned to rules that a person would have written.
#pragma once

#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace pgmend::rules {

struct exported_rules {
    std::vector<rule> rules;             ///< each with a comment that says where it came from
    std::vector<std::string> left_out;   ///< active patterns without a rule, and why: for people
};

/// Rules for the active patterns, each for its database. A dropped column has one rule for what is read and what is written. Of several patterns for
/// one old name the one used last counts: their rules would contradict each other. Patterns of rules are left out silently. `is_sequence` says which relation (database, schema, name as it is now) is one.
[[nodiscard]] exported_rules rules_of(std::span<learning::pattern const> patterns,
                                      std::function<bool(std::string const&, std::string const&, std::string const&)> const& is_sequence);

/// As a rule file, with the comments above the rules.
[[nodiscard]] std::string export_text(exported_rules const& made);

} // namespace pgmend::rules
