#include "pgmend/backend/outcome_window.hpp"

#include <algorithm>
#include <limits>

namespace pgmend::backend {

outcome_window::outcome_window(std::uint32_t calls, std::chrono::milliseconds time)
    : size_{std::max<std::size_t>(calls, 1)}, bucket_time_{base::duration{time} / 10} {
    if (bucket_time_ == base::duration::zero()) ring_.reserve(size_);
}

void outcome_window::change(counts& what, outcome of, std::uint32_t by) { // may wrap around, to subtract
    what.calls += by;
    if (of == outcome::failed) what.failures += by;
    if (of == outcome::slow) what.slow += by;
}

void outcome_window::add(outcome what, std::uint64_t count, base::time_point now) {
    if (bucket_time_ > base::duration::zero()) {
        look(now);
        constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max() / 64;
        auto const added = static_cast<std::uint32_t>(std::min(count, most));
        auto& bucket = buckets_[static_cast<std::size_t>(newest_) % buckets_.size()];
        if (bucket.calls > most) return; // far more than any threshold needs
        change(bucket, what, added);
        change(totals_, what, added);
        return;
    }
    for (auto left = std::min<std::uint64_t>(count, size_); left > 0; --left) {
        change(totals_, what, 1);
        if (ring_.size() < size_) {
            ring_.push_back(what);
            continue;
        }
        change(totals_, ring_[next_], static_cast<std::uint32_t>(-1));
        ring_[next_] = what;
        next_ = (next_ + 1) % size_;
    }
}

void outcome_window::look(base::time_point now) {
    if (bucket_time_ == base::duration::zero()) return;
    auto const current = now.time_since_epoch() / bucket_time_;
    for (auto steps = std::min<std::int64_t>(current - newest_, static_cast<std::int64_t>(buckets_.size())); steps > 0; --steps) {
        auto& oldest = buckets_[static_cast<std::size_t>(current - steps + 1) % buckets_.size()];
        totals_.calls -= oldest.calls;
        totals_.failures -= oldest.failures;
        totals_.slow -= oldest.slow;
        oldest = {};
    }
    newest_ = std::max(newest_, current);
}

void outcome_window::clear() {
    ring_.clear();
    next_ = 0;
    buckets_ = {};
    totals_ = {};
}

} // namespace pgmend::backend
