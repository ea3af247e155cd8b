// HOST:PORT on the command line.
#pragma once

#include "pgmend/app/options.hpp"
#include "pgmend/base/error.hpp"

#include <cstdint>
#include <string_view>

namespace pgmend::app {

enum class endpoint_use : std::uint8_t { listen, connect };

/// `flag` is what the error's text calls it.
[[nodiscard]] base::result<endpoint> parse_endpoint(std::string_view text, endpoint_use use, std::string_view flag);

} // namespace pgmend::app
