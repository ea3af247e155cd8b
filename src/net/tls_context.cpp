#include "pgmend/net/tls_context.hpp"

#include <fmt/format.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>

namespace pgmend::net {
namespace {

// The wire form of an ALPN list with the one name that PostgreSQL registered.
constexpr unsigned char alpn[] = "\x0apostgresql";
constexpr unsigned alpn_length = sizeof alpn - 1;

base::error openssl_failure(std::string what) {
    auto const code = ERR_get_error();
    char const* const reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return base::fail(base::errc::tls, reason != nullptr ? fmt::format("{}: {}", what, reason) : std::move(what));
}

int choose_alpn(SSL*, unsigned char const** out, unsigned char* out_length, unsigned char const* in, unsigned in_length, void*) {
    // A client that offers protocols, but not this one, speaks something else (PostgreSQL 17's alpn_cb: fatal alert).
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_length, alpn, alpn_length, in, in_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/// A browser that offers HTTP/2 gets HTTP/1.1.
int choose_http(SSL*, unsigned char const** out, unsigned char* out_length, unsigned char const* in, unsigned in_length, void*) {
    static constexpr unsigned char http[] = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_length, http, sizeof http - 1, in, in_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

base::result<void> load_own_certificate(SSL_CTX* context, tls_settings const& settings) {
    if (SSL_CTX_use_certificate_chain_file(context, settings.cert.c_str()) != 1)
        return openssl_failure(fmt::format("cannot load the certificate {}", settings.cert));
    if (SSL_CTX_use_PrivateKey_file(context, settings.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return openssl_failure(fmt::format("cannot load the private key {}", settings.key));
    if (SSL_CTX_check_private_key(context) != 1)
        return openssl_failure(fmt::format("the private key {} does not belong to the certificate {}", settings.key, settings.cert));
    return {};
}

tls_context make_context(SSL_METHOD const* method) {
    tls_context context{SSL_CTX_new(method), SSL_CTX_free};
    if (!context) return context;
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Partial and moving writes: the rest of a write is offered again from another buffer.
    // Released buffers: an idle session shall not keep 34 KiB.
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return context;
}

bool verifies(tls_mode mode) { return mode == tls_mode::verify_ca || mode == tls_mode::verify_full; }

} // namespace

base::result<tls_context> make_server_context(tls_settings const& settings) {
    if (settings.mode == tls_mode::disable) return tls_context{};
    auto context = make_context(TLS_server_method());
    if (!context) return openssl_failure("cannot make a TLS context");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF); // as PostgreSQL: connections are long
    SSL_CTX_set_num_tickets(context.get(), 0);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
    if (auto loaded = load_own_certificate(context.get(), settings); !loaded) return loaded.error();
    if (verifies(settings.mode)) {
        auto* const names = SSL_load_client_CA_file(settings.ca.c_str());
        if (names == nullptr || SSL_CTX_load_verify_locations(context.get(), settings.ca.c_str(), nullptr) != 1)
            return openssl_failure(fmt::format("cannot load the trusted certificates {}", settings.ca));
        SSL_CTX_set_client_CA_list(context.get(), names);
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
    return context;
}

base::result<tls_context> make_web_context(std::string const& cert, std::string const& key) {
    auto made = make_server_context({tls_mode::require, cert, key, {}});
    if (made) SSL_CTX_set_alpn_select_cb(made->get(), choose_http, nullptr);
    return made;
}

base::result<tls_context> make_client_context(tls_settings const& settings) {
    if (settings.mode == tls_mode::disable) return tls_context{};
    auto context = make_context(TLS_client_method());
    if (!context) return openssl_failure("cannot make a TLS context");
    SSL_CTX_set_alpn_protos(context.get(), alpn, alpn_length);
    if (!settings.cert.empty())
        if (auto loaded = load_own_certificate(context.get(), settings); !loaded) return loaded.error();
    if (verifies(settings.mode)) {
        int const loaded = settings.ca.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                               : SSL_CTX_load_verify_locations(context.get(), settings.ca.c_str(), nullptr);
        if (loaded != 1) return openssl_failure(fmt::format("cannot load the trusted certificates {}", settings.ca));
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    }
    return context;
}

} // namespace pgmend::net
