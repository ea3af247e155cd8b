// OpenSSL contexts made from settings.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/net/settings.hpp"

#include <memory>

typedef struct ssl_ctx_st SSL_CTX;

namespace pgmend::net {

/// Shared by sessions of all workers; a reload makes a new one, sessions that began with the old one keep it.
using tls_context = std::shared_ptr<SSL_CTX>;

/// For listening. Null where the mode is disable. Errors name the file. TLS 1.2 and newer; ALPN `postgresql`.
[[nodiscard]] base::result<tls_context> make_server_context(tls_settings const& settings);

/// For connecting to backends. Null where the mode is disable.
[[nodiscard]] base::result<tls_context> make_client_context(tls_settings const& settings);

/// For an HTTP server: as above, ALPN `http/1.1`.
[[nodiscard]] base::result<tls_context> make_web_context(std::string const& cert, std::string const& key);

} // namespace pgmend::net
