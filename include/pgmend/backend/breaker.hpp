// When to stop asking a backend that only fails.
#pragma once

#include "pgmend/backend/outcome_window.hpp"
#include "pgmend/base/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::backend {

enum class breaker_mode : std::uint8_t { off, observe, enforce };
enum class breaker_state : std::uint8_t { closed, half_open, open };

/// Defaults and YAML keys of `breaker:`.
struct breaker_settings {
    breaker_mode mode{breaker_mode::enforce};                 ///< breaker.mode
    std::uint32_t window_calls{20};                           ///< breaker.window: so many newest calls are looked at ...
    std::chrono::milliseconds window_time{0};                 ///< ... or, where it is a duration, the calls of so long
    std::uint32_t minimum_calls{10};                          ///< breaker.minimum_calls: with fewer no rate is computed
    double failure_rate{0.5};                                 ///< breaker.failure_rate: of the calls in the window
    std::uint32_t consecutive_failures{5};                    ///< breaker.consecutive_failures: so many are enough; 0: never
    std::chrono::milliseconds slow_call{0};                   ///< breaker.slow_call: what took longer is slow; 0: nothing is
    double slow_rate{1.0};                                    ///< breaker.slow_rate: of the calls in the window
    std::chrono::milliseconds open_for{5000};                 ///< breaker.open_for: the first time
    std::chrono::milliseconds most_open_for{60000};           ///< breaker.max_open_for: doubled at each failed probe up to this
    double jitter{0.2};                                       ///< breaker.jitter: up to so much more or less
    std::uint32_t half_open_probes{2};                        ///< breaker.half_open_probes: at a time, and as many must succeed
    std::chrono::milliseconds probe_lease{15000};             ///< a probe that was not heard of for so long is given up

    bool operator==(breaker_settings const&) const = default;
};

/// Why it opened.
enum class breaker_cause : std::uint8_t { none, failures, slow_calls, probe_failed, tripped, restored };
[[nodiscard]] char const* name_of(breaker_state state);
[[nodiscard]] char const* name_of(breaker_mode mode);
[[nodiscard]] char const* name_of(breaker_cause cause);

/// One per thing that may be sick. Counts outcomes of calls and decides whether there shall be another one.
///
///              failure rate, consecutive failures, slow rate, trip()
///     ┌────────┐ ────────────────────────────────────────────────> ┌──────┐
///     │ closed │                                                   │ open │ <─────────┐
///     └────────┘ <──────────── reset() ─────────────────────────── └──────┘           │
///         ^                                                           │ first call    │ a probe failed:
///         │  half_open_probes succeeded                               │ after `until` │ twice as long,
///         └───────────────────────────────────── ┌───────────┐ <──────┘               │ up to most_open_for
///                                                │ half_open │ ───────────────────────┘
///                                                └───────────┘  at most half_open_probes calls at a time
///
/// trip() holds it open until reset(); disable() lets everything through and counts nothing until enable(). In mode
/// observe it moves through the same states and refuses nothing: `refused` counts what it would have done.
///
/// A call belongs to the stretch of one state (`epoch`): what began before the breaker opened and fails after it does not
/// count, so one outage opens it once. Time and randomness are parameters. Not thread-safe: net::shared_breaker is.
class breaker {
  public:
    using milliseconds = std::chrono::milliseconds;

    /// What admit() hands out and the outcome hands back.
    struct call {
        std::uint64_t epoch{0};
        bool probe{false};
    };

    /// A change of state, to be told to people.
    struct transition {
        breaker_state from{};
        breaker_state to{};
        breaker_cause cause{};
        std::string reason;        ///< the last failure's own words
        std::uint32_t calls{0};    ///< in the window
        std::uint32_t failures{0}; ///< among them
        milliseconds open_for{0};  ///< where it opened: until the first probe
    };

    struct counters {
        std::uint64_t calls{0}; ///< outcomes that counted
        std::uint64_t failures{0};
        std::uint64_t slow{0};
        std::uint64_t refused{0}; ///< in mode observe: would have been
        std::uint64_t probes{0};
        std::uint64_t opened{0};  ///< failed probes, too
        std::uint64_t outages{0}; ///< opened by failures when it was closed
    };

    explicit breaker(breaker_settings settings) : settings_{settings}, window_{settings.window_calls, settings.window_time} {}

    /// Other settings; the state stays, the window begins anew where its size is another.
    void configure(breaker_settings settings);

    /// Nothing: refused, at once. Every call is to be ended by exactly one of succeeded(), failed(), abandoned().
    [[nodiscard]] std::optional<call> admit(base::time_point now);
    /// `random`: 0 to 1, used where it opens. `alone`: there is no other backend, so being slow alone is no reason to open.
    void succeeded(call c, base::duration took, bool alone, base::time_point now, double random);
    void failed(call c, std::string reason, base::time_point now, double random);
    /// Neither: it was not the backend's fault, and not its merit.
    void abandoned(call c);
    /// Quick successes that were counted elsewhere, since the last outcome told.
    void succeeded_meanwhile(std::uint64_t count, base::time_point now);
    /// A failure without admit(): something under way broke.
    void failed_meanwhile(std::string reason, base::time_point now, double random) { failed({epoch_, false}, std::move(reason), now, random); }

    /// Something else has shown that it works again: probes may begin before their time.
    void looks_healthy(base::time_point now);

    void trip(std::string reason, base::time_point now);
    void reset(base::time_point now);
    void disable(base::time_point now);
    void enable() { disabled_ = false; }

    /// As it was before a restart: open since, for so much longer. What is older than `most_open_for` is not believed.
    void restore(std::string reason, std::uint32_t openings, base::duration open_since, base::time_point now);

    /// Moves on by time alone: an open one whose time is over is half open. admit() does it, too.
    void look(base::time_point now);

    [[nodiscard]] breaker_state state() const { return state_; }
    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
    [[nodiscard]] bool is_tripped() const { return tripped_; }
    [[nodiscard]] bool is_disabled() const { return disabled_; }
    [[nodiscard]] breaker_settings const& settings() const { return settings_; }
    [[nodiscard]] base::time_point since() const { return since_; } ///< of the state; of the outage while not closed
    [[nodiscard]] std::optional<base::time_point> next_probe() const; ///< while open, unless tripped
    [[nodiscard]] std::string const& reason() const { return reason_; } ///< the newest failure's; empty once closed
    [[nodiscard]] breaker_cause cause() const { return cause_; }
    [[nodiscard]] std::uint32_t openings() const { return openings_; } ///< in a row
    [[nodiscard]] outcome_window const& window() const { return window_; }
    [[nodiscard]] counters const& counted() const { return counters_; }
    [[nodiscard]] std::vector<transition> take_transitions() { return std::exchange(transitions_, {}); }

  private:
    void open(breaker_cause cause, base::time_point now, double random);
    void close(base::time_point now);
    void half_open(base::time_point now);
    void enter(breaker_state state, breaker_cause cause, milliseconds open_for);
    void drop_lost_probes(base::time_point now);
    [[nodiscard]] bool counts(call c) const { return c.epoch == epoch_ && !disabled_ && settings_.mode != breaker_mode::off; }

    breaker_settings settings_;
    outcome_window window_;
    breaker_state state_{breaker_state::closed};
    breaker_cause cause_{breaker_cause::none};
    bool tripped_{false};
    bool disabled_{false};
    std::uint64_t epoch_{1};
    std::uint32_t consecutive_{0};
    std::uint32_t openings_{0};
    std::uint32_t probes_succeeded_{0};
    std::vector<base::time_point> probes_; ///< when those under way began
    base::time_point since_{};
    base::time_point until_{};
    base::time_point closed_at_{};
    std::string reason_;
    counters counters_;
    std::vector<transition> transitions_;
};

} // namespace pgmend::backend
