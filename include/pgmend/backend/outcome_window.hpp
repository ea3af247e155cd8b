// The newest outcomes of calls: by count or by time.
#pragma once

#include "pgmend/base/time.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace pgmend::backend {

enum class outcome : std::uint8_t { good, slow, failed };

/// Either the last `calls` outcomes, or those of the last `time` (in ten buckets: what is forgotten is forgotten a tenth
/// of the time at once). Owned by a breaker.
class outcome_window {
  public:
    outcome_window(std::uint32_t calls, std::chrono::milliseconds time);

    void add(outcome what, base::time_point now) { add(what, 1, now); }
    void add(outcome what, std::uint64_t count, base::time_point now);
    void clear();
    /// Forgets what is too old by now; a window by count forgets nothing.
    void look(base::time_point now);

    [[nodiscard]] std::uint32_t calls() const { return totals_.calls; }
    [[nodiscard]] std::uint32_t failures() const { return totals_.failures; }
    [[nodiscard]] std::uint32_t slow() const { return totals_.slow; }

  private:
    struct counts {
        std::uint32_t calls{0};
        std::uint32_t failures{0};
        std::uint32_t slow{0};
    };
    static void change(counts& what, outcome of, std::uint32_t by);

    std::vector<outcome> ring_; ///< by count: the newest ones, `next_` is the oldest once it is full
    std::size_t next_{0};
    std::size_t size_;
    base::duration bucket_time_;
    std::array<counts, 10> buckets_{}; ///< by time
    std::int64_t newest_{0};           ///< number of the bucket that is filled now, counted from the clock's epoch
    counts totals_;
};

} // namespace pgmend::backend
