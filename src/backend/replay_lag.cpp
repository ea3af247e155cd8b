#include "pgmend/backend/replay_lag.hpp"

#include <algorithm>

namespace pgmend::backend {

namespace {
constexpr std::chrono::hours longest{1};
}

void replay_lag::primary_is_at(position written, base::time_point now) {
    if (!notes_.empty() && written < notes_.back().written) notes_.clear();
    // Of the same position the first and the last time matter: all between can go.
    if (notes_.size() >= 2 && notes_.back().written == written && notes_[notes_.size() - 2].written == written) notes_.pop_back();
    notes_.push_back({written, now});
    while (now - notes_.front().when > longest) notes_.pop_front();
}

std::optional<std::chrono::milliseconds> replay_lag::of(position replayed, base::time_point now) const {
    auto const newer = std::ranges::upper_bound(notes_, replayed, {}, &note::written);
    if (newer == notes_.begin()) return std::nullopt;
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - std::prev(newer)->when);
}

} // namespace pgmend::backend
