// What the drivers need to be told. Filled by config, one place for every default.
#pragma once

#include "pgmend/backend/selection.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pgmend::net {

/// As libpq's sslmode. Towards clients: disable refuses TLS; allow and prefer accept both; require refuses what is not
/// TLS; verify_ca also wants a client certificate signed by `ca`; verify_full also that its CN is the user's name.
enum class tls_mode : std::uint8_t { disable, allow, prefer, require, verify_ca, verify_full };

/// Files are PEM.
struct tls_settings {
    tls_mode mode{tls_mode::disable};
    std::string cert; ///< certificate chain; towards clients required unless mode is disable
    std::string key;  ///< private key of `cert`
    std::string ca;   ///< trusted certificates; empty towards servers: the system's

    bool operator==(tls_settings const&) const = default;
};

struct listen_settings {
    std::string address{"127.0.0.1"};
    std::uint16_t port{6432};
    tls_settings tls;
    int backlog{1024};                         ///< YAML: listen.backlog
    std::chrono::seconds login_timeout{60};    ///< YAML: listen.login_timeout
    std::uint32_t most_clients{10000};         ///< YAML: listen.max_clients

    bool operator==(listen_settings const&) const = default;
};

struct backend_settings {
    std::string name{"primary"};
    std::string host{"127.0.0.1"}; ///< a name, an address, or the directory of a Unix socket (begins with '/')
    std::uint16_t port{5432};
    backend::configured_role role{backend::configured_role::primary}; ///< YAML: backends[].role: primary | replica | auto
    tls_settings tls;              ///< YAML: backends[].tls; default mode prefer, as libpq's
    std::chrono::milliseconds connect_timeout{5000}; ///< YAML: backends[].connect_timeout

    bool operator==(backend_settings const&) const = default;
};

/// How the servers are watched over the control connection.
struct health_settings {
    std::chrono::milliseconds every{1000};          ///< YAML: health.every
    std::chrono::milliseconds timeout{2000};        ///< YAML: health.timeout; for a check, and for connecting for one
    std::chrono::milliseconds give_up_after{15000}; ///< YAML: health.give_up_after; requests at a server that is silent for so long end; 0: never

    bool operator==(health_settings const&) const = default;
};

/// Which server a client gets where there are several.
struct routing_settings {
    bool read_only_to_replica{false};                ///< YAML: read_only_to: primary | replica
    std::chrono::milliseconds most_replay_lag{10000}; ///< YAML: max_replay_lag; a replica that is further behind gets no new clients
    bool moves_sessions{true};                        ///< YAML: lost_sessions: move | end

    bool operator==(routing_settings const&) const = default;
};

/// Metrics, health, tables and the page. Changes need a restart.
struct http_settings {
    std::string address;          ///< YAML: admin.http; empty: nobody listens
    std::uint16_t port{9632};
    std::string cert;             ///< YAML: admin.http_cert; empty: in clear
    std::string key;              ///< YAML: admin.http_key
    std::string token;            ///< YAML: admin.http_token; empty: nobody may change anything
    bool read_needs_token{false}; ///< YAML: admin.http_read: open | token

    bool operator==(http_settings const&) const = default;
};

/// Who may use the console, and how they prove who they are: pgmend holds no passwords, so the backend asks for them.
struct admin_settings {
    std::string database{"pgmend"};             ///< YAML: admin.database; the console also answers as `pgbouncer`, for existing dashboards
    std::vector<std::string> users{"postgres"}; ///< YAML: admin.users; empty: nobody
    std::string auth_database{"postgres"};      ///< YAML: admin.auth_database; where the backend logs these users in

    std::vector<std::string> stats_users;       ///< YAML: admin.stats_users; who may only look
    http_settings http;                         ///< YAML: admin.http…

    bool operator==(admin_settings const&) const = default;
};

} // namespace pgmend::net
