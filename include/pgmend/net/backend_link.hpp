// Connecting to a backend.
#pragma once

#include "pgmend/backend/fault.hpp"
#include "pgmend/base/error.hpp"
#include "pgmend/net/backend_set.hpp"
#include "pgmend/net/cancel_registry.hpp"
#include "pgmend/net/stream.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::net {

/// One way to connect, as libpq's sslmode orders them.
enum class tls_attempt : std::uint8_t {
    never,      ///< in clear
    if_offered, ///< ask; in clear where the server answers N
    must,       ///< ask; an error where the server answers N
};

/// In the order to try: the next one where the server refuses the start of a session (libpq does so for allow and prefer).
[[nodiscard]] std::vector<tls_attempt> tls_attempts(backend_settings const& backend);

struct backend_link {
    stream server;
    boost::asio::generic::stream_protocol::endpoint endpoint; ///< where a cancel for this session has to go
    std::string received;                                     ///< the beginning of the server's answer
};

/// Connecting while it is under way. On the thread of its executor.
struct connecting {
    /// Stop waiting: the server's breaker has opened. connect_backend returns with an error.
    void give_up() {
        given_up = true;
        if (close) close();
    }

    bool given_up{false};
    backend::fault whose{backend::fault::backend}; ///< of the error
    std::function<void()> close;                   ///< what it waits for now
};

/// Resolves, connects, negotiates TLS, sends `startup` and waits until the server begins to answer: each step within
/// backend.connect_timeout. The addresses of a name are looked up each time and tried in order. Errors say which backend and why.
awaitable<base::result<backend_link>> connect_backend(executor where, std::shared_ptr<backend_server const> to, tls_attempt attempt,
                                                      std::string startup, std::shared_ptr<connecting> progress);

/// Connects to the very server that `target` names and has it cancel; returns when the server has closed the connection,
/// which it does after the signal was sent.
awaitable<> send_cancel(executor where, cancel_registry::target target);

/// `backend "primary" at 127.0.0.1:5432`
[[nodiscard]] std::string where_text(backend_settings const& backend);

} // namespace pgmend::net
