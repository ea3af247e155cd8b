// What was healed and refused of late, and who still sends what has drifted. In memory, bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgmend::telemetry {

using wall_time = std::chrono::sys_time<std::chrono::microseconds>;

/// What sqlcommenter wrote into a statement's comment; empty where it did not.
struct statement_tags {
    std::string application;
    std::string route;
    std::string traceparent;
};

/// One thing that happened to a drifted statement. Texts without literals.
struct heal_record {
    wall_time at{};
    std::string database;
    std::string user;
    std::string application_name;
    std::string client;
    std::string fingerprint;
    std::string outcome;  ///< healed, failed, observed, refused, drifted, blocked
    unsigned tier{1};
    std::string sqlstate; ///< that the original gets, where that was seen
    std::string pattern;
    std::string evidence;
    std::string reason;   ///< why not
    std::string before;
    std::string after;
    std::uint64_t duration_us{0};
    statement_tags tags;
    std::uint64_t times{1}; ///< the same again within a second is one record
};

/// One statement of one application that has drifted.
struct drift_record {
    heal_record last;
    wall_time first_seen{};
    std::uint64_t healed{0};
    std::uint64_t not_healed{0};
};

/// A number that something happened, by when: the page's lines.
struct named_event {
    wall_time at{};
    std::string kind; ///< as the log's event names
    std::string text;
};

/// Any thread. A record costs a mutex, a hash of its key and, at most once a second for the same, a copy: heals only, never
/// statements that fit.
class journal {
  public:
    static constexpr std::size_t most_heals = 500;
    static constexpr std::size_t most_drifts = 5000; ///< the one not seen for longest makes room
    static constexpr std::size_t most_events = 500;

    void record(heal_record made);
    /// The same without building what is only needed once a second: false where `record` has to be called.
    [[nodiscard]] bool count_again(std::string_view key, wall_time at);
    [[nodiscard]] static std::string key_of(std::string_view database, std::string_view user, std::string_view application,
                                            std::string_view fingerprint, std::string_view outcome);
    /// From a store: `it.times` statements, of which the last was at `it.at`. Not one of the newest heals.
    void restore(heal_record it, wall_time first_seen);
    void note(named_event made);

    [[nodiscard]] std::vector<heal_record> heals() const;  ///< newest first
    [[nodiscard]] std::vector<drift_record> drifts() const; ///< last seen first
    [[nodiscard]] std::vector<named_event> events() const; ///< newest first
    [[nodiscard]] std::size_t drifting() const;            ///< how many drift records there are
    [[nodiscard]] std::size_t bytes() const;               ///< about

  private:
    struct entry {
        drift_record it;
        std::uint64_t heal_number{0}; ///< of its newest record in the ring
        std::string outcome_key;
    };
    void make_room();

    mutable std::mutex mutex_;
    std::deque<heal_record> heals_;
    std::uint64_t first_heal_{1}; ///< number of the front one
    std::unordered_map<std::string, entry> drifts_;              ///< by database, user, application, fingerprint
    std::unordered_map<std::string, std::string> recent_;         ///< key with outcome -> key
    std::deque<named_event> events_;
};

} // namespace pgmend::telemetry
