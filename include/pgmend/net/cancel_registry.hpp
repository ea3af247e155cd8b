// Which server connection a cancel key stands for.
#pragma once

#include "pgmend/net/backend_set.hpp"

#include <boost/asio/generic/stream_protocol.hpp>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace pgmend::net {

/// Knows whose server connection each cancel key means now. A key is the process number that the server gave (clients
/// compare it with pg_backend_pid() and with the sender of a notification) and a secret of pgmend's own; two servers may
/// give the same number, so the secret is part of the name.
/// Shared by all workers, behind a mutex: it is asked at login, at the end of a session and by a CancelRequest only.
class cancel_registry {
  public:
    struct target {
        std::shared_ptr<backend_server const> via; ///< how it was connected to
        boost::asio::generic::stream_protocol::endpoint server; ///< the very server that the session is connected to
        std::uint32_t process{0};
        std::string secret;
    };

    /// 32 random bytes; a client of protocol 3.0 gets the first four.
    [[nodiscard]] static std::string new_secret();

    /// From now on this key (with the secret as the client knows it) means `served_by`.
    void serve(std::uint32_t process, std::string client_secret, target served_by);
    void forget(std::uint32_t process, std::string const& secret);

    /// Nothing where the key is wrong or its session is over. Secrets are compared in constant time.
    [[nodiscard]] std::optional<target> find(std::uint32_t process, std::string const& secret) const;

  private:
    struct entry {
        std::string client_secret;
        target served_by;
    };

    mutable std::mutex mutex_;
    std::unordered_multimap<std::uint32_t, entry> entries_;
};

} // namespace pgmend::net
