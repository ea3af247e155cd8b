// Looks at the figures every few seconds: the last hour for the page, averages for SHOW STATS, and the monitor.
#pragma once

#include "pgmend/learning/monitor.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/telemetry/registry.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace pgmend::admin {

/// The sums of all workers at one moment.
struct totals {
    std::chrono::steady_clock::time_point at;
    std::array<std::array<telemetry::histogram_values, telemetry::tier_count>, telemetry::statement_kinds.size()> statements;
    std::array<telemetry::histogram_values, telemetry::tier_count> heal_duration;
    std::uint64_t errors{0};
    std::uint64_t heals_succeeded{0};
    std::uint64_t heals_failed{0};
    std::uint64_t heals_advised{0};
    std::uint64_t cache_hits{0};
    std::uint64_t cache_misses{0};
    std::uint64_t worst_lag_us{0}; ///< of the workers, now
    std::uint64_t clients{0};
    std::uint64_t breaker_trips{0};
    std::map<std::string, telemetry::database_totals> databases;
};
[[nodiscard]] totals sum_of(telemetry::registry const& figures);

/// One interval of the last hour.
struct interval {
    telemetry::wall_time at{}; ///< its end
    double seconds{0};
    std::array<std::uint64_t, telemetry::statement_kinds.size()> statements{};
    std::array<std::uint64_t, telemetry::tier_count> tiers{};
    std::uint64_t errors{0};
    std::uint64_t heals_failed{0};
    double p50_us{0};
    double p95_us{0};
    double p99_us{0};
    std::uint64_t received_bytes{0};
    std::uint64_t sent_bytes{0};
    std::uint64_t clients{0};
};

/// `tick` once a second from one thread; the rest from any.
class observatory {
  public:
    static constexpr std::chrono::seconds every{5};
    static constexpr std::size_t most_intervals = 720; ///< an hour

    explicit observatory(net::services& services) : services_{services} {}

    void tick(std::chrono::steady_clock::time_point now, telemetry::wall_time wall);

    [[nodiscard]] std::vector<interval> history() const; ///< oldest first
    /// What happened in about the last minute, and how long that was.
    struct recent {
        double seconds{0};
        std::map<std::string, telemetry::database_totals> databases;
    };
    [[nodiscard]] recent last_minute() const;
    [[nodiscard]] std::vector<learning::monitor::state> triggers() const;

  private:
    void watch(totals const& before, totals const& now, telemetry::wall_time wall);

    net::services& services_;
    mutable std::mutex mutex_;
    std::deque<interval> history_;
    std::deque<totals> minute_; ///< oldest first
    learning::monitor monitor_;
};

} // namespace pgmend::admin
