// Which kind of server a client asks for, as far as its start-up packet says.
#pragma once

#include "pgmend/backend/selection.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <span>
#include <string>
#include <string_view>

namespace pgmend::session {

/// What ALTER ROLE … SET default_transaction_read_only, ALTER DATABASE …, or both in one, say of sessions.
struct read_only_default {
    std::string role;     ///< empty: every one
    std::string database; ///< empty: every one
    bool on{false};

    bool operator==(read_only_default const&) const = default;
};

/// A value of a boolean setting, as PostgreSQL reads it.
[[nodiscard]] bool is_yes(std::string_view value);

/// libpq's target_session_attrs is never sent: libpq judges by what the server says of itself, which passes through. To pgmend a
/// client says it as `pgmend.target_session_attrs`, a parameter of its own or in `options` (`-c pgmend.target_session_attrs=standby`;
/// PostgreSQL takes it for a custom setting). Without, a client gets the primary, unless it begins with default_transaction_read_only
/// and `read_only_to_replica` says that such sessions prefer a replica: by its own packet, or else by `defaults`, of which the one for its
/// role in its database counts before those for its role, its database, and all. Words that libpq does not know mean the primary.
[[nodiscard]] backend::wanted_session wanted_by(wire::startup_packet const& packet, bool read_only_to_replica, std::span<read_only_default const> defaults = {});

/// Whether a client says so itself, in whatever words.
[[nodiscard]] bool says_where(wire::startup_packet const& packet);

} // namespace pgmend::session
