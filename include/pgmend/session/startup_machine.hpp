// The first packets of a connection: what does this client want?
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace pgmend::session {

/// How the listener treats TLS; the driver derives it from its settings.
struct startup_policy {
    bool tls_offered{false};
    bool tls_required{false};
};

namespace startup {

struct need_more {};                                   ///< read on
struct answer { char byte; };                          ///< send this one byte, then read on
struct start_tls { bool direct; };                     ///< (after answering 'S' unless direct) begin a handshake, then tls_started()
struct cancel { std::uint32_t process; std::string secret; };
struct proceed { std::uint32_t version; std::string packet; }; ///< StartupMessage: the bytes after length and version
struct reject { std::string response; std::string reason; };   ///< send response (may be empty), then close; reason is for the log

using action = std::variant<need_more, answer, start_tls, cancel, proceed, reject>;

} // namespace startup

/// Decides what to do with the first packets of a client (PostgreSQL's ProcessStartupPacket).
///
///   first packet ──SSLRequest──> 'S' handshake ──> packet          ──StartupMessage──> proceed
///        │        └─ or 'N' ───> packet            (once each)     ──CancelRequest──> cancel
///        ├──GSSENCRequest──> 'N' ──> packet                        ──anything else──> reject
///        └──0x16 (TLS record)──> handshake at once (direct TLS)
///
/// Owned by the session's coroutine. Not on a fast path.
class startup_machine {
  public:
    explicit startup_machine(startup_policy policy) : policy_{policy} {}

    /// `bytes`: all that was received and not consumed yet. Look at `consumed()` after each call.
    [[nodiscard]] startup::action on_bytes(base::byte_view bytes);

    /// How many of the bytes offered last are used up.
    [[nodiscard]] std::size_t consumed() const { return consumed_; }

    void tls_started() { tls_done_ = true; }

  private:
    startup_policy policy_;
    std::size_t consumed_{0};
    bool tls_done_{false};
    bool ssl_asked_{false};
    bool gss_asked_{false};
    bool first_{true};
};

} // namespace pgmend::session
