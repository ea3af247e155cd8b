#include "pgmend/backend/breaker.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pgmend::backend {
namespace {

std::chrono::milliseconds in_milliseconds(base::duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d); }

bool reaches(std::uint32_t part, std::uint32_t whole, double rate) {
    return part > 0 && static_cast<double>(part) >= rate * static_cast<double>(whole);
}

} // namespace

char const* name_of(breaker_state state) {
    switch (state) {
    case breaker_state::closed: return "closed";
    case breaker_state::half_open: return "half_open";
    case breaker_state::open: return "open";
    }
    return "";
}

char const* name_of(breaker_mode mode) {
    switch (mode) {
    case breaker_mode::off: return "off";
    case breaker_mode::observe: return "observe";
    case breaker_mode::enforce: return "enforce";
    }
    return "";
}

char const* name_of(breaker_cause cause) {
    switch (cause) {
    case breaker_cause::none: return "";
    case breaker_cause::failures: return "failures";
    case breaker_cause::slow_calls: return "slow calls";
    case breaker_cause::probe_failed: return "probe failed";
    case breaker_cause::tripped: return "tripped";
    case breaker_cause::restored: return "restored";
    }
    return "";
}

void breaker::configure(breaker_settings settings) {
    bool const same_window = settings.window_calls == settings_.window_calls && settings.window_time == settings_.window_time;
    settings_ = settings;
    if (!same_window) window_ = outcome_window{settings.window_calls, settings.window_time};
}

void breaker::enter(breaker_state state, breaker_cause cause, milliseconds open_for) {
    transitions_.push_back({state_, state, cause, reason_, window_.calls(), window_.failures(), open_for});
    state_ = state;
    cause_ = cause;
    ++epoch_;
    probes_.clear();
    probes_succeeded_ = 0;
}

void breaker::open(breaker_cause cause, base::time_point now, double random) {
    if (state_ == breaker_state::closed) {
        // Soon after the last outage the back-off goes on where it was.
        if (closed_at_ == base::time_point{} || now - closed_at_ > settings_.most_open_for) openings_ = 0;
        since_ = now;
        ++counters_.outages;
    }
    auto const doubled = static_cast<double>(settings_.open_for.count()) * std::pow(2.0, std::min(openings_, 30U));
    auto const limited = std::min(doubled, static_cast<double>(settings_.most_open_for.count()));
    auto const shaken = limited * (1.0 + settings_.jitter * (2.0 * random - 1.0));
    milliseconds const open_for{static_cast<std::int64_t>(std::max(shaken, 1.0))};
    ++openings_;
    ++counters_.opened;
    until_ = now + open_for;
    enter(breaker_state::open, cause, open_for);
}

void breaker::half_open(base::time_point) { enter(breaker_state::half_open, cause_, milliseconds{0}); }

void breaker::close(base::time_point now) {
    enter(breaker_state::closed, breaker_cause::none, milliseconds{0});
    window_.clear();
    consecutive_ = 0;
    since_ = closed_at_ = now;
    reason_.clear();
}

void breaker::look(base::time_point now) {
    if (state_ == breaker_state::open && !tripped_ && now >= until_) half_open(now);
}

void breaker::drop_lost_probes(base::time_point now) {
    std::erase_if(probes_, [&](base::time_point began) { return now - began > settings_.probe_lease; });
}

std::optional<breaker::call> breaker::admit(base::time_point now) {
    if (disabled_ || (settings_.mode == breaker_mode::off && !tripped_)) return call{0, false};
    look(now);
    if (state_ == breaker_state::closed) return call{epoch_, false};
    if (state_ == breaker_state::half_open) {
        drop_lost_probes(now);
        if (probes_.size() + probes_succeeded_ < settings_.half_open_probes) {
            probes_.push_back(now);
            ++counters_.probes;
            return call{epoch_, true};
        }
    }
    ++counters_.refused;
    if (settings_.mode == breaker_mode::observe && !tripped_) return call{0, false}; // a person's word counts in every mode
    return std::nullopt;
}

void breaker::abandoned(call c) {
    if (c.epoch == epoch_ && c.probe && !probes_.empty()) probes_.erase(probes_.begin());
}

void breaker::succeeded_meanwhile(std::uint64_t count, base::time_point now) {
    if (count == 0 || state_ != breaker_state::closed || disabled_ || settings_.mode == breaker_mode::off) return;
    counters_.calls += count;
    window_.add(outcome::good, count, now);
    consecutive_ = 0;
}

void breaker::succeeded(call c, base::duration took, bool alone, base::time_point now, double random) {
    if (!counts(c)) return;
    bool const slow = settings_.slow_call.count() > 0 && took >= settings_.slow_call;
    ++counters_.calls;
    if (slow) ++counters_.slow;
    if (state_ == breaker_state::half_open) {
        if (!c.probe) return;
        abandoned(c);
        if (slow && !alone && cause_ == breaker_cause::slow_calls) return open(breaker_cause::probe_failed, now, random);
        if (++probes_succeeded_ >= settings_.half_open_probes) close(now);
        return;
    }
    if (state_ != breaker_state::closed) return;
    consecutive_ = 0;
    window_.add(slow ? outcome::slow : outcome::good, now);
    if (!slow || alone || window_.calls() < settings_.minimum_calls) return;
    if (!reaches(window_.slow(), window_.calls(), settings_.slow_rate)) return;
    reason_ = "slower than " + std::to_string(settings_.slow_call.count()) + " ms";
    open(breaker_cause::slow_calls, now, random);
}

void breaker::failed(call c, std::string reason, base::time_point now, double random) {
    if (!counts(c)) return;
    ++counters_.calls;
    ++counters_.failures;
    if (state_ == breaker_state::half_open) {
        if (!c.probe) return;
        reason_ = std::move(reason);
        return open(breaker_cause::probe_failed, now, random);
    }
    if (state_ != breaker_state::closed) return;
    reason_ = std::move(reason);
    window_.add(outcome::failed, now);
    ++consecutive_;
    bool const in_a_row = settings_.consecutive_failures > 0 && consecutive_ >= settings_.consecutive_failures;
    bool const too_many = window_.calls() >= settings_.minimum_calls && reaches(window_.failures(), window_.calls(), settings_.failure_rate);
    if (in_a_row || too_many) open(breaker_cause::failures, now, random);
}

void breaker::looks_healthy(base::time_point now) {
    if (state_ == breaker_state::open && !tripped_) half_open(now);
}

void breaker::trip(std::string reason, base::time_point now) {
    tripped_ = true;
    disabled_ = false;
    reason_ = std::move(reason);
    if (state_ == breaker_state::closed) since_ = now;
    ++counters_.opened;
    enter(breaker_state::open, breaker_cause::tripped, milliseconds{0});
}

void breaker::reset(base::time_point now) {
    tripped_ = disabled_ = false;
    openings_ = 0;
    if (state_ != breaker_state::closed) close(now);
    window_.clear();
    consecutive_ = 0;
    closed_at_ = {};
}

void breaker::disable(base::time_point now) {
    reset(now);
    disabled_ = true;
}

void breaker::restore(std::string reason, std::uint32_t openings, base::duration open_since, base::time_point now) {
    if (state_ != breaker_state::closed || open_since < base::duration::zero() || open_since > settings_.most_open_for) return;
    reason_ = std::move(reason);
    openings_ = std::max(openings, 1U);
    since_ = now - open_since;
    milliseconds const doubled{settings_.open_for.count() * (std::int64_t{1} << std::min(openings_ - 1, 20U))};
    auto const left = std::min(doubled, settings_.most_open_for) - in_milliseconds(open_since);
    auto const open_for = std::max(left, milliseconds{0});
    until_ = now + open_for;
    enter(breaker_state::open, breaker_cause::restored, open_for);
}

std::optional<base::time_point> breaker::next_probe() const {
    if (state_ != breaker_state::open || tripped_) return std::nullopt;
    return until_;
}

} // namespace pgmend::backend
