// The planner's answers: values that can be applied, printed, compared and kept.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/policy.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgmend::healing {

/// Bytes [begin, end) of the original text are replaced by `text`.
struct edit {
    std::uint32_t begin{0};
    std::uint32_t end{0};
    std::string text;

    bool operator==(edit const&) const = default;
};

/// One output column that a statement's answer must have.
struct expected_column {
    std::optional<std::string> label;   ///< nothing: not known in advance, not compared
    catalog::oid table{0};              ///< 0: not a plain column, or not known in advance: not compared
    std::int16_t number{0};
    catalog::oid type{0};               ///< 0: not known in advance
    std::int32_t type_modifier{-1};     ///< compared only where type is known

    bool operator==(expected_column const&) const = default;
};

/// What one name meant and what it is called now, for the log and for people.
struct renaming {
    enum class kind_type : std::uint8_t { column, relation, function, type, enum_label, constraint } kind{kind_type::column};
    std::string before; ///< qualified, e.g. public.users.email
    std::string after;  ///< e.g. public.users.email_address

    bool operator==(renaming const&) const = default;
};

/// One statement of a text that was changed.
struct planned_statement {
    std::size_t index{0};    ///< among the statements of the text, from 0
    std::uint32_t begin{0};  ///< its bytes within plan.sql; white space around it may be within
    std::uint32_t end{0};
    /// Shape that its answer must have, where it answers with rows; nothing: no rows expected.
    std::optional<std::vector<expected_column>> columns;
    bool writes{false};      ///< INSERT, UPDATE, DELETE, MERGE, COPY FROM, also inside WITH

    bool operator==(planned_statement const&) const = default;
};

/// A value that the client wrote and that a healed write leaves out: its column was dropped. To be kept in the audit record.
struct loss {
    std::size_t statement{0};    ///< index
    std::string column;          ///< qualified, e.g. public.users.legacy_flag
    /// Where the values stand in the original text, one for each row of VALUES; a parameter is written as $n there.
    std::vector<edit> values;    ///< bytes, and their text

    bool operator==(loss const&) const = default;
};

struct plan {
    /// Stable name of what was used; several are joined by "; ": "column public.users.email -> email_address",
    /// "relation public.users -> crm.clients", "ambiguous column public.users.email".
    std::string pattern;
    std::vector<std::string> patterns; ///< each on its own: what the pattern book counts and people suspend
    healing::evidence evidence{healing::evidence::lineage}; ///< the weakest of all that was used
    std::vector<renaming> renamings;
    std::vector<edit> edits;               ///< ascending, not overlapping; none: only parameter_types change
    std::string sql;                       ///< the whole text after the edits
    std::size_t statements{1};             ///< how many the text holds; those not in `healed` are as they were
    std::vector<planned_statement> healed; ///< ascending by index; never empty
    /// What Parse has to declare instead of what the client declared; 0: left open. Nothing: as the client declared.
    std::optional<std::vector<catalog::oid>> parameter_types;
    /// Every identifier of the original and of the healed text (folded words, quoted names, names and labels in
    /// literals), ascending: the plan is outdated as soon as a change of the schema touches one of them.
    std::vector<std::string> identifiers;
    std::vector<loss> losses;
    std::vector<std::uint32_t> nulled; ///< parameters, ascending, that the edited text has no use for: Bind shall have NULL for them
    bool once{false}; ///< for this execution alone: neither kept nor run again
    /// It may fail by a name that the client has not written (an index's, that is taken). Outside of a transaction block it is used once the original has
    /// failed, each time: then the client gets that one's error.
    bool fails_first{false};
    /// Parameters of `premise_sql`: what has to be true of the catalog for the healed text to mean what the original meant, and for PostgreSQL to refuse
    /// the original. None: it cannot be asked so.
    std::vector<std::string> premise;
    bool premise_suffices{true}; ///< false: it is only that the healed text means what it did; whether PostgreSQL refuses the original has to be asked

    bool operator==(plan const&) const = default;
    [[nodiscard]] bool writes() const;
    [[nodiscard]] bool for_once() const { return once || fails_first || !losses.empty(); }
};

/// Stable words for logs and metrics.
enum class refusal_kind : std::uint8_t {
    not_drift,         ///< the error has nothing to do with a change of the schema
    not_understood,    ///< a construct or an encoding that pgmend does not know well enough
    no_history,        ///< no earlier version is known
    forward_drift,     ///< no version of this schema had the name
    ambiguous_lineage, ///< the name meant different things at different times, or two heals are as good
    name_reused,       ///< the old name is now something else's
    dropped,           ///< what the name meant is gone
    changed_type,
    changed_kind,      ///< a table became a view, or the like
    changed_shape,     ///< a whole row or * whose columns changed and cannot be written out
    temporary,         ///< a temporary relation may be meant
    behind_barrier,    ///< a statement in front of it may change what names mean
    policy_propose,    ///< there is a heal, but it needs approval
    policy_off,
    suspended,         ///< there is a pattern, but it was suspended or rejected
    observe,           ///< mode observe
    unproven,          ///< the rewritten text could not be shown to mean the same
};
[[nodiscard]] std::string_view name_of(refusal_kind kind);

/// A heal that somebody has to approve.
struct proposal {
    plan what;
    std::vector<std::string> patterns; ///< those of the plan's that need approval: the plan heals once all of them have it
    std::string note; ///< what approving means: what is lost, what changes; names identifiers, never literals

    bool operator==(proposal const&) const = default;
};

/// Why there is no plan.
struct refusal {
    std::string reason; ///< one sentence for people; names identifiers, never literals
    refusal_kind kind{refusal_kind::not_understood};
    std::vector<proposal> proposals;
};

/// The statement is accepted as it is, but its names meant something else before.
struct silent_drift {
    std::size_t statement{0};        ///< the first one that does
    /// What a name meant before, under the name that this has today (or had last), and what it means now; both qualified.
    std::vector<renaming> meanings;
    std::string pattern;             ///< stable name, e.g. "silent column public.users.first_name -> public.users.name"
    bool writes{false};

    bool operator==(silent_drift const&) const = default;
};

/// All statements that are understood fit the current version.
struct fits {
    std::optional<silent_drift> drift;
    /// Why a statement (the first one of those) could not be judged: nothing is known to be wrong with it, and that is all.
    std::optional<refusal> not_understood;
};

using verdict = std::variant<plan, refusal, fits>;

} // namespace pgmend::healing
