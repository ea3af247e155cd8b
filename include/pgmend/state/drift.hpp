// Which statements drift, who sends them, and what to write instead: the list a team works off before it retires an old name.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::state {

using time_point = std::chrono::sys_time<std::chrono::microseconds>;

/// What became of a statement that drifted.
enum class drift_outcome : std::uint8_t {
    healed,
    observed, ///< mode observe: would have been healed
    refused,  ///< the client got its error
    silent,   ///< accepted as it is, but its names mean something else than before
};
[[nodiscard]] std::string_view name_of(drift_outcome outcome);
[[nodiscard]] std::optional<drift_outcome> outcome_named(std::string_view name);

/// One statement of one application and user: all that is not a count, `after` or a time is its key. No literals.
struct drift_row {
    std::string database;
    std::string user;
    std::string application_name;
    std::string fingerprint;
    std::string pattern;  ///< empty: no heal is known
    drift_outcome outcome{drift_outcome::healed};
    std::string evidence; ///< empty: no heal is known
    std::string before;   ///< normalized
    std::string after;    ///< normalized; empty: not healed
    std::string reason;   ///< why it was refused
    std::uint64_t count{0};
    time_point first_seen{};
    time_point last_seen{};

    bool operator==(drift_row const&) const = default;
};

/// Port, implemented by control::drift_book. Any thread; never blocks.
class drift_log {
  public:
    virtual ~drift_log() = default;

    /// One statement more (`count` and the times of `seen` are not looked at). When it is full, the one that was not seen
    /// for the longest time makes room.
    virtual void add(drift_row const& seen) = 0;
    /// Answers with all, the most frequent first.
    virtual void describe(std::function<void(std::vector<drift_row>)> answer) = 0;
};

} // namespace pgmend::state
