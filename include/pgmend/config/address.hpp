// Names of hosts and addresses, as settings have them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgmend::config {

[[nodiscard]] bool is_ip_address(std::string_view text); ///< IPv4 or IPv6 (a zone such as %eth0 is allowed), no brackets

/// What `listen.address` may be: an IP address, `*` (every address) or `localhost`.
[[nodiscard]] bool is_listen_address(std::string_view text);

/// `127.0.0.1:9632`, `[::1]:9632`, `*:9632`, or a port alone, which is of 127.0.0.1. Nothing: it is none of these.
[[nodiscard]] std::optional<std::pair<std::string, std::uint16_t>> parse_listen_address(std::string_view text);

/// What a backend's host may be: a host name, an IP address, or the absolute directory of a Unix socket.
[[nodiscard]] bool is_backend_host(std::string_view text);

} // namespace pgmend::config
