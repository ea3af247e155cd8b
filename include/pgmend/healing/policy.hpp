// What may be done with a rewrite, by the evidence that there is for it.
#pragma once

#include "pgmend/learning/evidence.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace pgmend::healing {

using learning::evidence;

enum class action : std::uint8_t { off, propose, heal };

/// YAML: healing.policy.<evidence>.reads and .writes; the defaults are product.md's table.
class policy {
  public:
    [[nodiscard]] action reads(evidence of) const { return cells_[static_cast<std::size_t>(of)].reads; }
    [[nodiscard]] action writes(evidence of) const { return cells_[static_cast<std::size_t>(of)].writes; }
    [[nodiscard]] action what(evidence of, bool writing) const { return writing ? writes(of) : reads(of); }

    void set_reads(evidence of, action to) { cells_[static_cast<std::size_t>(of)].reads = to; }

    /// False where it must never be: a hint, a likeness or an adviser never changes what a write does.
    [[nodiscard]] bool set_writes(evidence of, action to) {
        if (to == action::heal && of >= evidence::hint) return false;
        cells_[static_cast<std::size_t>(of)].writes = to;
        return true;
    }

    bool operator==(policy const&) const = default;

  private:
    struct cell {
        action reads{action::heal};
        action writes{action::heal};

        bool operator==(cell const&) const = default;
    };
    static constexpr cell proposed{action::propose, action::propose};

    std::array<cell, learning::evidence_names.size()> cells_{cell{}, cell{}, cell{}, cell{}, proposed, proposed, proposed};
};

} // namespace pgmend::healing
