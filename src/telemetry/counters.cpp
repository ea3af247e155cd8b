#include "pgmend/telemetry/counters.hpp"

namespace pgmend::telemetry {

std::uint64_t histogram_values::count() const {
    std::uint64_t all = 0;
    for (auto const n : buckets) all += n;
    return all;
}

double histogram_values::mean_us() const {
    auto const all = count();
    return all == 0 ? 0 : static_cast<double>(sum_us) / static_cast<double>(all);
}

double histogram_values::quantile_us(double q) const {
    auto const all = count();
    if (all == 0) return 0;
    auto const wanted = q * static_cast<double>(all);
    double below = 0;
    for (std::size_t k = 0; k < bucket_count; ++k) {
        auto const here = static_cast<double>(buckets[k]);
        if (here > 0 && below + here >= wanted) {
            double const low = k == 0 ? 0 : static_cast<double>(std::uint64_t{1} << (k - 1));
            double const high = static_cast<double>(std::uint64_t{1} << k);
            return low + (high - low) * (wanted - below) / here;
        }
        below += here;
    }
    return static_cast<double>(std::uint64_t{1} << (bucket_count - 1));
}

histogram_values& histogram_values::operator+=(histogram_values const& other) {
    for (std::size_t k = 0; k < bucket_count; ++k) buckets[k] += other.buckets[k];
    sum_us += other.sum_us;
    return *this;
}

histogram_values histogram_values::since(histogram_values const& earlier) const {
    histogram_values out = *this;
    for (std::size_t k = 0; k < bucket_count; ++k) out.buckets[k] -= earlier.buckets[k];
    out.sum_us -= earlier.sum_us;
    return out;
}

histogram_values histogram::get() const {
    histogram_values out;
    for (std::size_t k = 0; k < bucket_count; ++k) out.buckets[k] = buckets_[k].get();
    out.sum_us = sum_us_.get();
    return out;
}

} // namespace pgmend::telemetry
