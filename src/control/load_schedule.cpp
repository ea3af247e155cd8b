#include "pgmend/control/load_schedule.hpp"

#include <algorithm>

namespace pgmend::control {

void load_schedule::on_loaded(base::duration took, base::time_point ended, bool complete) {
    failures_ = 0;
    loaded_ = true;
    if (complete) {
        earliest_ = ended + std::max<base::duration>(4 * took, least_pause);
        earliest_of_parts_ = ended;
    } else {
        earliest_of_parts_ = ended + took / 2;
        earliest_ = std::max(earliest_, earliest_of_parts_);
    }
}

void load_schedule::on_failed(base::time_point ended, double luck) {
    auto const ceiling = loaded_ ? most_back_off_once_loaded : most_back_off;
    auto const doublings = std::min<std::uint32_t>(failures_, 5);
    auto const pause = std::min<base::duration>(first_back_off * (1 << doublings), ceiling);
    earliest_ = ended + std::chrono::duration_cast<base::duration>(pause * (1 - std::clamp(luck, 0.0, 1.0) / 4));
    earliest_of_parts_ = earliest_;
    ++failures_;
}

void load_schedule::forget_failures() {
    if (failures_ == 0) return;
    failures_ = 0;
    earliest_ = earliest_of_parts_ = {};
}

} // namespace pgmend::control
