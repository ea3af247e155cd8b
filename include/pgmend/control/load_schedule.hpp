// When a catalog may be read again.
#pragma once

#include "pgmend/base/time.hpp"

#include <chrono>
#include <cstdint>

namespace pgmend::control {

/// Decides when the next reading of one database's catalog may begin, so that a storm of failing statements or of logins
/// does not become a storm of queries or connections.
///
///     fresh ── loaded ──> paced: all of it not before 4 x its duration (at least 5 ms) after its end: a fifth of the time at most;
///       │                 what was named at once, and not before half its duration after what was named was read: two thirds
///       └───── failed ──> backing off: 1 s, 2 s, 4 s … up to a ceiling: 30 s, or 2 s once a version was read
///
/// Each outcome replaces the state before; a success forgets the failures. Owned by catalog_loop, one for a database.
class load_schedule {
  public:
    static constexpr std::chrono::milliseconds least_pause{5};
    static constexpr std::chrono::seconds first_back_off{1};
    static constexpr std::chrono::seconds most_back_off{30};
    /// Clients that could log in prove that the server is there, so do not keep them without healing for long.
    static constexpr std::chrono::seconds most_back_off_once_loaded{2};

    /// `took` is the time in which the server worked on it, without connecting.
    void on_loaded(base::duration took, base::time_point ended, bool complete = true);
    /// `luck` (0 to 1) shortens the pause by up to a quarter, so that not all come back at once.
    void on_failed(base::time_point ended, double luck = 0);
    void forget_failures(); ///< e.g. the settings are new

    [[nodiscard]] base::time_point earliest() const { return earliest_; } ///< of all; the past, while fresh
    [[nodiscard]] base::time_point earliest_of_parts() const { return earliest_of_parts_; } ///< of what was named alone
    [[nodiscard]] bool backing_off(base::time_point now) const { return failures_ > 0 && now < earliest_; }

  private:
    base::time_point earliest_{};
    base::time_point earliest_of_parts_{};
    std::uint32_t failures_{0};
    bool loaded_{false};
};

} // namespace pgmend::control
