// What may run a second time after a rollback.
#pragma once

#include "pgmend/catalog/snapshot.hpp"

#include <string_view>

namespace pgmend::healing {

/// Whether a rollback undoes all that these statements did (but for sequences, which count on), as far as their text tells: queries
/// and changes of rows, without functions that reach out of the transaction (advisory locks, dblink, files) and without
/// volatile functions of users'. Where there are such, triggers, defaults, constraints, rules, views and operators may run them: then
/// writes, and what mentions a view, may have done anything. Texts that cannot be read: false.
[[nodiscard]] bool undone_by_rollback(std::string_view text, catalog::snapshot const& schema);

/// Whether there is a function for event triggers, but for the one that `pgmend install` makes: DDL may run it ahead of everything else.
[[nodiscard]] bool may_have_event_triggers(catalog::snapshot const& schema);

} // namespace pgmend::healing
