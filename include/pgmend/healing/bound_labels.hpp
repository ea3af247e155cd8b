// Labels of enums among the values that a statement is bound with.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/planner.hpp"

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pgmend::healing {

/// A value of a parameter, and what stands in its place.
struct bound_value {
    catalog::oid type{0}; ///< of the parameter, as the server has told
    std::string was;
    std::string is;

    bool operator==(bound_value const&) const = default;
};

/// An enum's value, or an array of them, with other labels; text and binary form are told apart by themselves. `now`: what a label is called now; nothing: as it is.
/// Nothing: all labels are as they were, or the value is not understood.
[[nodiscard]] std::optional<std::string> with_labels(base::byte_view value, bool array, std::function<std::optional<std::string>(base::byte_view)> const& now);

/// What a statement is bound with instead.
struct value_plan {
    plan what;                       ///< the text stays what it is
    std::vector<bound_value> values; ///< those that change
};
using value_verdict = std::variant<value_plan, refusal>;

/// Some of `values` are no labels of their enums (any more): `asked` has failed for them. Looks for what those labels are called now, as for literals: the same evidence, rules,
/// approvals and policy decide, and a label that exists means itself. Of the refusals `not_drift` says that a value was never a label. Pure.
/// Cost: a walk through all values, and what a text with one literal costs for each label that is not known.
[[nodiscard]] value_verdict judge_values(question const& asked, std::vector<bound_value> values, knowledge const& known);

} // namespace pgmend::healing
