#include "pgmend/learning/pattern_book.hpp"

#include "pgmend/learning/confidence.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgmend::learning {

namespace {
constexpr std::array<std::string_view, 4> state_names = {"proposed", "active", "suspended", "retired"};

std::size_t place(pattern_state state) { return static_cast<std::size_t>(state); }

/// About: with its key, and as much for notes and tree nodes as they usually take.
std::uint64_t weight(pattern const& it) { return sizeof it + 2 * (it.text.size() + it.database.size()) + 256; }
}

std::string_view name_of(pattern_state state) { return state_names[place(state)]; }

std::optional<pattern_state> state_named(std::string_view name) {
    auto const found = std::find(state_names.begin(), state_names.end(), name);
    if (found == state_names.end()) return std::nullopt;
    return static_cast<pattern_state>(found - state_names.begin());
}

double pattern::trust() const { return confidence(successes, failures); }

std::string pattern_book::key(std::string_view database, std::string_view text) {
    std::string out{database};
    out += '\0';
    out += text;
    return out;
}

pattern const* pattern_book::find(std::string_view database, std::string_view text) const {
    auto const found = by_text_.find(key(database, text));
    return found == by_text_.end() ? nullptr : find(found->second);
}

pattern const* pattern_book::find(std::uint64_t id) const {
    auto const found = patterns_.find(id);
    return found == patterns_.end() ? nullptr : &found->second;
}

pattern* pattern_book::at(std::uint64_t id) {
    auto const found = patterns_.find(id);
    return found == patterns_.end() ? nullptr : &found->second;
}

bool pattern_book::suspended(std::string_view database, std::string_view text) const {
    auto const* it = find(database, text);
    return it != nullptr && it->state == pattern_state::suspended;
}

bool pattern_book::approved(std::string_view database, std::string_view text) const {
    auto const* it = find(database, text);
    return it != nullptr && it->state == pattern_state::active && it->from == evidence::approved;
}

bool pattern_book::decides(pattern const& it) {
    return it.state == pattern_state::suspended || (it.state == pattern_state::active && it.from == evidence::approved);
}

pattern_book pattern_book::decisions() const {
    pattern_book out{limits_};
    for (auto const& [id, it] : patterns_)
        if (decides(it)) out.put(it);
    out.next_ = next_;
    out.generation_ = generation_;
    return out;
}

pattern_book::change pattern_book::move(pattern& it, pattern_state to) {
    bool const before = decides(it);
    --counts_.by_state[place(it.state)];
    ++counts_.by_state[place(to)];
    it.state = to;
    if (before || decides(it)) ++generation_;
    return {it.id, to};
}

void pattern_book::erase(std::uint64_t id) {
    auto const found = patterns_.find(id);
    if (found == patterns_.end()) return;
    by_text_.erase(key(found->second.database, found->second.text));
    --counts_.by_state[place(found->second.state)];
    counts_.bytes -= weight(found->second);
    patterns_.erase(found);
}

void pattern_book::insert(pattern made) {
    by_text_[key(made.database, made.text)] = made.id;
    ++counts_.by_state[place(made.state)];
    counts_.bytes += weight(made);
    patterns_.emplace(made.id, std::move(made));
}

/// Ids ascend with age, and what people decided is kept: approved, suspended and rejected patterns are never forgotten.
void pattern_book::make_room() {
    if (patterns_.size() < limits_.most_patterns) return;
    auto const forget = [this](auto const& found) {
        forgotten_.emplace_back(found->second.database, found->second.text);
        erase(found->first);
    };
    for (auto const wanted : {pattern_state::retired, pattern_state::proposed}) {
        auto const oldest = std::find_if(patterns_.begin(), patterns_.end(), [&](auto const& it) { return it.second.state == wanted; });
        if (oldest != patterns_.end()) return forget(oldest);
    }
    auto const oldest = std::find_if(patterns_.begin(), patterns_.end(), [](auto const& it) {
        return it.second.state == pattern_state::active && it.second.from != evidence::approved;
    });
    if (oldest != patterns_.end()) forget(oldest);
}

/// Null: there is no room.
pattern* pattern_book::add(std::string_view database, std::string_view text, evidence from, time_point now) {
    make_room();
    if (patterns_.size() >= limits_.most_patterns) return nullptr;
    pattern made;
    made.id = next_++;
    made.database = database;
    made.text = text;
    made.from = from;
    made.first_seen = made.last_used = now;
    auto const id = made.id;
    insert(std::move(made));
    return at(id);
}

std::optional<pattern_book::change> pattern_book::propose(std::string_view database, std::string_view text, evidence from,
                                                          std::string_view note, time_point now) {
    auto const* known = find(database, text);
    auto* it = known != nullptr ? at(known->id) : add(database, text, from, now);
    if (it == nullptr) return std::nullopt;
    it->last_used = now;
    if (known != nullptr && it->state != pattern_state::retired) return std::nullopt;
    it->from = from;
    it->note = note;
    it->reason.clear();
    it->successes = it->failures = 0;
    return move(*it, pattern_state::proposed);
}

std::optional<pattern_book::change> pattern_book::record(std::string_view database, std::string_view text, evidence from, bool success,
                                                         time_point now) {
    auto const* known = find(database, text);
    auto* it = known != nullptr ? at(known->id) : add(database, text, from, now);
    if (it == nullptr) return std::nullopt;
    it->last_used = now;
    ++(success ? it->successes : it->failures);
    bool const bad = it->failures > 0 && it->successes + it->failures >= limits_.least_trials && it->trust() < limits_.lowest_trust;
    if (bad && (it->state == pattern_state::active || known == nullptr)) {
        it->reason = "it failed too often";
        return move(*it, pattern_state::suspended);
    }
    if (known == nullptr || it->state == pattern_state::retired) {
        it->from = from;
        it->reason.clear();
        return move(*it, pattern_state::active);
    }
    return std::nullopt;
}

std::optional<pattern_book::change> pattern_book::approve(std::uint64_t id, time_point now) {
    auto* it = at(id);
    if (it == nullptr || it->state == pattern_state::active || it->state == pattern_state::retired) return std::nullopt;
    it->from = evidence::approved;
    it->rejected = false;
    it->reason.clear();
    it->last_used = now;
    it->successes = it->failures = 0;
    return move(*it, pattern_state::active);
}

std::optional<pattern_book::change> pattern_book::reject(std::uint64_t id, time_point now) {
    auto* it = at(id);
    if (it == nullptr || it->rejected || it->state == pattern_state::retired) return std::nullopt;
    it->rejected = true;
    it->reason = "rejected";
    it->last_used = now;
    return move(*it, pattern_state::suspended);
}

std::optional<pattern_book::change> pattern_book::suspend(std::uint64_t id, std::string_view reason, time_point now) {
    auto* it = at(id);
    if (it == nullptr || it->state != pattern_state::active) return std::nullopt;
    it->reason = reason;
    it->last_used = now;
    return move(*it, pattern_state::suspended);
}

std::optional<pattern_book::change> pattern_book::resume(std::uint64_t id, time_point now) {
    auto* it = at(id);
    if (it == nullptr || it->state != pattern_state::suspended || it->rejected) return std::nullopt;
    it->reason.clear();
    it->successes = it->failures = 0;
    it->last_used = now;
    return move(*it, pattern_state::active);
}

std::optional<pattern_book::change> pattern_book::retire(std::uint64_t id, std::string_view reason, time_point) {
    auto* it = at(id);
    if (it == nullptr || it->state == pattern_state::retired) return std::nullopt;
    it->reason = reason;
    return move(*it, pattern_state::retired);
}

std::vector<pattern_book::change> pattern_book::retire_unused(time_point now) {
    std::vector<change> changes;
    for (auto& [id, it] : patterns_) {
        bool const waits = it.state == pattern_state::proposed || it.state == pattern_state::active;
        if (!waits || now - it.last_used <= limits_.retire_after) continue;
        it.reason = "nobody used it";
        changes.push_back(move(it, pattern_state::retired));
    }
    return changes;
}

void pattern_book::put(pattern stored) {
    if (auto const* same = find(stored.database, stored.text); same != nullptr) erase(same->id);
    erase(stored.id);
    next_ = std::max(next_, stored.id + 1);
    ++generation_;
    insert(std::move(stored));
}

std::optional<std::uint64_t> pattern_book::adopt(pattern stored) {
    std::optional<std::uint64_t> made_way;
    auto const* const same = find(stored.database, stored.text);
    bool const decided = decides(stored) || (same != nullptr && decides(*same));
    auto const generation = generation_;
    if (auto const* const other = find(stored.id); other != nullptr && other != same) {
        auto moved = *other;
        erase(moved.id);
        next_ = std::max(next_, stored.id + 1);
        moved.id = next_++;
        made_way = moved.id;
        put(std::move(moved));
    }
    bool const equal = same != nullptr && same->state == stored.state && same->from == stored.from && same->id == stored.id;
    put(std::move(stored));
    generation_ = decided && !equal ? generation + 1 : generation;
    return made_way;
}

} // namespace pgmend::learning
