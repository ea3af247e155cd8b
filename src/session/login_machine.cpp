#include "pgmend/session/login_machine.hpp"

#include "pgmend/session/wish.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <algorithm>

namespace pgmend::session {
namespace {

// AuthenticationXXX codes (PostgreSQL documentation, "Message Formats").
constexpr std::int32_t authentication_ok = 0;
constexpr std::int32_t authentication_sasl = 10;
constexpr std::int32_t authentication_sasl_final = 12;

constexpr std::size_t most_reported_bytes = 65536;
constexpr std::size_t secret_bytes_3_0 = 4;
constexpr std::size_t secret_bytes_3_2 = 32; // as PostgreSQL 18

} // namespace

login_machine::login_machine(std::uint32_t requested_version, base::byte_view startup_body, settings own)
    : own_{std::move(own)}, version_{requested_version} {
    auto const packet = wire::read_startup(requested_version, startup_body);
    identity_.user = packet.find("user");
    identity_.database = packet.find("database");
    if (identity_.database.empty()) identity_.database = identity_.user;
    identity_.application_name = packet.find("application_name");
    auto const replication = packet.find("replication");
    identity_.logical = replication == "database";
    identity_.replication = identity_.logical || is_yes(replication);

    for (auto const& [key, value] : packet.parameters)
        if (key.starts_with("_pq_.")) unknown_options_.emplace_back(key);
    must_negotiate_ = version_ > wire::protocol_3_2 || !unknown_options_.empty();
    if (must_negotiate_) {
        version_ = std::min(version_, wire::protocol_3_2);
        server_startup_ = wire::startup_message(version_, packet);
    } else { // as it came; the server says what is wrong with it
        base::append_u32(server_startup_, static_cast<std::uint32_t>(startup_body.size() + 8));
        base::append_u32(server_startup_, requested_version);
        server_startup_.append(startup_body);
    }
}

base::byte_view login_machine::client_secret() const {
    return base::byte_view{own_.key_secret}.substr(0, version_ >= wire::protocol_3_2 ? secret_bytes_3_2 : secret_bytes_3_0);
}

void login_machine::negotiate(base::byte_view body, std::string& to_client) {
    if (auto const theirs = wire::read_negotiation(body)) {
        version_ = std::min(version_, theirs->newest_version);
        for (auto const& option : theirs->unknown_options)
            if (std::find(unknown_options_.begin(), unknown_options_.end(), option) == unknown_options_.end())
                unknown_options_.emplace_back(option);
    }
    negotiated_ = true;
    to_client += wire::negotiate_protocol_version(version_, unknown_options_);
}

login_machine::step login_machine::on_server(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    if (header.type == 'v' && !negotiated_) {
        negotiate(body, to_client);
        return step::server;
    }
    // The client expects the negotiation before anything else (but an error needs none).
    if (must_negotiate_ && !negotiated_ && header.type != 'E') negotiate({}, to_client);

    switch (header.type) {
    case 'R': return on_authentication(frame, body, to_client);
    case 'K': {
        wire::cursor in{body};
        server_process_ = in.u32();
        server_secret_ = in.rest();
        to_client += wire::backend_key_data(server_process_, client_secret());
        return step::server;
    }
    case 'S':
        on_parameter(body);
        if (reported_.size() < most_reported_bytes) reported_.append(frame);
        break;
    case 'E': {
        if (auto const fields = wire::read_error(body)) failure_code_ = fields->code;
        to_client.append(frame);
        return step::failed; // before ReadyForQuery every error is fatal
    }
    case 'Z': to_client.append(frame); return step::ready;
    default: break;
    }
    to_client.append(frame);
    return step::server;
}

login_machine::step login_machine::on_authentication(base::byte_view frame, base::byte_view body, std::string& to_client) {
    wire::cursor in{body};
    auto const code = in.i32();
    if (code == authentication_sasl) {
        std::vector<base::byte_view> kept;
        for (auto name = in.text(); !name.empty(); name = in.text()) {
            if (name.ends_with("-PLUS"))
                plus_withheld_ = true;
            else
                kept.push_back(name);
        }
        sasl_begun_ = asked_client_ = true;
        to_client += wire::authentication_sasl(kept);
        return step::client_answer;
    }
    to_client.append(frame);
    if (code == authentication_ok || code == authentication_sasl_final) return step::server;
    asked_client_ = true;
    return step::client_answer;
}

login_machine::step login_machine::on_client(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    if (!sasl_begun_ || header.type != 'p') return step::server;
    sasl_begun_ = false; // only the first answer names the mechanism
    wire::cursor in{wire::body_of(frame, header)};
    (void)in.text();
    (void)in.u32();
    // RFC 5802: gs2 flag 'y' says "I could bind the channel, but you do not offer it"; a server that does offer it
    // has to take this for a downgrade attack.
    if (plus_withheld_ && own_.client_tls && server_tls_ && in.rest().starts_with('y')) {
        failure_code_ = wire::sqlstate::invalid_authorization;
        to_client += wire::error_response(
            wire::severity::fatal, wire::sqlstate::invalid_authorization,
            "SCRAM channel binding cannot pass through pgmend, which ends TLS on both sides",
            "The client may bind the channel (channel_binding=prefer), the server offers SCRAM-SHA-256-PLUS, and it would "
            "take pgmend in between for an attack.",
            "Connect with channel_binding=disable, or turn TLS off on one of the two sides "
            "(listen.tls.mode: disable, or backends[].tls.mode: disable) in pgmend's configuration.");
        return step::failed;
    }
    return step::server;
}

void login_machine::on_parameter(base::byte_view body) {
    wire::cursor in{body};
    auto const name = in.text();
    auto const value = in.text();
    if (name == "client_encoding") client_encoding_ = value;
    else if (name == "standard_conforming_strings") standard_conforming_strings_ = value == "on";
    else if (name == "in_hot_standby") in_hot_standby_ = value == "on";
    else if (name == "application_name") identity_.application_name = value;
}

} // namespace pgmend::session
