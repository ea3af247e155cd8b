// Statements without their literals, for reports.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// normalized(), but for plain literals that are one of these names: 'old_seq', 'a label'.
[[nodiscard]] std::string normalized_but_names(std::string_view sql, std::vector<std::string> const& names, std::size_t most = 2000);

} // namespace pgmend::healing
