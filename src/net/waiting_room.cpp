#include "pgmend/net/waiting_room.hpp"

#include <utility>

namespace pgmend::net {

waiting_room::entry waiting_room::enter(backend::passenger who, std::function<void()> called) {
    std::lock_guard const lock{mutex_};
    auto const id = next_++;
    entry out{bulkhead_.enter(id, std::move(who)), nullptr};
    if (out.verdict.what == backend::bulkhead::answer::refused) return out;
    if (out.verdict.what == backend::bulkhead::answer::queued) calls_.emplace(id, std::move(called));
    out.place = std::make_unique<seat>(*this, id);
    return out;
}

std::vector<std::function<void()>> waiting_room::take(ids const& admitted) {
    std::vector<std::function<void()>> out;
    for (auto const id : admitted)
        if (auto node = calls_.extract(id)) out.push_back(std::move(node.mapped()));
    return out;
}

void waiting_room::leave(backend::bulkhead::session_id id) {
    std::vector<std::function<void()>> next;
    {
        std::lock_guard const lock{mutex_};
        calls_.erase(id);
        next = take(bulkhead_.leave(id));
    }
    for (auto const& call : next) call();
}

void waiting_room::configure(backend::bulkhead_limits limits) {
    std::vector<std::function<void()>> next;
    {
        std::lock_guard const lock{mutex_};
        next = take(bulkhead_.configure(limits));
    }
    for (auto const& call : next) call();
}

std::size_t waiting_room::waiting() const {
    std::lock_guard const lock{mutex_};
    return bulkhead_.waiting();
}

} // namespace pgmend::net
