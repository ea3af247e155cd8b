// What clients send: the start-up packets read, and the messages that pgmend sends to servers itself.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/base/error.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pgmend::wire {

/// Codes in the place of the protocol version (PostgreSQL's pqcomm.h).
inline constexpr std::uint32_t cancel_request_code = (1234u << 16) | 5678u;
inline constexpr std::uint32_t ssl_request_code = (1234u << 16) | 5679u;
inline constexpr std::uint32_t gssenc_request_code = (1234u << 16) | 5680u;

inline constexpr std::uint32_t protocol_3_0 = 3u << 16;
inline constexpr std::uint32_t protocol_3_2 = (3u << 16) | 2u; ///< PostgreSQL 18: longer cancel keys

/// PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
inline constexpr std::uint32_t most_startup_bytes = 10000;

/// The last packet of a start-up. Views point into the packet.
struct startup_packet {
    std::uint32_t version{protocol_3_0};
    /// In the order sent. Empty where the layout is broken (the server says so better than pgmend could).
    std::vector<std::pair<base::byte_view, base::byte_view>> parameters;

    [[nodiscard]] base::byte_view find(base::byte_view name) const; ///< empty where absent
};

/// `body`: what follows the length and the version.
[[nodiscard]] startup_packet read_startup(std::uint32_t version, base::byte_view body);

/// A start-up packet of `version` with the parameters that are no protocol option (`_pq_.…`).
[[nodiscard]] std::string startup_message(std::uint32_t version, startup_packet const& packet);

[[nodiscard]] std::string ssl_request();
[[nodiscard]] std::string cancel_request(std::uint32_t process, base::byte_view secret);

void append_query(std::string& out, base::byte_view sql);
void append_parse(std::string& out, base::byte_view statement, base::byte_view sql, std::span<std::uint32_t const> parameter_types);
/// Text parameters, text results.
void append_bind(std::string& out, base::byte_view portal, base::byte_view statement, std::span<base::byte_view const> parameters);
void append_describe_statement(std::string& out, base::byte_view statement);
void append_describe_portal(std::string& out, base::byte_view portal);
void append_execute(std::string& out, base::byte_view portal);
void append_close_statement(std::string& out, base::byte_view statement);
void append_close_portal(std::string& out, base::byte_view portal);
void append_sync(std::string& out);

/// What a parameter is bound with instead.
struct other_value {
    std::uint32_t parameter{0};        ///< from 1
    std::optional<base::byte_view> is; ///< nothing: NULL
};
/// A Bind message's body again, with these values (ascending by parameter) in the place of its own; the formats stay. Nothing: it is not well-formed.
[[nodiscard]] std::optional<std::string> bind_with(base::byte_view body, std::span<other_value const> others);

/// A Bind message. Views point into its body.
struct bind_view {
    base::byte_view portal;
    base::byte_view statement;
    std::vector<std::int16_t> formats;                  ///< none: text; one: for all parameters
    std::vector<std::optional<base::byte_view>> values; ///< nothing: NULL
    base::byte_view parameters;                         ///< formats and values, as they are in the message
    base::byte_view results;                            ///< the formats of the columns, likewise

    [[nodiscard]] bool binary() const; ///< a parameter is
    [[nodiscard]] bool is_binary(std::size_t parameter) const; ///< from 0
};
[[nodiscard]] std::optional<bind_view> read_bind(base::byte_view body);

/// A Parse message. Views point into its body.
struct parse_view {
    base::byte_view statement;
    base::byte_view sql;
    std::vector<std::uint32_t> parameter_types; ///< 0: the server chooses
};
[[nodiscard]] std::optional<parse_view> read_parse(base::byte_view body);

} // namespace pgmend::wire
