// What `pgmend learn` found, wherever the state is.
#pragma once

#include "pgmend/config/learned_rules.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace pgmend::app {

/// Of a shared state that does not answer what it told last holds.
struct learned_memory {
    std::string place;
    std::vector<rules::source> texts;
};

/// Puts its rules behind the user's. A state that cannot be read is a warning.
void add_learned_rules(config::settings const& from, std::chrono::sys_seconds now, config::loaded_rules& to, learned_memory& memory);

} // namespace pgmend::app
