// YAML: healing.*
#pragma once

#include "pgmend/healing/policy.hpp"

#include <chrono>
#include <cstdint>

namespace pgmend::healing {

enum class mode : std::uint8_t { off, observe, heal };

/// What is done so that an error inside a transaction block can be healed.
enum class transaction_guard : std::uint8_t {
    off,       ///< nothing: the client sees the error
    savepoint, ///< a savepoint travels ahead of a statement that was not yet seen to work on this version of the schema
};

/// What happens to a write whose names still resolve, but to something else than before.
enum class silent_answer : std::uint8_t { report, block_writes };

struct settings {
    mode healing_mode{mode::heal}; ///< YAML: healing.mode
    bool notice{false};            ///< YAML: healing.notice: tell the client by a NOTICE
    transaction_guard guard{transaction_guard::savepoint}; ///< YAML: healing.transaction_guard
    silent_answer silent{silent_answer::report};           ///< YAML: healing.silent
    healing::policy policy;                                ///< YAML: healing.policy
    /// YAML: healing.recheck. How long a read that is healed before it is sent goes on without asking PostgreSQL whether it still
    /// refuses the original; writes ask each time. 0: reads too.
    std::chrono::milliseconds recheck{100};
    /// YAML: healing.max_statement_bytes. Longer requests are relayed, but never healed.
    std::uint32_t most_statement_bytes{65536};
    /// YAML: healing.max_batch_bytes. Longer requests are relayed, but never split, whatever rules say.
    std::uint32_t most_batch_bytes{1U << 20};

    bool operator==(settings const&) const = default;
};

} // namespace pgmend::healing
