// From rules to YAML.
#pragma once

#include "pgmend/rules/rule.hpp"

#include <span>
#include <string>

namespace pgmend::rules {

/// A rule file as a person would have written it; it reads back to the same rules, but for where they stand. Each line of a rule's comment stands above
/// it too where `comments_above`: then the text is for people and the key is left out, and reads back to rules without comments.
[[nodiscard]] std::string write_rule_file(std::span<rule const> rules, bool comments_above = false);

} // namespace pgmend::rules
