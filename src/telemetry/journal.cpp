#include "pgmend/telemetry/journal.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgmend::telemetry {
namespace {

constexpr std::chrono::seconds together{1};

std::string statement_key(heal_record const& it) {
    return journal::key_of(it.database, it.user, it.application_name, it.fingerprint, {});
}

std::size_t size_of(heal_record const& it) {
    return sizeof it + it.before.size() + it.after.size() + it.pattern.size() + it.reason.size() + it.application_name.size() + 128;
}

void count(drift_record& to, std::string_view outcome, std::uint64_t times) { (outcome == "healed" ? to.healed : to.not_healed) += times; }

} // namespace

std::string journal::key_of(std::string_view database, std::string_view user, std::string_view application, std::string_view fingerprint,
                            std::string_view outcome) {
    std::string key;
    key.reserve(database.size() + user.size() + application.size() + fingerprint.size() + outcome.size() + 4);
    for (auto const part : {database, user, application, fingerprint, outcome}) key.append(part).push_back('\0');
    return key;
}

bool journal::count_again(std::string_view key, wall_time at) {
    std::lock_guard const lock{mutex_};
    auto const known = recent_.find(std::string{key});
    if (known == recent_.end()) return false;
    auto const found = drifts_.find(known->second);
    if (found == drifts_.end() || found->second.outcome_key != key) return false;
    auto& e = found->second;
    if (e.heal_number < first_heal_) return false;
    auto& shown = heals_[e.heal_number - first_heal_];
    if (at - shown.at >= together) return false;
    ++shown.times;
    e.it.last.at = at;
    count(e.it, shown.outcome, 1);
    return true;
}

void journal::record(heal_record made) {
    std::lock_guard const lock{mutex_};
    auto key = statement_key(made);
    auto outcome_key = key_of(made.database, made.user, made.application_name, made.fingerprint, made.outcome);
    if (heals_.size() >= most_heals) {
        heals_.pop_front();
        ++first_heal_;
    }
    auto found = drifts_.find(key);
    if (found == drifts_.end()) {
        if (drifts_.size() >= most_drifts) make_room();
        found = drifts_.try_emplace(key).first;
        found->second.it.first_seen = made.at;
    }
    auto& e = found->second;
    count(e.it, made.outcome, made.times);
    if (!e.outcome_key.empty()) recent_.erase(e.outcome_key);
    recent_[outcome_key] = key;
    e.outcome_key = std::move(outcome_key);
    heals_.push_back(made);
    e.heal_number = first_heal_ + heals_.size() - 1;
    // What to write instead, once known, stays known although a later attempt failed for another reason.
    if (made.after.empty() && !e.it.last.after.empty()) {
        made.after = e.it.last.after;
        if (made.pattern.empty()) made.pattern = e.it.last.pattern;
        if (made.evidence.empty()) made.evidence = e.it.last.evidence;
    }
    e.it.last = std::move(made);
}

void journal::restore(heal_record it, wall_time first_seen) {
    std::lock_guard const lock{mutex_};
    if (drifts_.size() >= most_drifts) return;
    auto const [found, is_new] = drifts_.try_emplace(statement_key(it));
    auto& known = found->second.it;
    count(known, it.outcome, it.times);
    known.first_seen = is_new ? first_seen : std::min(known.first_seen, first_seen);
    if (is_new || it.at > known.last.at) {
        if (it.after.empty()) it.after = known.last.after;
        known.last = std::move(it);
    } else if (known.last.after.empty()) {
        known.last.after = it.after;
    }
}

/// A tenth of them, so that this is rare.
void journal::make_room() {
    std::vector<std::pair<wall_time, std::string const*>> ages;
    ages.reserve(drifts_.size());
    for (auto const& [key, e] : drifts_) ages.emplace_back(e.it.last.at, &key);
    auto const some = ages.begin() + static_cast<std::ptrdiff_t>(ages.size() / 10 + 1);
    std::nth_element(ages.begin(), some, ages.end());
    for (auto it = ages.begin(); it != some; ++it) {
        auto const gone = drifts_.find(*it->second);
        recent_.erase(gone->second.outcome_key);
        drifts_.erase(gone);
    }
}

void journal::note(named_event made) {
    std::lock_guard const lock{mutex_};
    if (events_.size() >= most_events) events_.pop_front();
    events_.push_back(std::move(made));
}

std::vector<heal_record> journal::heals() const {
    std::lock_guard const lock{mutex_};
    return {heals_.rbegin(), heals_.rend()};
}

std::vector<drift_record> journal::drifts() const {
    std::vector<drift_record> out;
    {
        std::lock_guard const lock{mutex_};
        out.reserve(drifts_.size());
        for (auto const& [key, e] : drifts_) out.push_back(e.it);
    }
    std::sort(out.begin(), out.end(), [](auto const& a, auto const& b) { return a.last.at > b.last.at; });
    return out;
}

std::vector<named_event> journal::events() const {
    std::lock_guard const lock{mutex_};
    return {events_.rbegin(), events_.rend()};
}

std::size_t journal::drifting() const {
    std::lock_guard const lock{mutex_};
    return drifts_.size();
}

std::size_t journal::bytes() const {
    std::lock_guard const lock{mutex_};
    std::size_t all = 0;
    for (auto const& it : heals_) all += size_of(it);
    for (auto const& [key, e] : drifts_) all += size_of(e.it.last) + 3 * key.size();
    return all;
}

} // namespace pgmend::telemetry
