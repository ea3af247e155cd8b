#include "pgmend/config/suggestion.hpp"

#include "pgmend/config/connection_string.hpp"

namespace pgmend::config {

std::string in_quotes(std::string_view text) { return yaml::in_quotes(mask_passwords(text)); }

} // namespace pgmend::config
