// Whether what a pattern replaces is there again.
#pragma once

#include "pgmend/catalog/snapshot.hpp"

#include <string_view>

namespace pgmend::control {

/// The old name of a pattern of this text means something in the schema. False too where the text is not understood.
[[nodiscard]] bool old_name_exists(std::string_view pattern, catalog::snapshot const& schema);

} // namespace pgmend::control
