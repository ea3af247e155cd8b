#include "admin/metrics.hpp"

#include "pgmend/admin/observatory.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/telemetry/exposition.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

namespace pgmend::admin {
namespace {

using telemetry::exposition;
using telemetry::metric;
using figures = std::vector<telemetry::worker_figures const*>;
using databases = std::vector<control::watched_database>;

double seconds(std::uint64_t us) { return static_cast<double>(us) / 1e6; }

template <class Of>
std::uint64_t sum(figures const& all, Of of) {
    std::uint64_t out = 0;
    for (auto const* const w : all) out += of(*w).get();
    return out;
}

void write_statements(exposition& out, figures const& all) {
    std::array<std::array<telemetry::histogram_values, telemetry::tier_count>, telemetry::statement_kinds.size()> statements;
    for (auto const* const w : all)
        for (std::size_t k = 0; k < statements.size(); ++k)
            for (std::size_t t = 0; t < telemetry::tier_count; ++t) statements[k][t] += w->statements[k][t].get();
    static constexpr std::array<std::string_view, telemetry::tier_count> tiers{"0", "1", "2"};
    auto const each = [&](auto write) {
        for (std::size_t k = 0; k < statements.size(); ++k)
            for (std::size_t t = 0; t < tiers.size(); ++t)
                // What never happened is 0 in tier 0, and left out elsewhere: most kinds are never healed.
                if (t == 0 || statements[k][t].count() > 0) write(telemetry::statement_kinds[k], tiers[t], statements[k][t]);
    };
    out.begin(metric::statements);
    each([&](auto kind, auto tier, auto const& values) { out.sample({{"kind", kind}, {"tier", tier}}, values.count()); });
    out.begin(metric::statement_duration);
    each([&](auto kind, auto tier, auto const& values) { out.sample({{"kind", kind}, {"tier", tier}}, values); });
    out.begin(metric::statement_errors);
    for (std::size_t c = 0; c < telemetry::class_count; ++c) {
        auto const n = sum(all, [c](auto const& w) -> auto const& { return w.errors[c]; });
        auto const name = telemetry::class_name(c);
        if (n > 0) out.sample({{"class", {name.data(), name.size()}}}, n);
    }
}

void write_heals(exposition& out, figures const& all) {
    static constexpr std::array<std::string_view, telemetry::tier_count> tiers{"0", "1", "2"};
    std::uint64_t proven = 0;
    std::uint64_t advised = 0;
    out.begin(metric::heals);
    for (std::size_t t = 1; t < tiers.size(); ++t)
        for (std::size_t e = 0; e < telemetry::evidences.size(); ++e)
            for (std::size_t s = 0; s < telemetry::strategies.size(); ++s)
                for (std::size_t o = 0; o < telemetry::heal_outcomes.size(); ++o) {
                    auto const n = sum(all, [&](auto const& w) -> auto const& { return w.heals[t][e][s][o]; });
                    // One series always, so that a rate over all has a beginning.
                    bool const first = t == 1 && telemetry::evidences[e] == "lineage" && s == 0 && o == 0;
                    if (n == 0 && !first) continue;
                    out.sample({{"tier", tiers[t]}, {"evidence", telemetry::evidences[e]}, {"strategy", telemetry::strategies[s]}, {"outcome", telemetry::heal_outcomes[o]}}, n);
                    if (o == static_cast<std::size_t>(telemetry::heal_outcome::healed)) (e < telemetry::proven_evidences ? proven : advised) += n;
                }
    out.begin(metric::heals_by_trust);
    out.sample({{"trust", "proven"}}, proven);
    out.sample({{"trust", "advised"}}, advised);
    out.begin(metric::heal_duration);
    for (std::size_t t = 1; t < tiers.size(); ++t) {
        telemetry::histogram_values values;
        for (auto const* const w : all) values += w->heal_duration[t].get();
        out.sample({{"tier", tiers[t]}}, values);
    }
    out.begin(metric::refusals);
    for (std::size_t r = 0; r < telemetry::refusal_reasons; ++r) {
        auto const n = sum(all, [r](auto const& w) -> auto const& { return w.refusals[r]; });
        if (n > 0) out.sample({{"reason", r + 1 < telemetry::refusal_reasons ? healing::name_of(static_cast<healing::refusal_kind>(r)) : "other"}}, n);
    }
    out.begin(metric::silent_drifts);
    out.sample({{"answer", "reported"}}, sum(all, [](auto const& w) -> auto const& { return w.drifts; }));
    out.sample({{"answer", "blocked"}}, sum(all, [](auto const& w) -> auto const& { return w.drifts_blocked; }));
}

void write_connections(exposition& out, figures const& all) {
    out.begin(metric::clients);
    out.sample({{"state", "active"}}, sum(all, [](auto const& w) -> auto const& { return w.clients; }));
    out.sample({{"state", "login"}}, sum(all, [](auto const& w) -> auto const& { return w.logging_in; }));
    auto const count = [&](metric id, auto of) {
        out.begin(id);
        out.sample({}, sum(all, of));
    };
    count(metric::clients_accepted, [](auto const& w) -> auto const& { return w.clients_accepted; });
    count(metric::clients_rejected, [](auto const& w) -> auto const& { return w.clients_rejected; });
    count(metric::servers, [](auto const& w) -> auto const& { return w.servers; });
    count(metric::servers_connected, [](auto const& w) -> auto const& { return w.servers_connected; });
    count(metric::servers_failed, [](auto const& w) -> auto const& { return w.servers_failed; });
    count(metric::servers_lost, [](auto const& w) -> auto const& { return w.servers_lost; });
    count(metric::sessions_moved, [](auto const& w) -> auto const& { return w.sessions_moved; });
    count(metric::reads_at_replica, [](auto const& w) -> auto const& { return w.reads_at_replica; });
    telemetry::histogram_values waits;
    for (auto const* const w : all) waits += w->server_wait.get();
    out.begin(metric::server_wait);
    out.sample({}, waits);
    count(metric::cache_hits, [](auto const& w) -> auto const& { return w.cache_hits; });
    count(metric::cache_misses, [](auto const& w) -> auto const& { return w.cache_misses; });
    count(metric::cache_evicted, [](auto const& w) -> auto const& { return w.cache_evicted; });
    count(metric::cache_invalidated, [](auto const& w) -> auto const& { return w.cache_outdated; });
    count(metric::cache_entries, [](auto const& w) -> auto const& { return w.cache_entries; });
    count(metric::cache_bytes, [](auto const& w) -> auto const& { return w.cache_bytes; });
    out.begin(metric::worker_lag);
    for (std::size_t i = 0; i < all.size(); ++i) out.sample({{"worker", fmt::format("{}", i)}}, seconds(all[i]->lag_us.get()));
    out.begin(metric::worker_lag_most);
    for (std::size_t i = 0; i < all.size(); ++i) out.sample({{"worker", fmt::format("{}", i)}}, seconds(all[i]->most_lag_us.get()));
}

void write_breakers(exposition& out, net::services const& from) {
    std::vector<backend::breaker_view> all;
    for (auto* const breaker : from.backends->breakers().all()) all.push_back(breaker->describe(base::steady::now()));
    static constexpr std::array<std::string_view, 5> states{"closed", "half_open", "open", "tripped", "disabled"};
    out.begin(metric::breaker_state);
    for (auto const& b : all) {
        std::string_view const now = b.disabled ? "disabled" : b.tripped ? "tripped" : backend::name_of(b.state);
        for (auto const state : states) out.sample({{"breaker", b.name}, {"state", state}}, std::uint64_t{state == now});
    }
    auto const each = [&](metric id, auto of) {
        out.begin(id);
        for (auto const& b : all) out.sample({{"breaker", b.name}}, of(b.counted));
    };
    each(metric::breaker_opened, [](auto const& c) { return c.opened; });
    each(metric::breaker_refused, [](auto const& c) { return c.refused; });
    each(metric::breaker_probes, [](auto const& c) { return c.probes; });
    each(metric::breaker_failures, [](auto const& c) { return c.failures; });
}

void write_backends(exposition& out, net::services const& from, figures const& all) {
    auto const live = from.settings.get();
    out.begin(metric::backend_sessions);
    for (auto const& server : live->servers) out.sample({{"backend", server->settings.name}}, std::uint64_t{server->state->sessions.load(std::memory_order_relaxed)});
    out.begin(metric::backend_role);
    for (auto const& server : live->servers)
        for (auto const role : {backend::server_role::unknown, backend::server_role::primary, backend::server_role::replica})
            out.sample({{"backend", server->settings.name}, {"role", backend::name_of(role)}},
                       std::uint64_t{server->state->role.load(std::memory_order_relaxed) == role});
    out.begin(metric::replica_lag);
    for (auto const& server : live->servers)
        if (auto const lag = server->state->lag()) out.sample({{"backend", server->settings.name}}, std::chrono::duration<double>(*lag).count());
    out.begin(metric::fallbacks);
    out.sample({{"source", "memory"}}, sum(all, [](auto const& w) -> auto const& { return w.fallbacks_memory; }));
    out.sample({{"source", "replica"}}, sum(all, [](auto const& w) -> auto const& { return w.fallbacks_replica; }));
}

void write_traffic(exposition& out, telemetry::registry const& from) {
    auto const traffic = from.databases();
    auto const each = [&](metric id, auto of) {
        out.begin(id);
        for (auto const& [name, it] : traffic) out.sample({{"database", name}}, of(it));
    };
    each(metric::transactions, [](auto const& it) { return it.transactions; });
    each(metric::received, [](auto const& it) { return it.received_bytes; });
    each(metric::sent, [](auto const& it) { return it.sent_bytes; });
}

void write_schemas(exposition& out, databases const& all) {
    out.begin(metric::schema_version);
    for (auto const& d : all)
        if (d.schema) out.sample({{"database", d.name}}, d.schema->generation());
    std::array<std::uint64_t, 4> by_severity{};
    for (auto const& d : all) {
        if (!d.schema) continue;
        for (auto const& step : d.schema->steps()) ++by_severity[static_cast<std::size_t>(catalog::worst(step->changes))];
    }
    out.begin(metric::schema_versions);
    for (std::size_t i = 0; i < by_severity.size(); ++i) out.sample({{"severity", catalog::to_text(static_cast<catalog::severity>(i))}}, by_severity[i]);
    out.begin(metric::schema_known);
    for (auto const& d : all) out.sample({{"database", d.name}}, std::uint64_t{d.schema && d.problem.empty()});
    out.begin(metric::schema_loads);
    for (auto const& d : all) out.sample({{"database", d.name}}, d.loads);
    out.begin(metric::schema_load);
    for (auto const& d : all) out.sample({{"database", d.name}}, std::chrono::duration<double>(d.last_load).count());
}

std::uint64_t resident_bytes() {
    unsigned long size = 0;
    unsigned long resident = 0;
    if (auto* const file = std::fopen("/proc/self/statm", "re"); file != nullptr) {
        if (std::fscanf(file, "%lu %lu", &size, &resident) != 2) resident = 0;
        (void)std::fclose(file);
    }
    return static_cast<std::uint64_t>(resident) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t open_descriptors() {
    // Since Linux 6.2 the directory's size is their number; to read it takes about a microsecond for each.
    struct stat described{};
    if (::stat("/proc/self/fd", &described) == 0 && described.st_size > 0) return static_cast<std::uint64_t>(described.st_size);
    std::uint64_t n = 0;
    auto* const directory = ::opendir("/proc/self/fd");
    if (directory == nullptr) return 0;
    while (::readdir(directory) != nullptr) ++n;
    (void)::closedir(directory);
    return n > 3 ? n - 3 : 0; // not ".", ".." and the directory's own
}

void write_process(exposition& out, std::uint64_t cache_bytes, std::uint64_t journal_bytes, std::uint64_t pattern_bytes) {
    auto const resident = resident_bytes();
    out.begin(metric::memory);
    out.sample({{"part", "statement_cache"}}, cache_bytes);
    out.sample({{"part", "journal"}}, journal_bytes);
    out.sample({{"part", "patterns"}}, pattern_bytes);
    auto const counted = cache_bytes + journal_bytes + pattern_bytes;
    out.sample({{"part", "rest"}}, resident > counted ? resident - counted : 0);
    rusage used{};
    (void)::getrusage(RUSAGE_SELF, &used);
    auto const of = [](timeval const& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    out.begin(metric::cpu);
    out.sample({}, of(used.ru_utime) + of(used.ru_stime));
    out.begin(metric::resident);
    out.sample({}, resident);
    out.begin(metric::descriptors);
    out.sample({}, open_descriptors());
}

/// All but what other threads have to be asked for.
void write_own(exposition& out, console_sources const& from, bool ready) {
    auto const all = from.services->figures.workers();
    out.begin(metric::build);
    out.sample({{"version", from.version}}, std::uint64_t{1});
    out.begin(metric::started);
    out.sample({}, static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(from.started.time_since_epoch()).count()) / 1e3);
    out.begin(metric::draining);
    out.sample({}, std::uint64_t{from.services->draining.load(std::memory_order_relaxed)});
    out.begin(metric::ready);
    out.sample({}, std::uint64_t{ready});
    write_statements(out, all);
    write_traffic(out, from.services->figures);
    write_heals(out, all);
    write_connections(out, all);
    write_breakers(out, *from.services);
    write_backends(out, *from.services, all);
    out.begin(metric::drifting);
    out.sample({}, std::uint64_t{from.services->journal.drifting()});
    out.begin(metric::triggers);
    if (from.observed != nullptr) {
        std::map<std::string, bool> raised;
        for (auto const& it : from.observed->triggers()) {
            auto& value = raised[std::string{learning::name_of(it.what)}];
            value = value || it.raised;
        }
        for (auto const& [name, value] : raised) out.sample({{"trigger", name}}, std::uint64_t{value});
    }
}

void write_patterns(exposition& out, learning::pattern_counts const& counts, std::uint64_t dropped) {
    out.begin(metric::patterns);
    for (std::size_t i = 0; i < counts.by_state.size(); ++i)
        out.sample({{"state", learning::name_of(static_cast<learning::pattern_state>(i))}}, counts.by_state[i]);
    out.begin(metric::observations_dropped);
    out.sample({}, dropped);
}

void write_state(exposition& out, state::store const* store) {
    auto const condition = store != nullptr ? std::optional{store->now()} : std::nullopt;
    out.begin(metric::state_up);
    if (condition) out.sample({}, std::uint64_t{condition->up});
    out.begin(metric::state_waiting);
    if (condition) out.sample({}, condition->waiting);
    out.begin(metric::state_dropped);
    if (condition) out.sample({}, condition->dropped);
}

} // namespace

void write_metrics(console_sources const& from, bool open_metrics, bool ready, std::function<void(std::string)> answer) {
    auto out = std::make_shared<exposition>(open_metrics);
    write_own(*out, from, ready);
    from.learner->count([&from, out, answer = std::move(answer)](learning::pattern_counts const& counts) {
        write_patterns(*out, counts, from.learner->dropped());
        write_state(*out, from.services->state);
        auto const all = from.services->figures.workers();
        write_process(*out, sum(all, [](auto const& w) -> auto const& { return w.cache_bytes; }), from.services->journal.bytes(), counts.bytes);
        auto finish = [out, answer](databases const& watched) {
            write_schemas(*out, watched);
            answer(out->finish());
        };
        if (from.watcher != nullptr) from.watcher->describe(std::move(finish));
        else finish({});
    });
}

} // namespace pgmend::admin
