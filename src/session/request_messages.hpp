// Which message of a request another one refers to.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pgmend::session {

/// The newest Parse ('P') of that statement, or Bind ('B') of that portal, ahead of the message `before`. `messages`: of messages_of().
inline std::optional<std::uint32_t> newest(std::vector<base::byte_view> const& messages, std::size_t before, char type, base::byte_view name) {
    for (auto i = std::min(before, messages.size()); i-- > 0;) {
        if (messages[i][0] == type && wire::cursor{messages[i].substr(wire::header_bytes)}.text() == name) return static_cast<std::uint32_t>(i);
    }
    return std::nullopt;
}

} // namespace pgmend::session
