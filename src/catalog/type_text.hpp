// Types by name, and which retyping loses nothing.
#pragma once

#include "pgmend/catalog/diff.hpp"

namespace pgmend::catalog {

/// Whether every value of the column's old type is a value of the new one that looks the same.
[[nodiscard]] bool is_widening(column const& before, column const& after);

} // namespace pgmend::catalog
