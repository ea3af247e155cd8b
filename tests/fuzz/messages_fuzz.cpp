// Every decoder of messages, the start-up and the login, with arbitrary bytes.
#include "pgmend/session/login_machine.hpp"
#include "pgmend/session/startup_machine.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <cstddef>
#include <cstdint>

using namespace pgmend;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    base::byte_view const bytes{reinterpret_cast<char const*>(data), size};
    (void)wire::read_error(bytes);
    (void)wire::error_with_position(bytes, 7);
    (void)wire::read_negotiation(bytes);
    (void)wire::read_row_description(bytes);
    (void)wire::read_data_row(bytes);
    (void)wire::read_parse(bytes);

    session::startup_machine startup{{size % 2 == 0, size % 3 == 0}};
    base::byte_view rest = bytes;
    for (int i = 0; i < 4; ++i) {
        auto const action = startup.on_bytes(rest);
        if (startup.consumed() > rest.size()) __builtin_trap();
        rest.remove_prefix(startup.consumed());
        if (!std::holds_alternative<session::startup::answer>(action)) break;
    }

    session::login_machine login{wire::protocol_3_2, bytes.substr(0, size / 2), {true, std::string(32, 'k')}};
    std::string to_client;
    for (rest = bytes.substr(size / 2); rest.size() >= wire::header_bytes;) {
        auto const header = wire::read_header(rest);
        if (!header.length_is_valid() || header.total_bytes() > rest.size()) break;
        auto const frame = rest.substr(0, header.total_bytes());
        if (login.on_server(frame, to_client) == session::login_machine::step::client_answer) (void)login.on_client(frame, to_client);
        rest.remove_prefix(frame.size());
    }
    return 0;
}
