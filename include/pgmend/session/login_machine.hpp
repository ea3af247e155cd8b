// From StartupMessage to the first ReadyForQuery.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// What pgmend knows of a session after its login.
struct session_identity {
    std::string user;
    std::string database;
    std::string application_name;
    bool replication{false};
    bool logical{false}; ///< replication=database: it takes SQL, too
};

/// Relays a login between a client and a server: authentication passes through untouched, but for
///  - SCRAM-SHA-256-PLUS, which is not offered: it binds to the TLS connection, and pgmend ends that;
///  - NegotiateProtocolVersion, which speaks for both: the server and pgmend;
///  - BackendKeyData: the process number is the server's (pg_backend_pid(), pg_terminate_backend() and a notification's
///    sender shall agree with what the client holds), the secret is pgmend's own.
///
///   start ──forward()──> server frames … on_server() ──client_answer──> client frame on_client() ──> …
///                                        └─ready──> relay          └─failed──> close after sending
///
/// Owned by the session's coroutine. Not on a fast path.
class login_machine {
  public:
    enum class step : std::uint8_t {
        server,        ///< the next message comes from the server
        client_answer, ///< the server waits for one message of the client
        ready,         ///< ReadyForQuery: the session may begin
        failed,        ///< send what there is to send and close
    };

    struct settings {
        bool client_tls{false};
        std::string key_secret;        ///< for the client: 32 random bytes; cut to what the protocol version has
    };

    login_machine(std::uint32_t requested_version, base::byte_view startup_body, settings own);

    /// How the connection to the server was made.
    void connected(bool server_tls) { server_tls_ = server_tls; }

    /// The StartupMessage for the server.
    [[nodiscard]] std::string const& server_startup() const { return server_startup_; }

    /// One whole frame from the server. What the client shall get is appended to `to_client`.
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_client);

    /// The client's answer to an authentication request, a whole frame. Where it is not passed on, `to_client` holds why.
    [[nodiscard]] step on_client(base::byte_view frame, std::string& to_client);

    [[nodiscard]] session_identity const& identity() const { return identity_; }
    [[nodiscard]] std::uint32_t server_process() const { return server_process_; }
    [[nodiscard]] std::string const& server_secret() const { return server_secret_; }
    /// The client's own key, as sent: its secret has 4 bytes in protocol 3.0, 32 in 3.2.
    [[nodiscard]] base::byte_view client_secret() const;
    [[nodiscard]] std::string const& client_encoding() const { return client_encoding_; }
    [[nodiscard]] bool standard_conforming_strings() const { return standard_conforming_strings_; }
    /// Whether the server is a replica, as it says since PostgreSQL 14.
    [[nodiscard]] std::optional<bool> in_hot_standby() const { return in_hot_standby_; }
    /// The server has asked the client for something: who it is was not known by its connection alone.
    [[nodiscard]] bool asked_client() const { return asked_client_; }
    /// The server's ParameterStatus frames.
    [[nodiscard]] std::string const& reported() const { return reported_; }
    /// Why the login failed, as the server put it (SQLSTATE), for the log.
    [[nodiscard]] std::string const& failure_code() const { return failure_code_; }

  private:
    step on_authentication(base::byte_view frame, base::byte_view body, std::string& to_client);
    void negotiate(base::byte_view body, std::string& to_client);
    void on_parameter(base::byte_view body);

    settings own_;
    std::uint32_t version_;
    std::vector<std::string> unknown_options_;
    std::string server_startup_;
    session_identity identity_;
    std::uint32_t server_process_{0};
    std::string server_secret_;
    std::string client_encoding_;
    std::string failure_code_;
    std::string reported_;
    std::optional<bool> in_hot_standby_;
    bool server_tls_{false};
    bool must_negotiate_{false};
    bool negotiated_{false};
    bool plus_withheld_{false};
    bool sasl_begun_{false};
    bool asked_client_{false};
    bool standard_conforming_strings_{true};
};

} // namespace pgmend::session
