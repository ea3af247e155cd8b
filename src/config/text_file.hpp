// Reading a file that a person wrote.
#pragma once

#include "pgmend/base/error.hpp"

#include <cstddef>
#include <filesystem>
#include <string>

namespace pgmend::config {

/// The error's text continues a sentence that begins with the file's name. too_large: there are more than `most_bytes`.
[[nodiscard]] base::result<std::string> read_text_file(std::filesystem::path const& file, std::size_t most_bytes);

} // namespace pgmend::config
