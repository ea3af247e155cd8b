// The words that figures are told apart by. Each set is small and fixed, so that no label grows without bound.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pgmend::telemetry {

enum class statement_kind : std::uint8_t { select, insert, update, delete_rows, ddl, copy, other };
inline constexpr std::array<std::string_view, 7> statement_kinds = {"select", "insert", "update", "delete", "ddl", "copy", "other"};

/// Of a CommandComplete's tag ("INSERT 0 1"). FETCH counts as select, MERGE as update. No SQL is parsed.
[[nodiscard]] statement_kind kind_of_tag(std::string_view tag);

inline constexpr std::size_t tier_count = 3; ///< 0 relayed, 1 healed before it failed, 2 healed after it failed

enum class heal_outcome : std::uint8_t {
    healed,   ///< it was answered as before the change
    failed,   ///< PostgreSQL refused the edited statement: the client got the first error
    observed, ///< mode observe: it would have been healed
    refused,  ///< there was a plan that may not be used: it was proposed, or loses a value
};
inline constexpr std::array<std::string_view, 4> heal_outcomes = {"healed", "failed", "observed", "refused"};

/// As learning::evidence, in its order; that folder is above this one.
inline constexpr std::array<std::string_view, 7> evidences = {"rule", "approved", "lineage", "migration", "hint", "similarity", "advisor"};
/// Rule, approved, lineage and migration are proof; the others are advice.
inline constexpr std::size_t proven_evidences = 4;

enum class strategy : std::uint8_t { column, relation, function, type, label, constraint, ambiguous, dropped, identity, conflict, cast, rule, other };
inline constexpr std::array<std::string_view, 13> strategies = {"column",  "relation", "function", "type", "label", "constraint", "ambiguous",
                                                                "dropped", "identity", "conflict", "cast", "rule",  "other"};

/// Room for healing::refusal_kind; the last one: another reason.
inline constexpr std::size_t refusal_reasons = 32;

/// Of a pattern's stable name, by its first words.
[[nodiscard]] strategy strategy_of(std::string_view pattern);

/// SQLSTATE classes ("42") as numbers below class_count; what is no SQLSTATE is the last one.
inline constexpr std::size_t class_count = 36 * 36 + 1;
[[nodiscard]] std::size_t class_of(std::string_view sqlstate);
[[nodiscard]] std::array<char, 2> class_name(std::size_t number);

} // namespace pgmend::telemetry
