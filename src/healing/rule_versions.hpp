// Rules that rename, as versions of the schema that never were: the current one with what each rule says undone.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/healing/question.hpp"
#include "pgmend/rules/rule.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

struct lineage;

/// What the rules that apply to one text make of the schema.
struct rule_versions {
    /// Where the old names are not in use today. Most often one; more where several old names lead to one object.
    std::vector<std::shared_ptr<catalog::snapshot const>> undone;
    /// Likewise, but rules with a condition take their old names from what has them today. Null: there are none.
    std::shared_ptr<catalog::snapshot const> overriding;
    /// Patterns as the rewriter words them ("column public.users.email -> email_address"), and the rule that is the evidence.
    std::map<std::string, rules::rule const*, std::less<>> by_pattern;
    std::vector<std::string> problems;     ///< rules that lead nowhere, and why
    std::map<std::string, refusal, std::less<>> contradicted; ///< by pattern: a rule and the history of the schema say different things

    [[nodiscard]] rules::rule const* behind(std::string_view pattern) const;
};

/// The versions, with those of the rules that apply to the text in front of the earlier ones. From earlier versions is left
/// out what rules have old names of and is gone: there a rule knows better. Costs nothing where no rule's name is in the text.
[[nodiscard]] lineage with_rules(lineage versions, question const& asked, rules::rule_set const* rules);

/// The rule in mode observe among those that are the evidence; nullptr: none.
[[nodiscard]] rules::rule const* observed(std::vector<std::string> const& patterns, rules::rule_set const* rules);

} // namespace pgmend::healing
