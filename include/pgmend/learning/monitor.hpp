// Looks at pgmend's own figures and says when something is out of the ordinary: with the figure, the limit and the reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::learning {

/// What happened in one interval. Durations in microseconds.
struct measurement {
    static constexpr std::size_t kinds = 7;
    struct latency {
        std::uint64_t count{0};
        double p95_us{0};
    };
    std::array<latency, kinds> statements; ///< by kind, in the order of `kind_names`
    std::uint64_t heals_succeeded{0};
    std::uint64_t heals_failed{0};   ///< PostgreSQL refused what pgmend made
    std::uint64_t heals_advised{0};  ///< of those that succeeded: not by rule, approval or lineage
    double first_heals_p95_us{0};    ///< of heals after a failure (tier 2)
    double known_heals_p95_us{0};    ///< of heals before the statement was sent (tier 1)
    std::uint64_t cache_hits{0};
    std::uint64_t cache_misses{0};
    std::uint64_t breaker_trips{0};
    std::uint64_t worst_lag_us{0};   ///< of the event loops
};

inline constexpr std::array<std::string_view, measurement::kinds> kind_names = {"select", "insert", "update", "delete", "ddl", "copy", "other"};

/// When a trigger is raised, and (further back, so that it does not flutter) when it is lowered.
struct monitor_limits {
    unsigned intervals{3};             ///< so many in a row have to agree
    double heal_success{0.95};
    double heal_success_good{0.98};
    double advised_share{0.20};
    double advised_share_good{0.10};
    std::uint64_t least_heals{20};     ///< in an interval, before its shares mean anything
    double slow_heal_us{100'000};
    double slow_heal_good_us{50'000};
    double latency_factor{3};          ///< of the kind's own baseline
    double latency_factor_good{2};
    double latency_floor_us{2'000};    ///< quicker than this is never slow
    std::uint64_t least_statements{50};
    unsigned warm_up{12};              ///< intervals until a baseline counts
    double cache_hits{0.50};
    double cache_hits_good{0.70};
    std::uint64_t least_lookups{1000};
    std::uint64_t trips{3};            ///< breaker trips in `trip_intervals`
    unsigned trip_intervals{60};
    std::uint64_t lag_us{200'000};
    std::uint64_t lag_good_us{50'000};
};

enum class trigger : std::uint8_t { heal_success, advised_share, slow_heals, latency, cache_hits, breaker_trips, event_loop_lag };
[[nodiscard]] std::string_view name_of(trigger of);

/// A trigger was raised or lowered.
struct decision {
    trigger what{};
    std::string subject;   ///< the kind of statements, for latency; else empty
    bool raised{false};
    double figure{0};
    double limit{0};
    std::string reason;    ///< one sentence with both
    std::string advice;    ///< what may be done; empty where it was lowered
};

/// Pure: intervals in, decisions out. A baseline is an exponentially weighted mean of the intervals in which the kind was not slow.
///
///   calm ──`intervals` beyond the limit──> raised ──`intervals` on the good side of the nearer limit──> calm
class monitor {
  public:
    explicit monitor(monitor_limits limits = {});

    [[nodiscard]] std::vector<decision> on_interval(measurement const& seen);

    struct state {
        trigger what{};
        std::string subject;
        bool raised{false};
        double figure{0}; ///< of the last interval that had one
        double limit{0};
    };
    [[nodiscard]] std::vector<state> states() const;
    /// Of a kind's 95th percentile; 0 until it is known.
    [[nodiscard]] double baseline_us(std::size_t kind) const;

  private:
    struct watch {
        state now;
        unsigned streak{0}; ///< intervals in a row that speak for a change
    };
    struct baseline {
        double mean_us{0};
        unsigned intervals{0};
    };
    /// `bad`: beyond the limit; `good`: on the other side of the nearer one.
    [[nodiscard]] bool moves(watch& it, double figure, double limit, bool bad, bool good, unsigned intervals) const;

    monitor_limits limits_;
    std::vector<watch> watches_; ///< by trigger; latency has one for each kind, behind the others
    std::array<baseline, measurement::kinds> baselines_;
    std::vector<std::uint64_t> trips_; ///< of the last intervals
};

} // namespace pgmend::learning
