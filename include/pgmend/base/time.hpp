// Time is a parameter: floors 0-3 never ask a clock, they are told.
#pragma once

#include <chrono>

namespace pgmend::base {

using steady = std::chrono::steady_clock;
using time_point = steady::time_point;
using duration = steady::duration;

} // namespace pgmend::base
