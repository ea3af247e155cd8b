#include "pgmend/admin/observatory.hpp"

#include "pgmend/base/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::admin {
namespace {

constexpr std::size_t minute_intervals = 60 / static_cast<std::size_t>(observatory::every.count());

void log_decision(learning::decision const& it) {
    base::log(it.raised ? base::log_level::warning : base::log_level::info, "optimizer.decided",
              {{"trigger", learning::name_of(it.what)},
               {"subject", it.subject},
               {"raised", it.raised},
               {"figure", it.figure},
               {"limit", it.limit},
               {"reason", it.reason},
               {"advice", it.advice}});
}

telemetry::database_totals between(telemetry::database_totals const& before, telemetry::database_totals now) {
    now.transactions -= before.transactions;
    now.statements -= before.statements;
    now.received_bytes -= before.received_bytes;
    now.sent_bytes -= before.sent_bytes;
    now.transaction_us -= before.transaction_us;
    now.statement_us -= before.statement_us;
    now.wait_us -= before.wait_us;
    return now;
}

} // namespace

totals sum_of(telemetry::registry const& figures) {
    totals out;
    out.at = std::chrono::steady_clock::now();
    for (auto const* const w : figures.workers()) {
        for (std::size_t k = 0; k < telemetry::statement_kinds.size(); ++k)
            for (std::size_t t = 0; t < telemetry::tier_count; ++t) out.statements[k][t] += w->statements[k][t].get();
        for (std::size_t t = 0; t < telemetry::tier_count; ++t) out.heal_duration[t] += w->heal_duration[t].get();
        for (auto const& it : w->errors) out.errors += it.get();
        for (auto const& tier : w->heals)
            for (std::size_t e = 0; e < telemetry::evidences.size(); ++e)
                for (auto const& outcomes : tier[e]) {
                    auto const good = outcomes[static_cast<std::size_t>(telemetry::heal_outcome::healed)].get();
                    out.heals_succeeded += good;
                    if (e >= telemetry::proven_evidences) out.heals_advised += good;
                    out.heals_failed += outcomes[static_cast<std::size_t>(telemetry::heal_outcome::failed)].get();
                }
        out.cache_hits += w->cache_hits.get();
        out.cache_misses += w->cache_misses.get();
        out.worst_lag_us = std::max(out.worst_lag_us, w->lag_us.get());
        out.clients += w->clients.get();
    }
    out.databases = figures.databases();
    return out;
}

void observatory::tick(std::chrono::steady_clock::time_point now, telemetry::wall_time wall) {
    {
        std::lock_guard const lock{mutex_};
        if (!minute_.empty() && now - minute_.back().at < every - std::chrono::milliseconds{500}) return;
    }
    auto sum = sum_of(services_.figures);
    for (auto* const breaker : services_.backends->breakers().all()) sum.breaker_trips += breaker->describe(now).counted.outages;
    std::lock_guard const lock{mutex_};
    if (!minute_.empty()) watch(minute_.back(), sum, wall);
    minute_.push_back(std::move(sum));
    if (minute_.size() > minute_intervals + 1) minute_.pop_front();
}

void observatory::watch(totals const& before, totals const& now, telemetry::wall_time wall) {
    interval made;
    made.at = wall;
    made.seconds = std::chrono::duration<double>(now.at - before.at).count();
    learning::measurement seen;
    telemetry::histogram_values all;
    for (std::size_t k = 0; k < telemetry::statement_kinds.size(); ++k) {
        telemetry::histogram_values of_kind;
        for (std::size_t t = 0; t < telemetry::tier_count; ++t) {
            auto const some = now.statements[k][t].since(before.statements[k][t]);
            made.tiers[t] += some.count();
            of_kind += some;
        }
        made.statements[k] = of_kind.count();
        seen.statements[k] = {of_kind.count(), of_kind.quantile_us(0.95)};
        all += of_kind;
    }
    made.p50_us = all.quantile_us(0.50);
    made.p95_us = all.quantile_us(0.95);
    made.p99_us = all.quantile_us(0.99);
    made.errors = now.errors - before.errors;
    made.heals_failed = now.heals_failed - before.heals_failed;
    made.clients = now.clients;
    for (auto const& [name, it] : now.databases) {
        auto const known = before.databases.find(name);
        auto const some = known == before.databases.end() ? it : between(known->second, it);
        made.received_bytes += some.received_bytes;
        made.sent_bytes += some.sent_bytes;
    }
    history_.push_back(made);
    if (history_.size() > most_intervals) history_.pop_front();

    seen.heals_succeeded = now.heals_succeeded - before.heals_succeeded;
    seen.heals_failed = made.heals_failed;
    seen.heals_advised = now.heals_advised - before.heals_advised;
    seen.known_heals_p95_us = now.heal_duration[1].since(before.heal_duration[1]).quantile_us(0.95);
    seen.first_heals_p95_us = now.heal_duration[2].since(before.heal_duration[2]).quantile_us(0.95);
    seen.cache_hits = now.cache_hits - before.cache_hits;
    seen.cache_misses = now.cache_misses - before.cache_misses;
    seen.worst_lag_us = now.worst_lag_us;
    seen.breaker_trips = now.breaker_trips - before.breaker_trips;
    for (auto const& it : monitor_.on_interval(seen)) {
        log_decision(it);
        services_.journal.note({wall, "optimizer.decided", it.advice.empty() ? it.reason : fmt::format("{}: {}", it.reason, it.advice)});
    }
}

std::vector<interval> observatory::history() const {
    std::lock_guard const lock{mutex_};
    return {history_.begin(), history_.end()};
}

observatory::recent observatory::last_minute() const {
    std::lock_guard const lock{mutex_};
    recent out;
    if (minute_.size() < 2) return out;
    auto const& first = minute_.front();
    auto const& last = minute_.back();
    out.seconds = std::chrono::duration<double>(last.at - first.at).count();
    for (auto const& [name, it] : last.databases) {
        auto const known = first.databases.find(name);
        out.databases[name] = known == first.databases.end() ? it : between(known->second, it);
    }
    return out;
}

std::vector<learning::monitor::state> observatory::triggers() const {
    std::lock_guard const lock{mutex_};
    return monitor_.states();
}

} // namespace pgmend::admin
