#include "pgmend/catalog/sharing.hpp"

#include <algorithm>

namespace pgmend::catalog {

namespace {

template <class T>
std::size_t share(std::vector<std::shared_ptr<T const>> const& before, std::vector<std::shared_ptr<T const>>& next) {
    auto const by_id = [](std::shared_ptr<T const> const& o) { return o->id; };
    std::size_t known = 0;
    std::size_t different = 0;
    for (auto& o : next) {
        auto const old = std::ranges::lower_bound(before, o->id, {}, by_id);
        if (old == before.end() || (*old)->id != o->id) {
            ++different;
            continue;
        }
        ++known;
        if (o == *old || *o == **old) o = *old;
        else ++different;
    }
    return different + (before.size() - known);
}

} // namespace

std::size_t share_unchanged(snapshot const& before, std::vector<snapshot::relation_ptr>& relations) {
    return share(before.relations(), relations);
}

std::size_t share_unchanged(snapshot const& before, contents& next) {
    auto const same_names = next.system_functions && before.system_functions() && *next.system_functions == *before.system_functions();
    if (same_names) next.system_functions = before.system_functions();
    return share(before.relations(), next.relations) + share(before.types(), next.types) +
           share(before.functions(), next.functions) + share(before.schemas(), next.schemas);
}

} // namespace pgmend::catalog
