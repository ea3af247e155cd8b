// What has to be true of the catalog for a heal of names to mean what the original meant: asked of PostgreSQL itself.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/question.hpp"
#include "pgmend/sql/resolution.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// A statement with the parameters of `premise_of`, all arrays as text. It answers with one row as long as the premise holds, and fails once it does not: with
/// division_by_zero (22012), or with what looking up a name has found (no such type, no right to use a schema). Executed in one transaction behind the
/// Parse or Bind of the healed text, whose locks are held then, and ahead of its Execute, it leaves no moment in which a name could get another meaning.
extern std::string_view const premise_sql;

/// The parameters for a plan that changes nothing but names of columns and relations: that the relations and the renamed columns are still called
/// as the plan has it; that none of the relations has a column by an old name, nor a function that could be taken for one; and that no relation has
/// one of the names in either text where the session would find it, but those that are meant. Then PostgreSQL still refuses the original, and the
/// healed text still means what the original meant.
///
/// `meant`: what the original means; `original`: its identifiers. Nothing: that cannot be said so (functions of users take part, a name is found
/// elsewhere too, or `now` does not bear it out).
[[nodiscard]] std::optional<std::vector<std::string>> premise_of(sql::resolution const& meant, std::vector<std::string> const& original,
                                                                 catalog::snapshot const& now, session_view const& session);

/// Parameters for any plan: that the relations are still called as the plan has it, and that nothing else is found by those names. Whether PostgreSQL still
/// refuses the original, they do not tell. Empty: nothing can be said so.
[[nodiscard]] std::vector<std::string> meaning_of(std::vector<sql::resolution const*> const& meant, std::vector<std::string> const& original,
                                                  catalog::snapshot const& now, session_view const& session);

} // namespace pgmend::healing
