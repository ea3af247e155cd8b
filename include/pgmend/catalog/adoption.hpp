// Versions of a schema whose database was restored, copied or upgraded: the same names, other objects.
#pragma once

#include "pgmend/catalog/history.hpp"

#include <cstdint>
#include <vector>

namespace pgmend::catalog {

/// How a catalog looks beside the last version that was kept of another one.
enum class likeness : std::uint8_t {
    same_objects, ///< relations, columns and types have the very oids and numbers: pg_upgrade, a copy of the files
    same_names,   ///< all names, types and keys are the same, as after dump and restore
    different,
};
[[nodiscard]] likeness compare_catalogs(snapshot const& kept, snapshot const& current);

/// The versions (of one database, oldest first, not empty) as if they were of the database that `current` is a version of: what has one name in the
/// last of them and in `current` is taken for one object. What had been dropped by then is left out, since nothing stands for it here. The last
/// version is left out as well: `current` is in its place. Sound only where compare_catalogs does not find them different.
[[nodiscard]] std::vector<history::kept_version> adopted(std::vector<history::kept_version> const& kept, snapshot const& current);

} // namespace pgmend::catalog
