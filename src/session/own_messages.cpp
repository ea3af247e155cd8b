#include "session/own_messages.hpp"

#include "pgmend/wire/client_messages.hpp"

namespace pgmend::session {

std::size_t append_statement(std::string& out, base::byte_view sql) {
    wire::append_parse(out, own_name, sql, {});
    wire::append_bind(out, own_name, own_name, {});
    wire::append_execute(out, own_name);
    wire::append_close_portal(out, own_name);
    wire::append_close_statement(out, own_name);
    return 5;
}

void expect_statement(answer_queue& queue) {
    for (auto const kind : {request_kind::parse, request_kind::bind, request_kind::execute, request_kind::close, request_kind::close})
        queue.push({kind, true, {}});
}

} // namespace pgmend::session
