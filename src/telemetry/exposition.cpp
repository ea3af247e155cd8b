#include "pgmend/telemetry/exposition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace pgmend::telemetry {
namespace {

using enum metric_type;

constexpr family table[] = {
    {metric::build, "pgmend_build", info, "", "version", "the version that runs"},
    {metric::started, "pgmend_start_time_seconds", gauge, "seconds", "", "when it was started, since 1970"},
    {metric::draining, "pgmend_draining", gauge, "", "", "1 while it stops: no new clients, transactions under way end"},
    {metric::ready, "pgmend_ready", gauge, "", "", "1 where /readyz says so"},
    {metric::statements, "pgmend_statements", counter, "", "kind, tier", "statements completed, by kind and tier: 0 relayed, 1 healed before it failed, 2 healed after it failed"},
    {metric::statement_duration, "pgmend_statement_duration_seconds", histogram, "seconds", "kind, tier", "from the statement's arrival (or the end of the one before it) to its completion"},
    {metric::statement_errors, "pgmend_statement_errors", counter, "", "class", "errors that reached clients, by the first two characters of their SQLSTATE"},
    {metric::transactions, "pgmend_transactions", counter, "", "database", "transactions ended"},
    {metric::received, "pgmend_received_bytes", counter, "bytes", "database", "read from clients"},
    {metric::sent, "pgmend_sent_bytes", counter, "bytes", "database", "read from servers for clients"},
    {metric::heals, "pgmend_heals", counter, "", "tier, evidence, strategy, outcome", "drifted statements, by what was done with them"},
    {metric::heals_by_trust, "pgmend_heals_by_trust", counter, "", "trust", "healed statements: proven by rule, approval, lineage or migration, or only advised"},
    {metric::heal_duration, "pgmend_heal_duration_seconds", histogram, "seconds", "tier", "what healing added to a statement: planning, asking the server, sending again"},
    {metric::refusals, "pgmend_refusals", counter, "", "reason", "failed statements that were looked at and not healed"},
    {metric::silent_drifts, "pgmend_silent_drifts", counter, "", "answer", "statements that PostgreSQL accepts although a name in them means something else now; each text once"},
    {metric::clients, "pgmend_clients", gauge, "", "state", "connections of clients"},
    {metric::clients_accepted, "pgmend_clients_accepted", counter, "", "", "connections accepted"},
    {metric::clients_rejected, "pgmend_clients_rejected", counter, "", "", "connections refused before they could send a statement"},
    {metric::servers, "pgmend_servers", gauge, "", "", "connections to the backend"},
    {metric::servers_connected, "pgmend_servers_connected", counter, "", "", "connections to the backend made"},
    {metric::servers_failed, "pgmend_servers_failed", counter, "", "", "attempts to connect to the backend in vain"},
    {metric::servers_lost, "pgmend_servers_lost", counter, "", "", "connections to the backend that ended under a client"},
    {metric::sessions_moved, "pgmend_sessions_moved", counter, "", "", "sessions that lost their server and went on at another one"},
    {metric::reads_at_replica, "pgmend_transactions_at_replica", counter, "", "", "transactions of sessions at the primary that began read-only and ran at a replica"},
    {metric::server_wait, "pgmend_server_wait_seconds", histogram, "seconds", "", "how long clients waited for their server connection"},
    {metric::breaker_state, "pgmend_breaker_state", gauge, "", "breaker, state", "1 for the state that the breaker is in, 0 for the others"},
    {metric::breaker_opened, "pgmend_breaker_opened", counter, "", "breaker", "times that it opened, by failures, failed probes, or a person"},
    {metric::breaker_refused, "pgmend_breaker_refused", counter, "", "breaker", "calls that it did not let through; in mode observe, would not have let through"},
    {metric::breaker_probes, "pgmend_breaker_probes", counter, "", "breaker", "calls that it let through to find out whether it may close"},
    {metric::breaker_failures, "pgmend_breaker_failures", counter, "", "breaker", "failures that were the fault of what it guards"},
    {metric::backend_sessions, "pgmend_backend_sessions", gauge, "", "backend", "sessions at this server"},
    {metric::backend_role, "pgmend_backend_role", gauge, "", "backend, role", "1 for what the server said of itself when it was last asked, 0 for the others"},
    {metric::replica_lag, "pgmend_replica_lag_seconds", gauge, "seconds", "backend", "how old the state of a replica is; left out where it is not known"},
    {metric::fallbacks, "pgmend_fallbacks", counter, "", "source", "requests that a rule had answered from elsewhere, as their server did not answer"},
    {metric::cache_hits, "pgmend_cache_hits", counter, "", "", "statement texts that were known"},
    {metric::cache_misses, "pgmend_cache_misses", counter, "", "", "statement texts seen for the first time"},
    {metric::cache_evicted, "pgmend_cache_evicted", counter, "", "", "statement texts that made room for others"},
    {metric::cache_invalidated, "pgmend_cache_invalidated", counter, "", "", "verdicts that a change of the schema or of the rules has outdated"},
    {metric::cache_entries, "pgmend_cache_entries", gauge, "", "", "statement texts known"},
    {metric::cache_bytes, "pgmend_cache_bytes", gauge, "bytes", "", "memory of the statement texts known"},
    {metric::patterns, "pgmend_patterns", gauge, "", "state", "heals found, by what people and experience say of them"},
    {metric::observations_dropped, "pgmend_observations_dropped", counter, "", "", "heals that could not be counted for want of room"},
    {metric::state_up, "pgmend_state_up", gauge, "", "", "1 where the store of the state can be written, 0 where not; absent without a store"},
    {metric::state_waiting, "pgmend_state_waiting", gauge, "", "", "changes that wait to be written to the store"},
    {metric::state_dropped, "pgmend_state_dropped", counter, "", "", "changes that found no room while the store could not be written, or that it refused"},
    {metric::drifting, "pgmend_drifting_statements", gauge, "", "", "drifted statements, by application, that are remembered"},
    {metric::schema_version, "pgmend_schema_version", gauge, "", "database", "number of the schema's current version"},
    {metric::schema_versions, "pgmend_schema_versions", gauge, "", "severity", "versions known, by the worst severity of what changed; the first one of a database is info"},
    {metric::schema_known, "pgmend_schema_known", gauge, "", "database", "1 where the schema is known and its last reading succeeded"},
    {metric::schema_loads, "pgmend_schema_loads", counter, "", "database", "readings of the catalog"},
    {metric::schema_load, "pgmend_schema_load_seconds", gauge, "seconds", "database", "how long the last reading took"},
    {metric::memory, "pgmend_memory_bytes", gauge, "bytes", "part", "memory by part, as far as it is counted"},
    {metric::worker_lag, "pgmend_worker_lag_seconds", gauge, "seconds", "worker", "how long a task waited for its worker's event loop, when last looked at"},
    {metric::worker_lag_most, "pgmend_worker_lag_most_seconds", gauge, "seconds", "worker", "the longest such wait since start"},
    {metric::triggers, "pgmend_monitor_trigger", gauge, "", "trigger", "1 while the monitor has something to say"},
    {metric::cpu, "process_cpu_seconds", counter, "seconds", "", "CPU time of the process"},
    {metric::resident, "process_resident_memory_bytes", gauge, "bytes", "", "memory of the process"},
    {metric::descriptors, "process_open_fds", gauge, "", "", "open descriptors"},
};

std::string_view type_name(metric_type type, bool open_metrics) {
    switch (type) {
    case counter: return "counter";
    case histogram: return "histogram";
    case info: return open_metrics ? "info" : "gauge";
    case gauge: break;
    }
    return "gauge";
}

void append_escaped(std::string& out, std::string_view text) {
    for (char const c : text) {
        if (c == '\\' || c == '"') out.push_back('\\');
        if (c == '\n') out += "\\n";
        else out.push_back(c);
    }
}

std::string_view suffix_of(metric_type type) {
    if (type == counter) return "_total";
    return type == info ? "_info" : "";
}

/// From 16 µs to 17 s: shorter ones are all alike to people, and each bucket is a time series.
constexpr std::size_t first_bucket = 4;
constexpr std::size_t last_bucket = 24;

} // namespace

std::span<family const> families() { return table; }

std::string describe_metrics() {
    std::string out = "| metric | type | labels | what it is |\n|---|---|---|---|\n";
    for (auto const& f : table)
        out += fmt::format("| `{}{}` | {} | {} | {} |\n", f.name, suffix_of(f.type), type_name(f.type, false), f.labels, f.help);
    return out;
}

std::string_view exposition::content_type(bool open_metrics) {
    return open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8";
}

void exposition::begin(metric id) {
    auto const found = std::find_if(std::begin(table), std::end(table), [id](auto const& f) { return f.id == id; });
    now_ = found;
    // In the older format the name of a family is the name of its samples.
    auto const name = open_metrics_ ? std::string{now_->name} : fmt::format("{}{}", now_->name, suffix_of(now_->type));
    fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, now_->help, name, type_name(now_->type, open_metrics_));
    if (open_metrics_ && !now_->unit.empty()) fmt::format_to(std::back_inserter(out_), "# UNIT {} {}\n", name, now_->unit);
}

void exposition::head(std::string_view suffix, metric_labels with, metric_label const* more) {
    out_.append(now_->name).append(suffix);
    bool any = false;
    auto const put = [&](metric_label const& it) {
        out_.push_back(any ? ',' : '{');
        any = true;
        out_.append(it.first).append("=\"");
        append_escaped(out_, it.second);
        out_.push_back('"');
    };
    for (auto const& it : with) put(it);
    if (more != nullptr) put(*more);
    if (any) out_.push_back('}');
    out_.push_back(' ');
}

void exposition::sample(metric_labels with, double value) {
    head(suffix_of(now_->type), with, nullptr);
    fmt::format_to(std::back_inserter(out_), "{}\n", value);
}

void exposition::sample(metric_labels with, std::uint64_t value) {
    head(suffix_of(now_->type), with, nullptr);
    fmt::format_to(std::back_inserter(out_), "{}\n", value);
}

void exposition::sample(metric_labels with, histogram_values const& values) {
    static constexpr std::string_view bounds[] = {"1.6e-05", "3.2e-05", "6.4e-05", "0.000128", "0.000256", "0.000512", "0.001024",
                                                  "0.002048", "0.004096", "0.008192", "0.016384", "0.032768", "0.065536", "0.131072",
                                                  "0.262144", "0.524288", "1.048576", "2.097152", "4.194304", "8.388608", "16.777216"};
    static_assert(std::size(bounds) == last_bucket - first_bucket + 1);
    std::uint64_t below = 0;
    for (std::size_t k = 0; k < bucket_count; ++k) {
        below += values.buckets[k];
        if (k < first_bucket || k > last_bucket) continue;
        metric_label const bound{"le", bounds[k - first_bucket]};
        head("_bucket", with, &bound);
        fmt::format_to(std::back_inserter(out_), "{}\n", below);
    }
    metric_label const all{"le", "+Inf"};
    head("_bucket", with, &all);
    fmt::format_to(std::back_inserter(out_), "{}\n", below);
    head("_sum", with, nullptr);
    fmt::format_to(std::back_inserter(out_), "{}\n", static_cast<double>(values.sum_us) / 1e6);
    head("_count", with, nullptr);
    fmt::format_to(std::back_inserter(out_), "{}\n", below);
}

std::string exposition::finish() {
    if (open_metrics_) out_ += "# EOF\n";
    return std::move(out_);
}

} // namespace pgmend::telemetry
