// Which kind of server a client asks for, as far as its start-up packet says.
#pragma once

#include "pgmend/backend/selection.hpp"
#include "pgmend/wire/client_messages.hpp"

namespace pgmend::session {

/// libpq's target_session_attrs is never sent: libpq judges by what the server says of itself, which passes through. To pgmend a
/// client says it as `pgmend.target_session_attrs`, a parameter of its own or in `options` (`-c pgmend.target_session_attrs=standby`;
/// PostgreSQL takes it for a custom setting). Without, a client gets the primary, unless it begins with default_transaction_read_only
/// and `read_only_to_replica` says that such sessions prefer a replica. Words that libpq does not know mean the primary.
[[nodiscard]] backend::wanted_session wanted_by(wire::startup_packet const& packet, bool read_only_to_replica);

} // namespace pgmend::session
