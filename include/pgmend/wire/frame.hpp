// Messages of protocol 3 as frames: one type byte, a length that counts itself, a body.
// PostgreSQL documentation, "Frontend/Backend Protocol", section "Message Formats".
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace pgmend::wire {

inline constexpr std::size_t header_bytes = 5;

/// PostgreSQL refuses messages beyond 1 GB (PQ_LARGE_MESSAGE_LIMIT is MaxAllocSize - 1, pqcomm and memutils.h).
inline constexpr std::uint32_t most_length = 0x3ffffffe;

struct frame_header {
    char type{0};
    std::uint32_t length{4}; ///< as on the wire: body bytes + 4

    [[nodiscard]] std::size_t total_bytes() const { return std::size_t{length} + 1; }
    [[nodiscard]] std::size_t body_bytes() const { return length - 4; }
    [[nodiscard]] bool length_is_valid() const { return length >= 4 && length <= most_length; }
};

/// Reads the header at the beginning of `bytes`, which must hold at least header_bytes.
inline frame_header read_header(base::byte_view bytes) {
    return {bytes[0], base::load_u32(bytes.data() + 1)};
}

/// The body of the whole frame at the beginning of `bytes`.
inline base::byte_view body_of(base::byte_view bytes, frame_header const& header) {
    return bytes.substr(header_bytes, header.body_bytes());
}

inline base::byte_view body_of(base::byte_view frame) { return body_of(frame, read_header(frame)); }

/// A whole message. `body`: at most most_length - 4 bytes.
inline void append_frame(std::string& out, char type, base::byte_view body) {
    out.push_back(type);
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    out.append(body);
}

/// Whether a client may send this type after start-up (SocketBackend in PostgreSQL's postgres.c).
inline bool is_client_type(char type) {
    switch (type) {
    case 'Q': case 'F': case 'X': case 'B': case 'C': case 'D': case 'E':
    case 'H': case 'P': case 'S': case 'd': case 'c': case 'f': return true;
    default: return false;
    }
}

} // namespace pgmend::wire
