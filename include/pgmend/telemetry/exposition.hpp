// Metrics as text that Prometheus reads. The table of families is here: names, help, units, labels.
#pragma once

#include "pgmend/telemetry/counters.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace pgmend::telemetry {

enum class metric_type : std::uint8_t { counter, gauge, histogram, info };

enum class metric : std::uint8_t {
    build, started, draining, ready, statements, statement_duration, statement_errors, transactions, received, sent,
    heals, heals_by_trust, heal_duration, refusals, silent_drifts, clients, clients_accepted, clients_rejected,
    servers, servers_connected, servers_failed, servers_lost, sessions_moved, reads_at_replica, server_wait, breaker_state, breaker_opened,
    breaker_refused, breaker_probes, breaker_failures, backend_sessions, backend_role, replica_lag, fallbacks, cache_hits, cache_misses, cache_evicted, cache_invalidated,
    cache_entries, cache_bytes, patterns, observations_dropped, state_up, state_waiting, state_dropped, drifting, schema_version, schema_versions, schema_known, schema_loads, schema_load,
    memory, worker_lag, worker_lag_most, triggers, cpu, resident, descriptors,
};

struct family {
    metric id{};
    std::string_view name; ///< without _total
    metric_type type{metric_type::counter};
    std::string_view unit;   ///< empty, seconds or bytes; the name ends in it
    std::string_view labels; ///< "kind, tier"
    std::string_view help;
};

[[nodiscard]] std::span<family const> families();
[[nodiscard]] std::string describe_metrics(); ///< the table for the manual, in Markdown

using metric_label = std::pair<std::string_view, std::string_view>;
using metric_labels = std::initializer_list<metric_label>;

/// Writes families in the order of calls: `begin`, then its samples. Prometheus text 0.0.4, or OpenMetrics 1.0.0.
class exposition {
  public:
    explicit exposition(bool open_metrics) : open_metrics_{open_metrics} {}

    void begin(metric id);
    void sample(metric_labels with, double value);
    void sample(metric_labels with, std::uint64_t value);
    void sample(metric_labels with, histogram_values const& values);
    [[nodiscard]] std::string finish();

    [[nodiscard]] static std::string_view content_type(bool open_metrics);

  private:
    void head(std::string_view suffix, metric_labels with, metric_label const* more);

    bool open_metrics_;
    family const* now_{nullptr};
    std::string out_;
};

} // namespace pgmend::telemetry
