#include "pgmend/backend/bulkhead.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::backend {
namespace {

constexpr std::array<std::string_view, 3> settings{"limits.per_backend", "limits.per_database", "limits.per_user"};
constexpr std::array<std::string_view, 3> kinds{"backend", "database", "user"};

std::string const& name_in(passenger const& who, std::size_t kind) {
    return kind == 0 ? who.backend : kind == 1 ? who.database : who.user;
}

} // namespace

std::uint32_t bulkhead::limit(std::size_t kind) const {
    return kind == 0 ? limits_.per_backend : kind == 1 ? limits_.per_database : limits_.per_user;
}

bulkhead::counts& bulkhead::counts_of(passenger const& who, std::size_t kind) { return counters_[kind][name_in(who, kind)]; }

/// The narrowest scope first: what a user has used up is not the backend's shortage.
std::optional<std::size_t> bulkhead::blocking(passenger const& who) const {
    for (std::size_t kind = kinds.size(); kind-- > 0;) {
        if (limit(kind) == 0) continue;
        auto const found = counters_[kind].find(name_in(who, kind));
        if (found != counters_[kind].end() && found->second.connected >= limit(kind)) return kind;
    }
    return std::nullopt;
}

void bulkhead::count(passenger const& who, int by) {
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
        auto& c = counts_of(who, kind);
        c.connected += static_cast<std::uint32_t>(by);
        if (c.connected == 0 && c.waiting == 0) counters_[kind].erase(name_in(who, kind));
    }
}

bulkhead::verdict bulkhead::enter(session_id id, passenger who) {
    auto const at = blocking(who);
    if (!at) {
        count(who, 1);
        connected_.emplace(id, std::move(who));
        return {};
    }
    auto& c = counts_of(who, *at);
    limit_met met{settings[*at], kinds[*at], name_in(who, *at), limit(*at), c.waiting};
    if (c.waiting >= limits_.waiting) return {answer::refused, std::move(met)};
    ++c.waiting;
    queue_.push_back({id, std::move(who), *at});
    return {answer::queued, std::move(met)};
}

void bulkhead::stop_waiting(waiter const& w) {
    auto& c = counts_of(w.who, w.at);
    --c.waiting;
    if (c.connected == 0 && c.waiting == 0) counters_[w.at].erase(name_in(w.who, w.at));
}

std::vector<bulkhead::session_id> bulkhead::admit_waiting() {
    std::vector<session_id> out;
    for (auto w = queue_.begin(); w != queue_.end();) {
        if (auto const at = blocking(w->who)) {
            if (*at != w->at) { // it waits at another limit now
                ++counts_of(w->who, *at).waiting;
                stop_waiting(*w);
                w->at = *at;
            }
            ++w;
            continue;
        }
        count(w->who, 1);
        stop_waiting(*w);
        connected_.emplace(w->id, std::move(w->who));
        out.push_back(w->id);
        w = queue_.erase(w);
    }
    return out;
}

std::vector<bulkhead::session_id> bulkhead::configure(bulkhead_limits limits) {
    limits_ = limits;
    return admit_waiting();
}

std::vector<bulkhead::session_id> bulkhead::leave(session_id id) {
    if (auto const found = connected_.find(id); found != connected_.end()) {
        count(found->second, -1);
        connected_.erase(found);
        return admit_waiting();
    }
    auto const waiting = std::ranges::find(queue_, id, &waiter::id);
    if (waiting != queue_.end()) {
        stop_waiting(*waiting);
        queue_.erase(waiting);
    }
    return {};
}

} // namespace pgmend::backend
