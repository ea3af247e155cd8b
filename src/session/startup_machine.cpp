#include "pgmend/session/startup_machine.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

namespace pgmend::session {

using namespace startup;

namespace {

constexpr char tls_handshake_record = 0x16;

reject refuse(base::byte_view code, base::byte_view message, base::byte_view hint = {}) {
    return {wire::error_response(wire::severity::fatal, code, message, {}, hint), std::string{message}};
}

} // namespace

action startup_machine::on_bytes(base::byte_view bytes) {
    consumed_ = 0;
    if (bytes.empty()) return need_more{};
    if (first_ && bytes[0] == tls_handshake_record) {
        if (!policy_.tls_offered)
            return reject{{}, "direct TLS handshake, but TLS is off here (listen.tls.mode)"};
        first_ = false;
        return start_tls{true};
    }
    if (bytes.size() < 4) return need_more{};
    auto const length = base::load_u32(bytes.data());
    // As PostgreSQL: no answer to what cannot be a start-up packet, the peer may speak any protocol.
    if (length < 8 || length > wire::most_startup_bytes) return reject{{}, "invalid length of startup packet"};
    if (bytes.size() < length) return need_more{};
    auto const code = base::load_u32(bytes.data() + 4);
    first_ = false;
    consumed_ = length;
    auto const body = bytes.substr(8, length - 8);

    if (code == wire::ssl_request_code && length == 8 && !ssl_asked_ && !tls_done_) {
        ssl_asked_ = true;
        if (!policy_.tls_offered) return answer{'N'};
        // Whatever follows in clear would be taken for encrypted data (CVE-2021-23214).
        if (bytes.size() > length)
            return refuse(wire::sqlstate::protocol_violation, "received unencrypted data after SSL request",
                          "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
        return start_tls{false};
    }
    if (code == wire::gssenc_request_code && length == 8 && !gss_asked_ && !tls_done_) {
        gss_asked_ = true;
        return answer{'N'};
    }
    if (code == wire::cancel_request_code) {
        // 4 bytes of secret in protocol 3.0, up to 256 from 3.2 on.
        if (body.size() < 8 || body.size() > 4 + 256) return reject{{}, "invalid length of cancel request packet"};
        return cancel{base::load_u32(body.data()), std::string{body.substr(4)}};
    }
    if (policy_.tls_required && !tls_done_)
        return refuse(wire::sqlstate::invalid_authorization, "TLS is required by pgmend",
                      "Connect with sslmode=require, or set listen.tls.mode to prefer in pgmend's configuration.");
    // Not passed on: a second SSLRequest, say, would be answered by the server in its own way.
    if (code >> 16 != 3)
        return refuse(wire::sqlstate::feature_not_supported,
                      fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.2", code >> 16, code & 0xffff));
    return proceed{code, std::string{body}};
}

} // namespace pgmend::session
