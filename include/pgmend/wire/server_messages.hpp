// What servers send: the fields that pgmend decides by, and the messages that it sends to clients itself.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pgmend::wire {

/// The fields of an ErrorResponse or NoticeResponse that decisions rest on (PostgreSQL documentation,
/// "Error and Notice Message Fields"). Views point into the body.
struct error_view {
    base::byte_view severity; ///< V: never translated; S where the server is older than 9.6
    base::byte_view code;     ///< C: SQLSTATE
    base::byte_view message;  ///< M: translated: for people, never for decisions
    base::byte_view position; ///< P
    base::byte_view internal_position; ///< p
    base::byte_view internal_query;    ///< q
    base::byte_view where;    ///< W
    base::byte_view routine;  ///< R
    base::byte_view hint;     ///< H: translated
    base::byte_view schema;   ///< s
    base::byte_view table;    ///< t
    base::byte_view column;   ///< c
};

/// Nothing where the body is not a well-formed list of fields.
[[nodiscard]] std::optional<error_view> read_error(base::byte_view body);

/// The frame of an ErrorResponse again, with another position (1-based, in characters).
[[nodiscard]] std::string error_with_position(base::byte_view body, std::uint32_t position);

enum class severity : std::uint8_t { error, fatal };

/// The one place where ErrorResponses of pgmend's own are built. `hint` and `detail` may be empty.
[[nodiscard]] std::string error_response(severity how, base::byte_view code, base::byte_view message,
                                         base::byte_view detail = {}, base::byte_view hint = {});
[[nodiscard]] std::string notice_response(base::byte_view message, base::byte_view detail = {});
[[nodiscard]] std::string warning_response(base::byte_view message, base::byte_view detail = {});

/// NegotiateProtocolVersion: the newest 3.x spoken, and the options (`_pq_.…`) that nobody knows.
[[nodiscard]] std::string negotiate_protocol_version(std::uint32_t newest_version, std::span<std::string const> unknown_options);

struct negotiation_view {
    std::uint32_t newest_version{0}; ///< the whole number, 3 << 16 | minor: SendNegotiateProtocolVersion sends PG_PROTOCOL_LATEST
    std::vector<base::byte_view> unknown_options;
};
[[nodiscard]] std::optional<negotiation_view> read_negotiation(base::byte_view body);

[[nodiscard]] std::string backend_key_data(std::uint32_t process, base::byte_view secret);

/// AuthenticationSASL with the mechanisms given.
[[nodiscard]] std::string authentication_sasl(std::span<base::byte_view const> mechanisms);

/// One field of a RowDescription. The label points into the body.
struct row_field {
    base::byte_view label;
    std::uint32_t table{0};
    std::int16_t number{0};
    std::uint32_t type{0};
    std::int32_t type_modifier{-1};
};
[[nodiscard]] std::optional<std::vector<row_field>> read_row_description(base::byte_view body);

/// The columns of a DataRow in text; nullopt inside: NULL.
[[nodiscard]] std::optional<std::vector<std::optional<base::byte_view>>> read_data_row(base::byte_view body);

/// ParameterStatus: a setting that the server reports. Views into the message.
struct parameter_view {
    base::byte_view name;
    base::byte_view value;
};

/// The body of a ParameterStatus; nothing where it is not well-formed.
[[nodiscard]] std::optional<parameter_view> read_parameter_status(base::byte_view body);
/// Those of several whole ParameterStatus frames, up to one that is cut.
[[nodiscard]] std::vector<parameter_view> read_parameter_frames(base::byte_view frames);

} // namespace pgmend::wire
