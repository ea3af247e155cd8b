// Circuit breakers across restarts.
#pragma once

#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/state/store.hpp"

namespace pgmend::control {

/// Writes each change of a breaker's state to the store, and gives breakers back what they were. What was open is open for the rest
/// of its time; what is older than breaker.max_open_for is not believed; what a person has tripped stays so until it is reset.
/// Both outlive the last change. Call once, before the workers start and after all others listen.
void remember_breakers(backend::breaker_registry& breakers, state::store& where);

} // namespace pgmend::control
