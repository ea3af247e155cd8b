// Bytes on the wire: big-endian integers in and out of plain character ranges.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pgmend::base {

/// A range of bytes that somebody else owns. Bytes of the protocol and SQL texts are the same thing on
/// most of the way, so both are `string_view`.
using byte_view = std::string_view;

inline std::uint16_t load_u16(char const* p) {
    std::uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

inline std::uint32_t load_u32(char const* p) {
    std::uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

inline void store_u32(char* p, std::uint32_t v) {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, sizeof v);
}

inline void append_u16(std::string& out, std::uint16_t v) {
    v = __builtin_bswap16(v);
    out.append(reinterpret_cast<char const*>(&v), sizeof v);
}

inline void append_u32(std::string& out, std::uint32_t v) {
    v = __builtin_bswap32(v);
    out.append(reinterpret_cast<char const*>(&v), sizeof v);
}

} // namespace pgmend::base
