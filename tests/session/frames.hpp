// Messages for scripts of events.
#pragma once

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <string>
#include <string_view>

namespace pgmend::test {

inline std::string frame(char type, std::string_view body = {}) {
    std::string out(1, type);
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    out.append(body);
    return out;
}

inline std::string query(std::string_view sql) {
    std::string out;
    wire::append_query(out, sql);
    return out;
}

inline std::string parse(std::string_view name, std::string_view sql) {
    std::string out;
    wire::append_parse(out, name, sql, {});
    return out;
}

inline std::string bind(std::string_view statement) {
    std::string out;
    wire::append_bind(out, "", statement, {});
    return out;
}

inline std::string execute() {
    std::string out;
    wire::append_execute(out, "");
    return out;
}

inline std::string close_statement(std::string_view name) {
    std::string out;
    wire::append_close_statement(out, name);
    return out;
}

inline constexpr std::string_view own_name = "_pgmend_probe_2f6b9c";

/// As pgmend prepares a statement anew: tried under a name of its own first, since what is refused must not take away what there was.
inline std::string prepare_anew(std::string_view name, std::string_view sql, std::vector<std::uint32_t> const& types = {}) {
    std::string out;
    wire::append_close_statement(out, own_name);
    wire::append_parse(out, own_name, sql, types);
    wire::append_close_statement(out, own_name);
    wire::append_close_statement(out, name);
    wire::append_parse(out, name, sql, types);
    return out;
}

/// Whole frames from a server, one after the other; the last step that the machine told of. What is for the client is appended to `to_client`.
template <class Machine>
typename Machine::step feed(Machine& machine, base::byte_view frames, std::string& to_client) {
    auto last = Machine::step::need_more;
    while (!frames.empty()) {
        auto const total = wire::read_header(frames).total_bytes();
        last = machine.on_server(frames.substr(0, total), to_client);
        frames.remove_prefix(total);
    }
    return last;
}

inline std::string sync_message() { return frame('S'); }
inline std::string flush() { return frame('H'); }
inline std::string ready(char status = 'I') { return frame('Z', {&status, 1}); }
inline std::string complete(std::string_view tag) { return frame('C', std::string{tag} + '\0'); }

/// An ErrorResponse with one-letter fields, e.g. error({"C42703", "P8"}).
inline std::string error(std::initializer_list<std::string_view> fields, std::string_view severity = "ERROR") {
    std::string body;
    body.append("S").append(severity).push_back('\0');
    body.append("V").append(severity).push_back('\0');
    for (auto const field : fields) body.append(field).push_back('\0');
    body.push_back('\0');
    return frame('E', body);
}

inline std::string missing_column() { return error({"C42703", "Mno such column", "P8", "RerrorMissingColumn"}); }

} // namespace pgmend::test
