#include "publications.hpp"

namespace pgmend::control {

namespace {

/// A flood of logins to databases that do not exist must not fill the memory.
constexpr std::size_t most_unused_places = 1000;

} // namespace

std::shared_ptr<publications::place const> publications::of(std::string const& database) { return find_or_add(database); }

void publications::publish(std::string const& database, std::shared_ptr<catalog::history const> newest) {
    find_or_add(database)->publish(std::move(newest));
}

std::shared_ptr<publications::place> publications::find_or_add(std::string const& database) {
    std::lock_guard const lock{mutex_};
    if (auto const found = places_.find(database); found != places_.end()) return found->second;
    if (places_.size() >= most_unused_places)
        std::erase_if(places_, [](auto const& entry) { return entry.second.use_count() == 1 && !entry.second->get(); });
    return places_.emplace(database, std::make_shared<place>(nullptr)).first->second;
}

} // namespace pgmend::control
