#include "pgmend/learning/monitor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace pgmend::learning {
namespace {

constexpr double baseline_weight = 0.1;

constexpr std::array<std::string_view, 7> trigger_names = {"heal_success", "advised_share", "slow_heals", "latency",
                                                           "cache_hits",   "breaker_trips", "event_loop_lag"};

std::size_t place(trigger of) { return static_cast<std::size_t>(of); }

std::string percent(double share) { return fmt::format("{:.1f} %", share * 100); }

std::string duration(double us) {
    if (us < 1000) return fmt::format("{:.0f} µs", us);
    if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
    return fmt::format("{:.2f} s", us / 1e6);
}

} // namespace

std::string_view name_of(trigger of) { return trigger_names[place(of)]; }

monitor::monitor(monitor_limits limits) : limits_{limits} {
    for (std::size_t i = 0; i < trigger_names.size(); ++i) watches_.push_back({{static_cast<trigger>(i), {}, false, 0, 0}, 0});
    watches_[place(trigger::latency)].now.subject = kind_names[0];
    for (std::size_t k = 1; k < measurement::kinds; ++k) watches_.push_back({{trigger::latency, std::string{kind_names[k]}, false, 0, 0}, 0});
}

bool monitor::moves(watch& it, double figure, double limit, bool bad, bool good, unsigned intervals) const {
    it.now.figure = figure;
    it.now.limit = limit;
    bool const speaks_for_change = it.now.raised ? good : bad;
    it.streak = speaks_for_change ? it.streak + 1 : 0;
    if (it.streak < intervals) return false;
    it.streak = 0;
    it.now.raised = !it.now.raised;
    return true;
}

std::vector<decision> monitor::on_interval(measurement const& seen) {
    std::vector<decision> out;
    auto const tell = [&](watch const& it, std::string reason, std::string_view advice) {
        out.push_back({it.now.what, it.now.subject, it.now.raised, it.now.figure, it.now.limit, std::move(reason),
                       std::string{it.now.raised ? advice : ""}});
    };
    auto const side = [](watch const& it) { return it.now.raised ? "beyond" : "back within"; };
    auto const n = limits_.intervals;

    auto const heals = seen.heals_succeeded + seen.heals_failed;
    if (heals >= limits_.least_heals) {
        auto& it = watches_[place(trigger::heal_success)];
        double const share = static_cast<double>(seen.heals_succeeded) / static_cast<double>(heals);
        double const limit = it.now.raised ? limits_.heal_success_good : limits_.heal_success;
        if (moves(it, share, limit, share < limits_.heal_success, share >= limits_.heal_success_good, n))
            tell(it, fmt::format("{} of {} heals succeeded, {} the limit of {}", percent(share), heals, side(it), percent(limit)),
                 "ask for more trust before a pattern heals; SHOW PATTERNS lists those that fail");
    }
    if (seen.heals_succeeded >= limits_.least_heals) {
        auto& it = watches_[place(trigger::advised_share)];
        double const share = static_cast<double>(seen.heals_advised) / static_cast<double>(seen.heals_succeeded);
        double const limit = it.now.raised ? limits_.advised_share_good : limits_.advised_share;
        if (moves(it, share, limit, share > limits_.advised_share, share <= limits_.advised_share_good, n))
            tell(it, fmt::format("{} of {} heals rest on advice and not on proof, {} the limit of {}", percent(share), seen.heals_succeeded, side(it), percent(limit)),
                 "write rules for them: SHOW DRIFT says what to write instead");
    }
    if (double const worst = std::max(seen.first_heals_p95_us, seen.known_heals_p95_us); worst > 0) {
        auto& it = watches_[place(trigger::slow_heals)];
        bool const first = seen.first_heals_p95_us >= seen.known_heals_p95_us;
        double const limit = it.now.raised ? limits_.slow_heal_good_us : limits_.slow_heal_us;
        if (moves(it, worst, limit, worst > limits_.slow_heal_us, worst <= limits_.slow_heal_good_us, n))
            tell(it,
                 fmt::format("95 % of heals take up to {}, {} the limit of {}; the slow part is {}", duration(worst), side(it), duration(limit),
                             first ? "the first heal of a statement, from its failure to the healed answer" : "asking the server before a known statement is sent"),
                 first ? "SHOW SCHEMA says how long reading the catalog takes; where that is short, the statements themselves are slow" : "SHOW CACHE says whether texts find room");
    }
    for (std::size_t k = 0; k < measurement::kinds; ++k) {
        auto const& now = seen.statements[k];
        if (now.count < limits_.least_statements) continue;
        auto& usual = baselines_[k];
        auto& it = watches_[k == 0 ? place(trigger::latency) : trigger_names.size() + k - 1];
        if (usual.intervals >= limits_.warm_up) {
            double const high = std::max(usual.mean_us * limits_.latency_factor, limits_.latency_floor_us);
            double const low = std::max(usual.mean_us * limits_.latency_factor_good, limits_.latency_floor_us);
            double const limit = it.now.raised ? low : high;
            if (moves(it, now.p95_us, limit, now.p95_us > high, now.p95_us <= low, n))
                tell(it, fmt::format("95 % of {} take up to {}, {} the limit of {}; usual are {}", kind_names[k], duration(now.p95_us), side(it), duration(limit),
                                     duration(usual.mean_us)),
                     "the time is between the statement's arrival and its completion: look at the server's load and locks first");
        }
        bool const suspicious = it.now.raised || it.streak > 0;
        if (suspicious) continue;
        usual.mean_us = usual.intervals == 0 ? now.p95_us : usual.mean_us + baseline_weight * (now.p95_us - usual.mean_us);
        ++usual.intervals;
    }
    if (auto const lookups = seen.cache_hits + seen.cache_misses; lookups >= limits_.least_lookups) {
        auto& it = watches_[place(trigger::cache_hits)];
        double const share = static_cast<double>(seen.cache_hits) / static_cast<double>(lookups);
        double const limit = it.now.raised ? limits_.cache_hits_good : limits_.cache_hits;
        if (moves(it, share, limit, share < limits_.cache_hits, share >= limits_.cache_hits_good, n))
            tell(it, fmt::format("{} of {} statement texts were known, {} the limit of {}", percent(share), lookups, side(it), percent(limit)),
                 "applications that write literals into their SQL send a new text each time: parameters would help");
    }
    trips_.push_back(seen.breaker_trips);
    if (trips_.size() > limits_.trip_intervals) trips_.erase(trips_.begin());
    {
        auto& it = watches_[place(trigger::breaker_trips)];
        auto const trips = std::accumulate(trips_.begin(), trips_.end(), std::uint64_t{0});
        auto const limit = it.now.raised ? 0 : limits_.trips;
        if (moves(it, static_cast<double>(trips), static_cast<double>(limit), trips > limits_.trips, trips == 0, 1))
            tell(it, fmt::format("the breakers tripped {} times of late, {} the limit of {}", trips, side(it), limit),
                 "a backend that comes and goes needs a longer open_for, or a person");
    }
    {
        auto& it = watches_[place(trigger::event_loop_lag)];
        auto const lag = seen.worst_lag_us;
        auto const limit = it.now.raised ? limits_.lag_good_us : limits_.lag_us;
        if (moves(it, static_cast<double>(lag), static_cast<double>(limit), lag > limits_.lag_us, lag <= limits_.lag_good_us, n))
            tell(it, fmt::format("a worker's event loop is {} late, {} the limit of {}", duration(static_cast<double>(lag)), side(it), duration(static_cast<double>(limit))),
                 "the process gets too little CPU, or has too few workers");
    }
    return out;
}

std::vector<monitor::state> monitor::states() const {
    std::vector<state> out;
    for (auto const& it : watches_) out.push_back(it.now);
    return out;
}

double monitor::baseline_us(std::size_t kind) const {
    auto const& it = baselines_[kind];
    return it.intervals >= limits_.warm_up ? it.mean_us : 0;
}

} // namespace pgmend::learning
