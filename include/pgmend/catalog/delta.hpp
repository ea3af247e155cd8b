// Versions of a schema as bytes: what differs from the version before.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/catalog/snapshot.hpp"

#include <string>
#include <string_view>

namespace pgmend::catalog {

/// What makes `after` of `before` (null: of nothing). Objects of initdb are left out, except schemas.
/// The format is our own: a version byte, then for each kind of object the oids that are gone and the objects that are new or
/// different; numbers as LEB128, texts with their length.
[[nodiscard]] std::string encode_delta(snapshot const* before, snapshot const& after);

/// The objects of the version that the bytes make of `before`; objects that did not change are shared. Error: invalid_input, for
/// anything that encode_delta does not write; memory is bounded by the size of the bytes.
[[nodiscard]] base::result<contents> decode_delta(snapshot const* before, std::string_view bytes);

/// A version that was kept has no objects of initdb: takes them from a version of the same server.
[[nodiscard]] contents with_system_objects(contents kept, snapshot const& current);

} // namespace pgmend::catalog
