#include "pgmend/net/kept_answers.hpp"

#include <utility>

namespace pgmend::net {

void kept_answers::keep(std::string key, std::string answer, base::time_point now) {
    std::lock_guard const lock{mutex_};
    auto const forget = [this](list::iterator it) {
        bytes_ -= it->size();
        by_key_.erase(it->key);
        by_age_.erase(it);
    };
    if (auto const old = by_key_.find(key); old != by_key_.end()) forget(old->second);
    kept it{std::move(key), std::make_shared<std::string const>(std::move(answer)), now};
    if (it.answer->size() > most_bytes_of_one || it.size() > most_bytes) return;
    while (bytes_ + it.size() > most_bytes) forget(by_age_.begin());
    bytes_ += it.size();
    by_age_.push_back(std::move(it));
    by_key_.emplace(by_age_.back().key, std::prev(by_age_.end()));
}

std::optional<kept_answers::found> kept_answers::find(std::string const& key, base::duration oldest, base::time_point now) const {
    std::lock_guard const lock{mutex_};
    auto const it = by_key_.find(key);
    if (it == by_key_.end() || now - it->second->at > oldest) return std::nullopt;
    return found{it->second->answer, now - it->second->at};
}

std::size_t kept_answers::bytes() const {
    std::lock_guard const lock{mutex_};
    return bytes_;
}

} // namespace pgmend::net
