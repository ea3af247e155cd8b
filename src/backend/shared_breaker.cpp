#include "pgmend/backend/shared_breaker.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::backend {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

} // namespace

shared_breaker::shared_breaker(std::string name, breaker_settings settings, std::uint64_t seed, base::time_point now, listener told)
    : name_{std::move(name)}, told_{std::move(told)}, machine_{settings}, folded_at_{now}, random_{seed | 1} {
    (void)publish();
}

/// What admit() and succeeded() look at without the mutex; and what there is to tell.
std::vector<breaker::transition> shared_breaker::publish() {
    auto const& own = machine_.settings();
    bool const plain = machine_.state() == breaker_state::closed && !machine_.is_disabled() && own.mode != breaker_mode::off;
    constexpr auto never = std::numeric_limits<base::duration::rep>::max();
    closed_epoch_.store(plain ? machine_.epoch() : 0, std::memory_order_relaxed);
    slow_.store(own.slow_call.count() > 0 ? base::duration{own.slow_call}.count() : never, std::memory_order_relaxed);
    return machine_.take_transitions();
}

/// Runs `f` under the mutex, then tells what has changed.
template <class F>
void shared_breaker::change(base::time_point now, F f) {
    std::vector<breaker::transition> moved;
    {
        std::lock_guard const lock{mutex_};
        fold(now);
        f();
        moved = publish();
    }
    if (!told_) return;
    for (auto const& t : moved) told_(*this, t);
}

/// Successes counted outside the mutex since the last time.
void shared_breaker::fold(base::time_point now) {
    auto total = quick_.load(std::memory_order_relaxed);
    for (auto const& t : tallies_) total += t.count();
    auto count = total - folded_;
    folded_ = total;
    auto const window = base::duration{machine_.settings().window_time};
    if (window.count() > 0 && now - folded_at_ > window && count > 0) {
        auto const part = static_cast<double>(window.count()) / static_cast<double>((now - folded_at_).count());
        count = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(count) * part));
    }
    folded_at_ = now;
    machine_.succeeded_meanwhile(count, now);
}

double shared_breaker::random() { // xorshift64: for jitter
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return static_cast<double>(random_ >> 11) / static_cast<double>(1ULL << 53);
}

std::optional<breaker::call> shared_breaker::admit_slowly(base::time_point now) {
    std::optional<breaker::call> out;
    change(now, [&] { out = machine_.admit(now); });
    return out;
}

void shared_breaker::succeeded_slowly(breaker::call c, base::duration took, bool alone, base::time_point now) {
    change(now, [&] { machine_.succeeded(c, took, alone, now, random()); });
}

void shared_breaker::failed(breaker::call c, std::string reason, base::time_point now) {
    change(now, [&] { machine_.failed(c, std::move(reason), now, random()); });
}

void shared_breaker::abandoned(breaker::call c) {
    if (!c.probe) return;
    std::lock_guard const lock{mutex_};
    machine_.abandoned(c);
}

void shared_breaker::failed_meanwhile(std::string reason, base::time_point now) {
    change(now, [&] { machine_.failed_meanwhile(std::move(reason), now, random()); });
}

tally& shared_breaker::new_tally() {
    std::lock_guard const lock{mutex_};
    return tallies_.emplace_back();
}

void shared_breaker::configure(breaker_settings settings, base::time_point now) {
    change(now, [&] { machine_.configure(settings); });
}
void shared_breaker::change_to_half_open(base::time_point now) {
    change(now, [&] { machine_.looks_healthy(now); });
}
void shared_breaker::trip(std::string reason, base::time_point now) {
    change(now, [&] { machine_.trip(std::move(reason), now); });
}
void shared_breaker::reset(base::time_point now) {
    change(now, [&] { machine_.reset(now); });
}
void shared_breaker::disable(base::time_point now) {
    change(now, [&] { machine_.disable(now); });
}
void shared_breaker::enable(base::time_point now) {
    change(now, [&] { machine_.enable(); });
}
void shared_breaker::restore(std::string reason, std::uint32_t openings, base::duration open_since, base::time_point now) {
    change(now, [&] { machine_.restore(std::move(reason), openings, open_since, now); });
}

breaker_view shared_breaker::describe(base::time_point now) {
    breaker_view out;
    change(now, [&] {
        machine_.look(now);
        out.name = name_;
        out.state = machine_.state();
        out.mode = machine_.settings().mode;
        out.cause = machine_.cause();
        out.tripped = machine_.is_tripped();
        out.disabled = machine_.is_disabled();
        if (machine_.since() != base::time_point{}) out.since = now - machine_.since();
        if (auto const next = machine_.next_probe()) out.next_probe = std::max(*next - now, base::duration{0});
        else if (machine_.state() == breaker_state::half_open) out.next_probe = base::duration{0};
        out.reason = machine_.reason();
        out.calls = machine_.window().calls();
        out.failures = machine_.window().failures();
        out.slow = machine_.window().slow();
        out.openings = machine_.openings();
        out.counted = machine_.counted();
    });
    return out;
}

// ------------------------------------------------------------------------------------------- registry

shared_breaker& breaker_registry::get(std::string const& name, base::time_point now) {
    if (auto* const known = find(name)) return *known;
    std::lock_guard const lock{mutex_};
    for (auto& b : breakers_)
        if (same_name(b.name(), name)) return b;
    auto const tell_all = [this](shared_breaker& which, breaker::transition const& what) {
        for (auto const& told : listeners()) told(which, what); // they may look breakers up
    };
    seed_ = seed_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return breakers_.emplace_back(name, settings_, seed_, now, tell_all);
}

std::vector<shared_breaker::listener> breaker_registry::listeners() const {
    std::lock_guard const lock{mutex_};
    return listeners_;
}

shared_breaker* breaker_registry::find(std::string_view name) const {
    std::lock_guard const lock{mutex_};
    for (auto& b : breakers_)
        if (same_name(b.name(), name)) return &b;
    return nullptr;
}

std::vector<shared_breaker*> breaker_registry::all() const {
    std::lock_guard const lock{mutex_};
    std::vector<shared_breaker*> out;
    for (auto& b : breakers_) out.push_back(&b);
    return out;
}

void breaker_registry::configure(breaker_settings settings, base::time_point now) {
    {
        std::lock_guard const lock{mutex_};
        settings_ = settings;
    }
    for (auto* const b : all()) b->configure(settings, now);
}

} // namespace pgmend::backend
