// Which servers may serve a client, in which order.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::backend {

/// What the user's settings say of a server.
enum class configured_role : std::uint8_t { primary, replica, automatic };

/// What a server has said of itself.
enum class server_role : std::uint8_t { unknown, primary, replica };

/// As libpq's target_session_attrs.
enum class wanted_session : std::uint8_t { any, read_write, read_only, primary, standby, prefer_standby };

[[nodiscard]] char const* name_of(server_role role);
[[nodiscard]] char const* name_of(wanted_session what);
/// Nothing where it is none of libpq's words.
[[nodiscard]] std::optional<wanted_session> wanted_session_of(std::string_view text);

struct candidate {
    std::string_view name;
    configured_role configured{configured_role::automatic};
    server_role role{server_role::unknown};
    bool read_only{false};   ///< default_transaction_read_only
    bool same_cluster{true}; ///< its system identifier was seen, and is the others'
    std::optional<std::chrono::milliseconds> lag; ///< of a replica's replay; nothing: not known
};

struct choice {
    std::vector<std::size_t> order; ///< places in the candidates; empty: nobody may serve this
    std::string refused;            ///< why not; names servers
    bool conflict{false};           ///< two primaries
};

/// A single server is never judged: it serves everything, as without pgmend. Of several, only one that was seen to be of the
/// same cluster, in the role that is wanted, and whose settings do not say otherwise. Two primaries serve no one that wants a primary:
/// which of them is right is nothing that a proxy can know.
[[nodiscard]] choice choose(std::span<candidate const> all, wanted_session wanted, std::chrono::milliseconds most_lag);

} // namespace pgmend::backend
