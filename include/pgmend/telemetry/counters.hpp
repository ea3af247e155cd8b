// Counters and histograms that cost a statement a few instructions: one thread writes, any thread reads.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pgmend::telemetry {

/// Written by one thread only, so that adding is a load and a store, without a lock prefix.
class counter {
  public:
    void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
    void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// Buckets of a histogram: bucket k holds durations below 2^k µs and not below 2^(k-1) µs; the last one all that are longer.
inline constexpr std::size_t bucket_count = 28;

/// A histogram's numbers at one moment; can be added and subtracted.
struct histogram_values {
    std::array<std::uint64_t, bucket_count> buckets{};
    std::uint64_t sum_us{0};

    [[nodiscard]] std::uint64_t count() const;
    [[nodiscard]] double mean_us() const; ///< 0 of none
    /// The duration, in µs, that a share of `q` (0 to 1) does not exceed; interpolated within a bucket. 0 of none.
    [[nodiscard]] double quantile_us(double q) const;
    histogram_values& operator+=(histogram_values const& other);
    [[nodiscard]] histogram_values since(histogram_values const& earlier) const;
};

/// Of durations, written by one thread. Adding costs a count of leading zeros and two counters.
class histogram {
  public:
    void add(std::uint64_t microseconds) {
        auto const bucket = static_cast<std::size_t>(std::bit_width(microseconds));
        buckets_[bucket < bucket_count ? bucket : bucket_count - 1].add();
        sum_us_.add(microseconds);
    }
    [[nodiscard]] histogram_values get() const;

  private:
    std::array<counter, bucket_count> buckets_;
    counter sum_us_;
};

} // namespace pgmend::telemetry
