// One breaker for all threads of the process, and where they are found by name.
#pragma once

#include "pgmend/backend/breaker.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::backend {

/// Successes that one thread counts, for a breaker to read when something fails. One writer: an add is a load and a store.
class alignas(64) tally {
  public:
    void add_one() { count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> count_{0};
};

/// What is known of a breaker, for people.
struct breaker_view {
    std::string name;
    breaker_state state{};
    breaker_mode mode{};
    breaker_cause cause{};
    bool tripped{false};
    bool disabled{false};
    base::duration since{};                   ///< how long in this state; of an outage: how long it lasts
    std::optional<base::duration> next_probe; ///< from now; zero: the next call is one
    std::string reason;
    std::uint32_t calls{0}; ///< in the window
    std::uint32_t failures{0};
    std::uint32_t slow{0};
    std::uint32_t openings{0};
    breaker::counters counted;
};

/// A breaker that any thread may ask and tell. While it is closed admit() costs one relaxed load, and a quick success one
/// relaxed addition: the machine hears of those when it has to decide, which is when something fails. Everything else is
/// done under a mutex.
/// What successes there were between two failures is exact for a window by count; for one by time they are taken to have
/// come evenly.
class shared_breaker {
  public:
    /// Hears of changes of state, on the thread that caused them, outside the mutex.
    using listener = std::function<void(shared_breaker&, breaker::transition const&)>;

    shared_breaker(std::string name, breaker_settings settings, std::uint64_t seed, base::time_point now, listener told);
    shared_breaker(shared_breaker const&) = delete;
    shared_breaker& operator=(shared_breaker const&) = delete;

    [[nodiscard]] std::string const& name() const { return name_; }
    [[nodiscard]] bool closed() const { return closed_epoch_.load(std::memory_order_relaxed) != 0; }

    [[nodiscard]] std::optional<breaker::call> admit(base::time_point now) {
        if (auto const epoch = closed_epoch_.load(std::memory_order_relaxed); epoch != 0) return breaker::call{epoch, false};
        return admit_slowly(now);
    }
    void succeeded(breaker::call c, base::duration took, bool alone, base::time_point now) {
        if (closed_epoch_.load(std::memory_order_relaxed) == c.epoch && took.count() < slow_.load(std::memory_order_relaxed))
            quick_.fetch_add(1, std::memory_order_relaxed);
        else succeeded_slowly(c, took, alone, now);
    }
    void failed(breaker::call c, std::string reason, base::time_point now);
    void abandoned(breaker::call c);
    /// A failure that no admit() came before.
    void failed_meanwhile(std::string reason, base::time_point now);

    /// For one thread, for as long as this lives.
    [[nodiscard]] tally& new_tally();

    void configure(breaker_settings settings, base::time_point now);
    void looks_healthy(base::time_point now) {
        if (!closed()) change_to_half_open(now);
    }
    void trip(std::string reason, base::time_point now);
    void reset(base::time_point now);
    void disable(base::time_point now);
    void enable(base::time_point now);
    void restore(std::string reason, std::uint32_t openings, base::duration open_since, base::time_point now);
    [[nodiscard]] breaker_view describe(base::time_point now);

  private:
    void change_to_half_open(base::time_point now);
    std::optional<breaker::call> admit_slowly(base::time_point now);
    void succeeded_slowly(breaker::call c, base::duration took, bool alone, base::time_point now);
    template <class F>
    void change(base::time_point now, F f);
    std::vector<breaker::transition> publish();
    void fold(base::time_point now);
    double random();

    std::string name_;
    listener told_;
    std::atomic<std::uint64_t> closed_epoch_{0}; ///< 0: not closed, or nothing may be passed over
    std::atomic<base::duration::rep> slow_{std::numeric_limits<base::duration::rep>::max()};
    std::atomic<std::uint64_t> quick_{0};
    mutable std::mutex mutex_;
    breaker machine_;
    std::deque<tally> tallies_;
    std::uint64_t folded_{0};
    base::time_point folded_at_;
    std::uint64_t random_;
};

/// All breakers of the process, by name. None is ever destroyed before the registry, so references stay good. Any thread.
class breaker_registry {
  public:
    explicit breaker_registry(std::uint64_t seed, breaker_settings settings = {}) : settings_{settings}, seed_{seed} {}

    /// The one with this name; a new one where there is none.
    [[nodiscard]] shared_breaker& get(std::string const& name, base::time_point now);
    /// Letters in any case. Null where there is none.
    [[nodiscard]] shared_breaker* find(std::string_view name) const;
    [[nodiscard]] std::vector<shared_breaker*> all() const;

    void configure(breaker_settings settings, base::time_point now);
    /// Listeners hear of every change of state from then on, one after the other.
    void listen(shared_breaker::listener told) {
        std::lock_guard const lock{mutex_};
        listeners_.push_back(std::move(told));
    }

  private:
    [[nodiscard]] std::vector<shared_breaker::listener> listeners() const;

    mutable std::mutex mutex_;
    breaker_settings settings_;
    std::uint64_t seed_;
    std::vector<shared_breaker::listener> listeners_;
    mutable std::deque<shared_breaker> breakers_;
};

} // namespace pgmend::backend
