#include "pgmend/session/refusal_machine.hpp"

#include "pgmend/wire/frame.hpp"

#include <algorithm>

namespace pgmend::session {
namespace {

constexpr base::byte_view ready_idle{"Z\0\0\0\5I", 6};

} // namespace

refusal_machine::outcome refusal_machine::on_client(base::byte_view bytes, base::byte_view error, std::string& to_client) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        if (remaining_ > 0) {
            auto const part = std::min<std::uint64_t>(remaining_, bytes.size() - at);
            remaining_ -= part;
            at += part;
            continue;
        }
        if (bytes.size() - at < wire::header_bytes) break;
        auto const header = wire::read_header(bytes.substr(at));
        if (header.type == 'X' || !wire::is_client_type(header.type) || !header.length_is_valid()) return {at, true};
        switch (header.type) {
        case 'Q':
        case 'F':
            if (!inside_) to_client.append(error).append(ready_idle);
            break;
        case 'S':
            to_client.append(ready_idle);
            inside_ = false;
            break;
        case 'd': // left over from a copy that has failed: the server ignores these, too
        case 'c':
        case 'f': break;
        default:
            if (!inside_) to_client.append(error);
            inside_ = true;
            break;
        }
        remaining_ = header.total_bytes();
    }
    return {at, false};
}

} // namespace pgmend::session
