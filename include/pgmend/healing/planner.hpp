// From a statement that fails, or would, to the statement to run instead, or the reason why not.
#pragma once

#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/healing/policy.hpp"
#include "pgmend/healing/question.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::rules {
class rule_set;
}
namespace pgmend::learning {
class pattern_book;
}

namespace pgmend::healing {

/// What the planner may use. Whatever is pointed to must outlive the call.
struct knowledge {
    catalog::history const* schema{nullptr};        ///< required
    rules::rule_set const* rules{nullptr};          ///< may be null
    learning::pattern_book const* book{nullptr};    ///< may be null
    healing::policy policy;
};

/// Looks for the one rewrite that gives every name of the text the meaning it had in an earlier version of the
/// schema. Pure. Anything not understood is refused.
///
/// A text may hold several statements: each one that drifted is planned on its own, the others stay as they are; if one of
/// them cannot be healed the whole text is refused. A statement behind one that may change what names mean (DDL,
/// SET, CALL, …) is never healed. With an error, `fits` is never the answer: then it was not drift.
/// Cost: one parse, then a walk for each version kept.
[[nodiscard]] verdict judge(question const& asked, knowledge const& known);

/// One statement of a kind that `judge` refuses whatever the schema is or was, a rule on the whole statement aside: ALTER, DROP, GRANT and the like. Told from
/// its first word: false says nothing.
[[nodiscard]] bool is_never_healed(std::string_view sql);

/// `position` (1-based, in characters of `plan.sql`) as a position in the text before the edits; a position inside an
/// edit becomes the edit's beginning.
[[nodiscard]] std::uint32_t original_position(plan const& healed, std::string_view original, std::uint32_t position);

/// Identifiers of a text as `plan::identifiers` has them, for verdicts without a plan. Not scannable: empty.
[[nodiscard]] std::vector<std::string> identifiers(std::string_view sql);

/// `sql` with every constant (literals; not parameters, names or key words) replaced by `?`, for logs. Where the text
/// cannot be scanned, a fixed placeholder: never a literal. At most `most` bytes, cut at a character.
[[nodiscard]] std::string normalized(std::string_view sql, std::size_t most = 2000);

/// pg_query-independent fingerprint of the normalized text as 16 hexadecimal digits; groups statements in reports, nothing else.
[[nodiscard]] std::string fingerprint(std::string_view sql);

} // namespace pgmend::healing
