#include "pgmend/app/rate_limiter.hpp"

#include <utility>

namespace pgmend::app {
namespace {

constexpr auto window_length = std::chrono::seconds{1};
constexpr std::string_view other_names = "other";

} // namespace

bool rate_limiter::admit(std::string_view event, base::time_point now) {
    auto found = windows_.find(event);
    if (found == windows_.end()) {
        // One place is kept for all that come too late.
        auto const name = windows_.size() + 1 < most_names ? event : other_names;
        found = windows_.try_emplace(std::string{name}, window{now, 0, 0}).first;
    }
    auto& w = found->second;
    // A window whose count was not yet taken goes on: the count must not get lost.
    if (now - w.begin >= window_length && w.refused == 0) w = window{now, 0, 0};
    if (w.admitted < most_) {
        ++w.admitted;
        return true;
    }
    if (w.refused++ == 0) ++suppressing_;
    return false;
}

std::vector<rate_limiter::suppressed> rate_limiter::take(base::time_point now) {
    std::vector<suppressed> out;
    if (suppressing_ == 0) return out;
    for (auto& [name, w] : windows_) {
        if (w.refused == 0 || now - w.begin < window_length) continue;
        out.push_back({name, std::exchange(w.refused, 0)});
        --suppressing_;
    }
    return out;
}

} // namespace pgmend::app
