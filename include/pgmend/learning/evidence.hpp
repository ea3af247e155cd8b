// Where the belief in a rewrite comes from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pgmend::learning {

/// Strongest first: of several, the last one decides what may be done.
enum class evidence : std::uint8_t {
    rule,       ///< the user's YAML
    approved,   ///< a proposed pattern that a person approved
    lineage,    ///< the catalog's own history: oids and attnums survive renames and moves
    migration,  ///< ALTER … RENAME and the like in the user's migration files, checked against the catalog
    hint,       ///< PostgreSQL's HINT names exactly one candidate
    similarity, ///< one clearly closest name of a fitting type
    advisor,    ///< an outside adviser
};

inline constexpr std::array<std::string_view, 7> evidence_names = {"rule", "approved", "lineage", "migration", "hint", "similarity", "advisor"};

[[nodiscard]] constexpr std::string_view name_of(evidence of) { return evidence_names[static_cast<std::size_t>(of)]; }

[[nodiscard]] constexpr evidence weaker(evidence a, evidence b) { return a < b ? b : a; }

} // namespace pgmend::learning
