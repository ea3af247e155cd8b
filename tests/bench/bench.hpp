// Small measurements, printed: nanoseconds a call, the median of several rounds.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

namespace pgmend::bench {

/// Nanoseconds for one call of `work`, whose answer is used so that it cannot be left out.
template <class F>
double nanoseconds(F&& work) {
    using clock = std::chrono::steady_clock;
    auto const run = [&](std::size_t times) {
        auto const begin = clock::now();
        for (std::size_t i = 0; i < times; ++i) {
            auto answer = work();
            asm volatile("" : : "g"(&answer) : "memory");
        }
        return std::chrono::duration<double, std::nano>(clock::now() - begin).count();
    };
    std::size_t times = 1;
    while (run(times) < 2e6 && times < 100'000'000) times *= 2;
    std::vector<double> rounds;
    for (int i = 0; i < 9; ++i) rounds.push_back(run(times) / static_cast<double>(times));
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 2];
}

/// What the names of the measurements to be made contain; empty: all are.
inline std::string_view wanted;

template <class F>
void measure(char const* name, F&& work) {
    if (std::string_view{name}.find(wanted) == std::string_view::npos) return;
    std::printf("%-52s %12.1f ns\n", name, nanoseconds(work));
}

/// Also by the length of a text.
template <class F>
void measure_text(char const* name, std::string_view text, F&& work) {
    if (std::string_view{name}.find(wanted) == std::string_view::npos) return;
    auto const cost = nanoseconds(work);
    std::printf("%-52s %12.1f ns %9.2f us/KiB\n", name, cost, cost / 1000.0 * 1024.0 / static_cast<double>(text.size()));
}

} // namespace pgmend::bench
