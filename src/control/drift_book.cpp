#include "pgmend/control/drift_book.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::control {

std::string drift_book::key_of(state::drift_row const& row) {
    std::string key;
    key.reserve(row.database.size() + row.user.size() + row.application_name.size() + row.fingerprint.size() + row.pattern.size() + 6);
    for (auto const* part : {&row.database, &row.user, &row.application_name, &row.fingerprint, &row.pattern}) key.append(*part) += '\0';
    key += static_cast<char>(row.outcome);
    return key;
}

/// A tenth of all at once, so that it is rare.
void drift_book::make_room() {
    if (rows_.size() < most_rows_) return;
    std::vector<state::time_point> times;
    times.reserve(rows_.size());
    for (auto const& [key, it] : rows_) times.push_back(it.row.last_seen);
    auto const cut = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 10);
    std::nth_element(times.begin(), cut, times.end());
    std::erase_if(rows_, [limit = *cut](auto const& it) { return it.second.row.last_seen <= limit; });
}

void drift_book::add(state::drift_row const& seen) {
    auto const now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    auto key = key_of(seen);
    std::lock_guard const lock{mutex_};
    auto found = rows_.find(key);
    if (found == rows_.end()) {
        make_room();
        found = rows_.try_emplace(key, counted{seen, 0}).first;
        found->second.row.count = 0;
        found->second.row.first_seen = now;
    }
    auto& it = found->second;
    ++it.row.count;
    it.row.last_seen = now;
    if (it.unsaved++ == 0) changed_.push_back(std::move(key));
}

void drift_book::describe(std::function<void(std::vector<state::drift_row>)> answer) {
    std::vector<state::drift_row> out;
    {
        std::lock_guard const lock{mutex_};
        out.reserve(rows_.size());
        for (auto const& [key, it] : rows_) out.push_back(it.row);
    }
    std::sort(out.begin(), out.end(), [](auto const& a, auto const& b) {
        return a.count != b.count ? a.count > b.count : a.last_seen > b.last_seen;
    });
    answer(std::move(out));
}

void drift_book::restore(std::vector<state::drift_row> kept) {
    std::lock_guard const lock{mutex_};
    for (auto& row : kept) {
        auto key = key_of(row);
        rows_.insert_or_assign(std::move(key), counted{std::move(row), 0});
    }
}

void drift_book::hand_on(state::store& to) {
    std::vector<state::drift_row> changes;
    {
        std::lock_guard const lock{mutex_};
        for (auto const& key : std::exchange(changed_, {})) {
            auto const found = rows_.find(key);
            if (found == rows_.end()) continue; // made room
            changes.push_back(found->second.row);
            changes.back().count = std::exchange(found->second.unsaved, 0);
        }
    }
    for (auto& it : changes) to.note(state::drift_change{std::move(it)});
}

} // namespace pgmend::control
