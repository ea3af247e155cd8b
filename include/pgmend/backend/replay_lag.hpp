// How far a replica is behind, by what the primary had written when.
#pragma once

#include "pgmend/base/time.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace pgmend::backend {

/// Keeps where the primary's log was at which time, and tells how old a replica's state is: the age of the newest of these
/// positions that it has replayed. So a replica that has lost its primary gets older, though nothing tells it so, and one of an
/// idle primary does not. Exact to the time between two notes. Forgets what is older than an hour.
class replay_lag {
  public:
    using position = std::uint64_t; ///< bytes of write-ahead log, as `pg_lsn - '0/0'`

    void primary_is_at(position written, base::time_point now);
    /// Nothing: no primary was seen, or the replica is behind everything that is known.
    [[nodiscard]] std::optional<std::chrono::milliseconds> of(position replayed, base::time_point now) const;
    /// Another primary: what the old one wrote means nothing.
    void forget() { notes_.clear(); }

  private:
    struct note {
        position written;
        base::time_point when;
    };
    std::deque<note> notes_; ///< positions and times only grow
};

} // namespace pgmend::backend
