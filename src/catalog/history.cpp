#include "pgmend/catalog/history.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace pgmend::catalog {

namespace {

constexpr std::size_t newest_kept = 8;
constexpr std::size_t most_joined_changes = 200;
constexpr std::size_t most_joined_names = 10000;

/// How much only the version before this step can tell: 0 where all its names live on and mean the same.
int worth(step const& how) {
    int most = 0;
    for (auto const& c : how.changes) {
        switch (c.kind) {
        case change_kind::renamed:
        case change_kind::moved:
        case change_kind::retyped:
        case change_kind::replaced: return 3;
        case change_kind::dropped: most = std::max(most, 2); break;
        default: most = std::max(most, c.object == object_kind::column ? 1 : 0); // its order, and what is ambiguous now
        }
    }
    return most;
}

std::vector<std::string> united(std::vector<std::string> const& a, std::vector<std::string> const& b) {
    std::vector<std::string> both;
    std::ranges::set_union(a, b, std::back_inserter(both));
    return both;
}

} // namespace

bool touched::any_of(std::vector<std::string> const& sorted_names) const {
    if (everything) return true;
    if (!names) return false;
    auto const& fewer = names->size() < sorted_names.size() ? *names : sorted_names;
    auto const& more = names->size() < sorted_names.size() ? sorted_names : *names;
    return std::ranges::any_of(fewer, [&](std::string const& name) { return std::ranges::binary_search(more, name); });
}

history::history(std::shared_ptr<snapshot const> first, std::int64_t at) {
    assert(first);
    add(std::move(first), std::make_shared<step const>(step{.generation = 1, .at = at, .changes = {}, .names = {}, .everything = true}));
}

std::shared_ptr<history const> history::with(std::shared_ptr<history const> const& before, std::shared_ptr<snapshot const> next,
                                             std::int64_t at, history_limits const& limits) {
    assert(next);
    if (!before) return std::make_shared<history const>(std::move(next), at);
    auto const& last = before->current();
    if (last.same_schema(*next)) return before;
    auto const after = std::shared_ptr<history>{new history};
    step how{.generation = before->generation() + 1, .at = at, .changes = {}, .names = {}, .everything = true};
    if (last.identity() == next->identity()) {
        how.everything = false;
        how.changes = diff(last, *next);
        how.names = touched_names(last, *next);
        after->versions_ = before->versions_;
        after->steps_ = before->steps_;
    }
    after->add(std::move(next), std::make_shared<step const>(std::move(how)));
    while (after->versions_.size() > std::max<std::size_t>(limits.versions, 2)) after->give_one_up();
    return after;
}

std::shared_ptr<history const> history::within(std::shared_ptr<history const> const& all, std::int64_t now, history_limits const& limits) {
    auto const too_old = [&](step const& next) { return limits.age.count() > 0 && next.at != 0 && next.at + limits.age.count() < now; };
    auto const most = std::max<std::size_t>(limits.versions, 2);
    if (all->versions_.size() < 2 || (!too_old(*all->steps_[1]) && all->versions_.size() <= most)) return all;
    auto const rest = std::shared_ptr<history>{new history{*all}};
    auto const generation = all->generation() + 1;
    std::vector<std::string> names;
    while (rest->versions_.size() > 1 && too_old(*rest->steps_[1])) {
        names = united(names, rest->steps_[1]->names);
        rest->give_up_first();
    }
    while (rest->versions_.size() > most) {
        for (auto const& s : rest->steps_) names = united(names, s->names);
        rest->give_one_up();
    }
    rest->touch(names, generation);
    return rest;
}

std::shared_ptr<history const> history::restored(std::vector<kept_version> versions, history_limits const& limits) {
    assert(!versions.empty());
    auto const all = std::shared_ptr<history>{new history};
    for (auto& v : versions) {
        step how{.generation = v.generation, .at = v.at, .changes = {}, .names = {}, .everything = all->versions_.empty()};
        if (!how.everything) {
            how.changes = diff(all->current(), *v.schema);
            how.names = touched_names(all->current(), *v.schema);
        }
        all->add(std::move(v.schema), std::make_shared<step const>(std::move(how)));
        while (all->versions_.size() > std::max<std::size_t>(limits.versions, 2)) all->give_one_up();
    }
    return all;
}

void history::add(std::shared_ptr<snapshot const> version, std::shared_ptr<step const> how) {
    versions_.push_back(std::move(version));
    steps_.push_back(std::move(how));
}

/// Nothing is before the next one that its step could begin at.
void history::give_up_first() {
    auto first = *steps_[1];
    first.everything = true;
    first.changes.clear();
    first.names.clear();
    steps_[1] = std::make_shared<step const>(std::move(first));
    versions_.erase(versions_.begin());
    steps_.erase(steps_.begin());
}

void history::touch(std::vector<std::string> const& more, std::uint64_t generation) {
    auto last = *steps_.back();
    last.generation = generation;
    last.names = united(last.names, more);
    steps_.back() = std::make_shared<step const>(std::move(last));
}

void history::give_one_up() {
    std::size_t victim = 0;
    int least = worth(*steps_[1]);
    for (std::size_t i = 1; i + newest_kept < versions_.size() && least > 0; ++i) {
        auto const its = worth(*steps_[i + 1]);
        if (its < least) victim = i, least = its;
    }
    if (victim == 0) {
        // What rested on the first version rests on nothing now, however new the verdict.
        auto const names = steps_[1]->names;
        give_up_first();
        touch(names, generation());
        return;
    }
    {
        auto joined = *steps_[victim + 1];
        auto const& given_up = *steps_[victim];
        joined.everything |= given_up.everything;
        joined.names = united(given_up.names, joined.names);
        joined.changes.insert(joined.changes.begin(), given_up.changes.begin(), given_up.changes.end());
        if (joined.changes.size() > most_joined_changes) { // the least important ones go
            std::ranges::stable_sort(joined.changes, std::ranges::greater{}, &change::level);
            joined.changes.resize(most_joined_changes);
        }
        if (joined.names.size() > most_joined_names) {
            joined.everything = true;
            joined.names.clear();
        }
        steps_[victim + 1] = std::make_shared<step const>(std::move(joined));
    }
    versions_.erase(versions_.begin() + static_cast<std::ptrdiff_t>(victim));
    steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(victim));
}

touched history::touched_since(std::uint64_t generation) const {
    if (generation == this->generation()) return {};
    touched found{.everything = generation > this->generation() || generation == 0, .names = {}};
    for (auto it = steps_.rbegin(); !found.everything && it != steps_.rend() && (*it)->generation > generation; ++it) {
        found.everything = (*it)->everything;
        if (!found.names) found.names = std::shared_ptr<std::vector<std::string> const>{*it, &(*it)->names};
        else found.names = std::make_shared<std::vector<std::string> const>(united(*found.names, (*it)->names));
    }
    return found;
}

} // namespace pgmend::catalog
