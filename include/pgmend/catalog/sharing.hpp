// From freshly read objects to the next version of a schema.
#pragma once

#include "pgmend/catalog/snapshot.hpp"

#include <cstddef>
#include <vector>

namespace pgmend::catalog {

/// Replaces each object that is equal to the one of the same oid in `before` by that very object, so that versions share
/// memory and compare quickly. Returns how many objects differ: added, removed or changed.
/// Objects of a kind have different oids, in any order. Cost: O(n log n).
std::size_t share_unchanged(snapshot const& before, contents& next);
std::size_t share_unchanged(snapshot const& before, std::vector<snapshot::relation_ptr>& relations);

} // namespace pgmend::catalog
