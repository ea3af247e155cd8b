// How many sessions may be connected, and how many may wait, so that one user cannot sink all.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgmend::backend {

/// Defaults and YAML keys of `limits:`. 0: no limit.
struct bulkhead_limits {
    std::uint32_t per_backend{0};           ///< limits.per_backend
    std::uint32_t per_database{0};          ///< limits.per_database
    std::uint32_t per_user{0};              ///< limits.per_user
    std::uint32_t waiting{100};             ///< limits.waiting: so many may wait for one and the same of these
    std::chrono::milliseconds wait{5000};   ///< limits.wait: and for so long

    [[nodiscard]] bool any() const { return per_backend != 0 || per_database != 0 || per_user != 0; }
    bool operator==(bulkhead_limits const&) const = default;
};

/// Who wants to be connected to what.
struct passenger {
    std::string backend;
    std::string database;
    std::string user;
};

/// Counts connected sessions by backend, database and user. A session that meets a limit waits its turn, and lets those behind
/// it go first whom another limit, or none, concerns: a crowd of one user's sessions delays nobody else's.
/// Time is kept by the driver, which calls leave() for a session that has waited long enough.
/// Not thread-safe: net::waiting_room is.
class bulkhead {
  public:
    using session_id = std::uint64_t;
    enum class answer : std::uint8_t { admitted, queued, refused };

    /// The limit that was met.
    struct limit_met {
        std::string_view setting; ///< `limits.per_user`
        std::string_view what;    ///< `user`
        std::string name;         ///< whose
        std::uint32_t limit{0};
        std::uint32_t waiting{0}; ///< at this limit
    };
    struct verdict {
        answer what{answer::admitted};
        std::optional<limit_met> met; ///< where it is not admitted
    };

    explicit bulkhead(bulkhead_limits limits) : limits_{limits} {}

    /// Who may go on now that limits have changed.
    [[nodiscard]] std::vector<session_id> configure(bulkhead_limits limits);
    [[nodiscard]] verdict enter(session_id id, passenger who);
    /// A session ends, or waits no longer. Who may go on now.
    [[nodiscard]] std::vector<session_id> leave(session_id id);

    [[nodiscard]] std::size_t connected() const { return connected_.size(); }
    [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

  private:
    struct counts {
        std::uint32_t connected{0};
        std::uint32_t waiting{0};
    };
    struct waiter {
        session_id id;
        passenger who;
        std::size_t at; ///< the limit it waits at
    };
    using counters = std::array<std::map<std::string, counts, std::less<>>, 3>; ///< of backends, databases, users

    [[nodiscard]] std::optional<std::size_t> blocking(passenger const& who) const;
    [[nodiscard]] std::uint32_t limit(std::size_t kind) const;
    void count(passenger const& who, int by);
    counts& counts_of(passenger const& who, std::size_t kind);
    void stop_waiting(waiter const& w);
    std::vector<session_id> admit_waiting();

    bulkhead_limits limits_;
    counters counters_;
    std::unordered_map<session_id, passenger> connected_;
    std::deque<waiter> queue_;
};

} // namespace pgmend::backend
