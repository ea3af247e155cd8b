// A statement as it was sent and as it is run.
#pragma once

#include "pgmend/healing/plan.hpp"
#include "pgmend/sql/abridged.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pgmend::healing {

struct healed_text {
    healing::plan plan;
    std::string original;
    /// The statements of the original that were edited, where PostgreSQL refuses them as soon as it analyses them. While it
    /// does, the plan holds; once it accepts one again, the name means something new. Empty: that cannot be asked (a rule edits
    /// what PostgreSQL accepts; utility statements are analysed when they run).
    std::vector<std::string> refused_originals;
    // For the log, made once: without literals.
    std::string before;
    std::string after;
    std::string fingerprint;
    std::string sqlstate; ///< what PostgreSQL refuses the original with, where that was seen; else empty
};

[[nodiscard]] healed_text make_healed_text(plan made, std::string_view original);

/// What heals an abridged text, for the whole of it; what is for reports stays that of the short one. Nothing where the edits have to do with what was left out.
[[nodiscard]] std::optional<healed_text> lengthened(healed_text const& healed, sql::abridged const& text, std::string_view whole);

} // namespace pgmend::healing
