// One value of a configuration file, from its text.
#pragma once

#include "keys.hpp"

#include "pgmend/base/error.hpp"
#include "pgmend/yaml/document.hpp"

#include <filesystem>
#include <string_view>

namespace pgmend::config {

/// Checks `value` against the key's type and range. `shown` is what messages call the key (`listen.port`). The
/// error's text is a whole message. Relative paths begin at `directory`.
[[nodiscard]] base::result<key_value> parse_value(key const& k, std::string_view shown, yaml::node const& value,
                                                  std::filesystem::path const& directory);

} // namespace pgmend::config
