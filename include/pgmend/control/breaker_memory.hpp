// Circuit breakers across restarts.
#pragma once

#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/state/store.hpp"

#include <string>
#include <string_view>

namespace pgmend::control {

/// Writes each change of a breaker's state to the store, and gives breakers back what they were. What was open is open for the rest
/// of its time; what is older than breaker.max_open_for is not believed; what a person has tripped stays so until it is reset.
/// `owner`: of a store that several instances share, who this one is: the others' ways to a server are not its own.
/// All of them outlive the last change. Call once, before the workers start and after all others listen.
void remember_breakers(backend::breaker_registry& breakers, state::store& where, std::string owner = {});

/// The store's own breaker, which cannot be remembered there.
inline constexpr std::string_view store_breaker = "state";

} // namespace pgmend::control
