// The relay between two peers that send anything, in pieces of any size. Whatever happens nothing is lost: without healing
// each side gets exactly what the other has sent.
#include "pgmend/session/heal_machine.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/wire/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace pgmend;

namespace {

struct side {
    std::string carry;
    std::string sent;
    std::string forwarded;
};

void feed(session::relay_machine& relay, base::byte_view bytes, side& from, bool client, unsigned choice) {
    from.sent += bytes;
    std::string input = std::exchange(from.carry, {}) + std::string{bytes};
    base::byte_view rest = input;
    for (bool again = true; again;) {
        auto const step = client ? relay.on_client(rest) : relay.on_server(rest);
        if (step.consumed > rest.size()) std::abort();
        rest.remove_prefix(step.consumed);
        from.forwarded += step.forward;
        again = step.again;
        if (!relay.holding()) continue;
        auto const held = relay.held();
        session::heal_machine heal{held, {}};
        bool const possible = heal.possible();
        if (possible && choice % 3 == 0) {
            std::string to_client;
            (void)heal.begin();
            while (rest.size() >= wire::header_bytes) {
                auto const header = wire::read_header(rest);
                if (!header.length_is_valid() || header.total_bytes() > rest.size()) break;
                auto const reached = heal.on_server(rest.substr(0, header.total_bytes()), to_client);
                rest.remove_prefix(header.total_bytes());
                if (reached != session::heal_machine::step::need_more) break;
            }
        }
        if (!possible || choice % 2 == 0) from.forwarded += relay.release_error(choice % 4 == 0);
        else from.forwarded += relay.begin_retry(heal.as_it_was(), {});
    }
    from.carry = rest;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size < 2) return 0;
    bool const heals = data[0] % 2 == 1;
    unsigned const choice = data[1];
    session::relay_machine relay{{heals, 4096}};
    side client;
    side server;
    for (std::size_t at = 2; at < size;) {
        bool const from_client = data[at] % 2 == 0;
        std::size_t const length = std::min<std::size_t>(data[at] / 2 + 1u, size - at - 1);
        base::byte_view const piece{reinterpret_cast<char const*>(data) + at + 1, length};
        feed(relay, piece, from_client ? client : server, from_client, choice);
        at += length + 1;
        if (relay.server_broken()) break;
    }
    if (!heals && client.forwarded + client.carry != client.sent) std::abort();
    if (!heals && !relay.server_broken() && server.forwarded + server.carry != server.sent) std::abort();
    return 0;
}
