// What messages about settings say of a user's text.
#pragma once

#include "pgmend/yaml/suggestion.hpp"

#include <string>
#include <string_view>

namespace pgmend::config {

using yaml::did_you_mean;

/// As yaml::in_quotes, with passwords masked.
[[nodiscard]] std::string in_quotes(std::string_view text);

} // namespace pgmend::config
