// Types as they can be written in a statement, whatever the search_path is.
#pragma once

#include "pgmend/catalog/snapshot.hpp"

#include <optional>
#include <string>

namespace pgmend::healing {

/// E.g. pg_catalog.int4, pg_catalog.varchar(20), public.mood, pg_catalog._text. Nothing where the type or its modifier is not known.
[[nodiscard]] std::optional<std::string> written_type(catalog::snapshot const& schema, catalog::oid type, std::int32_t modifier);

} // namespace pgmend::healing
