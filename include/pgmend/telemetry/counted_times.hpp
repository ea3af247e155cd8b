// How often a session counts what happens: once.
#pragma once

namespace pgmend::telemetry {

/// Other values are for measuring what counting costs (cmake -DPGMEND_COUNTED_TIMES=…, scripts/bench --beside): 0 leaves it out, clocks too, and
/// 100 lifts a cost above the noise of a machine that alone would drown in it.
#ifndef PGMEND_COUNTED_TIMES
#define PGMEND_COUNTED_TIMES 1
#endif
inline constexpr int counted_times = PGMEND_COUNTED_TIMES;

} // namespace pgmend::telemetry
