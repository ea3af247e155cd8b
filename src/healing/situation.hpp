// What a strategy looks at, and what it answers.
#pragma once

#include "healing/meaning.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/parse.hpp"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pgmend::healing {

/// One statement, and all that is known about it.
struct situation {
    sql::parsed_text const& text;
    std::size_t index;                       ///< of the statement
    question const& asked;
    knowledge const& known;
    lineage const& versions;
    std::optional<std::uint32_t> position;   ///< the byte that the server's error points at, where it has one
};

/// A change of what a statement says, written in the names that it was written in: the names are brought up to date
/// afterwards, and the whole is proved against the adapted statement's meaning in the version that it comes from. What the
/// adaptation itself changes is nothing (`equal`), or what a rule or a person has to answer for.
struct adaptation {
    std::vector<edit> edits;                 ///< of the original text, ascending
    std::vector<std::string> patterns;       ///< stable names
    std::string note;                        ///< what approving means
    healing::evidence evidence{healing::evidence::lineage};
    bool equal{false};                       ///< proved to change nothing: no approval is needed
    std::vector<loss> losses;
    std::optional<std::vector<catalog::oid>> parameter_types;
    /// Placeholders (comments in the edits) and what is written there in the end: expressions of rules, which know the
    /// names of today.
    std::vector<std::pair<std::string, std::string>> late;
    /// Columns whose type may be another one now, by (relation, number): each place where that matters has a cast.
    std::set<std::pair<catalog::oid, std::int16_t>> retyped;
};

using adapted = std::variant<adaptation, refusal>;

/// Columns that were dropped: read as a typed NULL, or what a rule says; written values are left out.
[[nodiscard]] adapted without_dropped_columns(situation const& at, past_meaning const& past);

/// 428C9: a column that became GENERATED ALWAYS AS IDENTITY.
[[nodiscard]] adapted overriding_identity(situation const& at, sql::resolution const& now);

/// 42P10: ON CONFLICT names columns of a unique constraint that is gone.
[[nodiscard]] adapted other_conflict_target(situation const& at, sql::resolution const& now);

/// 23502, or an INSERT that leaves out a column that a rule has a default for.
[[nodiscard]] adapted required_defaults(situation const& at, sql::resolution const& now);

/// Columns whose type became a wider one, on the list that is proven to lose nothing: cast to the type that they had,
/// wherever that can be seen. Without any: an adaptation without edits.
[[nodiscard]] adapted with_casts(situation const& at, past_meaning const& past);

/// Whether a column that the statement uses had another type in that version.
[[nodiscard]] bool types_differ(sql::resolution const& meant, catalog::snapshot const& then, catalog::snapshot const& now);

/// `*` of tables that a rule pins, written out, in the names of the version that the meaning is from. Without any: an adaptation
/// without edits.
[[nodiscard]] adapted pinned_stars(situation const& at, sql::resolution const& meant, catalog::snapshot const& version);

/// A column or a relation that may be meant by a name that no version had.
struct guess {
    healing::evidence by{healing::evidence::similarity};
    catalog::oid relation{0};
    std::int16_t column{0}; ///< 0: the relation itself
    std::string name;       ///< the old one
};

/// What PostgreSQL's HINT names, or else the one clearly closest name. Several are as good as none.
[[nodiscard]] std::vector<guess> guesses(situation const& at);

} // namespace pgmend::healing
