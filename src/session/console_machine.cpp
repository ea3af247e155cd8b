#include "pgmend/session/console_machine.hpp"

#include "session/console_messages.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::session {
namespace {

namespace sqlstate = wire::sqlstate;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The end of the comment that begins at `at`; `at` itself where none does.
std::size_t past_comment(base::byte_view text, std::size_t at) {
    auto const rest = text.substr(at);
    if (rest.starts_with("--")) {
        auto const end = text.find('\n', at);
        return end == base::byte_view::npos ? text.size() : end;
    }
    if (!rest.starts_with("/*")) return at;
    auto const end = text.find("*/", at + 2);
    return end == base::byte_view::npos ? text.size() : end + 2;
}

} // namespace

/// No command holds quotes; in SQL that is refused anyway they keep a semicolon from making two errors of one.
std::vector<std::string> split_commands(base::byte_view text) {
    std::vector<std::string> out;
    std::string now;
    char quote = 0;
    auto const end_command = [&] {
        while (!now.empty() && now.back() == ' ') now.pop_back();
        if (!now.empty()) out.push_back(std::exchange(now, {}));
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text[i];
        if (quote != 0) {
            now.push_back(c);
            if (c == quote) quote = 0;
            continue;
        }
        bool space = is_space(c);
        if (auto const past = past_comment(text, i); past != i) {
            i = past - 1;
            space = true;
        }
        if (space) {
            if (!now.empty() && now.back() != ' ') now.push_back(' ');
        } else if (c == ';') {
            end_command();
        } else {
            if (c == '\'' || c == '"') quote = c;
            now.push_back(c);
        }
    }
    end_command();
    return out;
}

console_machine::step console_machine::on_bytes(base::byte_view bytes, std::string& out) {
    inbox_.append(bytes);
    return running_ ? step::run : advance(out);
}

console_machine::step console_machine::break_off(base::byte_view message, std::string& out) {
    out += wire::error_response(wire::severity::fatal, sqlstate::protocol_violation, message);
    inbox_.clear();
    at_ = 0;
    return step::close;
}

console_machine::step console_machine::advance(std::string& out) {
    auto next = step::read;
    while (next == step::read && inbox_.size() - at_ >= wire::header_bytes) {
        auto const rest = base::byte_view{inbox_}.substr(at_);
        auto const header = wire::read_header(rest);
        if (!wire::is_client_type(header.type)) return break_off("invalid frontend message type", out);
        if (!header.length_is_valid() || header.total_bytes() > most_frame_bytes)
            return break_off("invalid message length for the console", out);
        if (rest.size() < header.total_bytes()) break;
        at_ += header.total_bytes();
        next = on_frame(header.type, wire::body_of(rest, header), out);
    }
    if (next == step::close) return next;
    inbox_.erase(0, at_);
    at_ = 0;
    return next;
}

console_machine::step console_machine::on_frame(char type, base::byte_view body, std::string& out) {
    if (type == 'X') return step::close;
    if (type == 'S') {
        skipping_ = false;
        portals_.clear(); // they end with their transaction
        append_idle(out);
        return step::read;
    }
    if (skipping_) return step::read;
    bool well_formed = true;
    switch (type) {
    case 'Q': return on_query(body, out);
    case 'E': return on_execute(body, out);
    case 'P': well_formed = on_parse(body, out); break;
    case 'B': well_formed = on_bind(body, out); break;
    case 'D': well_formed = on_describe(body, out); break;
    case 'C': well_formed = on_close(body, out); break;
    case 'F':
        out += wire::error_response(wire::severity::error, sqlstate::feature_not_supported, "the console has no functions; SHOW HELP lists its commands");
        append_idle(out);
        break;
    default: break; // Flush: the driver always does. CopyData, CopyDone, CopyFail outside of COPY: ignored, as PostgreSQL does
    }
    return well_formed ? step::read : break_off("invalid message format", out);
}

void console_machine::fail(console_error const& error, std::string& out) {
    out += wire::error_response(wire::severity::error, error.code, error.message, {}, error.hint);
}

// ------------------------------------------------------------------------------------------- simple

console_machine::step console_machine::on_query(base::byte_view body, std::string& out) {
    wire::cursor in{body};
    auto const text = in.text();
    if (!in.ok() || !in.at_end()) return break_off("invalid message format", out);
    statements_.erase("");
    portals_.clear();
    auto commands = split_commands(text);
    simple_.assign(std::make_move_iterator(commands.begin()), std::make_move_iterator(commands.end()));
    if (simple_.empty()) append_message(out, 'I'); // EmptyQueryResponse
    return next_simple(out);
}

console_machine::step console_machine::next_simple(std::string& out) {
    if (!simple_.empty()) {
        auto const found = commands_.find(simple_.front());
        simple_.pop_front();
        if (auto const* const command = std::get_if<console_command>(&found)) {
            wanted_ = *command;
            running_ = execution{};
            return step::run;
        }
        fail(std::get<console_error>(found), out);
        simple_.clear();
    }
    append_idle(out);
    return step::read;
}

console_machine::step console_machine::on_answer(console_answer answer, std::string& out) {
    if (!running_) return step::read;
    auto const run = *std::exchange(running_, std::nullopt);
    auto* const error = std::get_if<console_error>(&answer);
    if (error != nullptr) fail(*error, out);
    if (auto const* const notice = std::get_if<console_notice>(&answer)) out += wire::notice_response(notice->message, notice->detail);
    auto* const found = std::get_if<std::vector<console_row>>(&answer);
    auto rows = found != nullptr ? std::move(*found) : std::vector<console_row>{};
    if (run.simple) {
        if (error != nullptr) {
            simple_.clear();
        } else {
            if (!wanted_.columns.empty()) append_description(out, wanted_.columns, {});
            for (auto const& row : rows) append_row(out, wanted_.columns, row, {});
            append_complete(out, wanted_.tag);
        }
        auto const next = next_simple(out);
        return next == step::read ? advance(out) : next;
    }
    if (error != nullptr) {
        skipping_ = true;
    } else if (auto const it = portals_.find(run.portal); it != portals_.end()) {
        it->second.ran = true;
        it->second.rows = std::move(rows);
        send_rows(it->second, run.most_rows, out);
    }
    return advance(out);
}

// ------------------------------------------------------------------------------------------- extended

bool console_machine::on_parse(base::byte_view body, std::string& out) {
    auto const view = wire::read_parse(body);
    if (!view) return false;
    auto const refuse = [&](console_error const& error) {
        fail(error, out);
        skipping_ = true;
        return true;
    };
    auto const name = std::string{view->statement};
    if (!name.empty() && statements_.contains(name))
        return refuse({sqlstate::duplicate_statement, fmt::format("prepared statement \"{}\" already exists", name), {}});
    if (statements_.size() >= most_statements && !statements_.contains(name))
        return refuse({sqlstate::too_many_prepared, "too many prepared statements in the console", {}});
    auto const commands = split_commands(view->sql);
    if (commands.size() > 1)
        return refuse({sqlstate::syntax_error, "cannot insert multiple commands into a prepared statement", {}});
    statement made;
    if (!commands.empty()) {
        auto found = commands_.find(commands.front());
        if (auto const* const error = std::get_if<console_error>(&found)) return refuse(*error);
        made.command = std::get<console_command>(found);
    }
    statements_.insert_or_assign(name, made);
    append_message(out, '1'); // ParseComplete
    return true;
}

bool console_machine::on_bind(base::byte_view body, std::string& out) {
    wire::cursor in{body};
    auto const name = std::string{in.text()};
    auto const of = std::string{in.text()};
    for (int formats = in.i16(); formats > 0 && in.ok(); --formats) (void)in.i16();
    auto const parameters = in.i16();
    for (int i = 0; i < parameters && in.ok(); ++i)
        if (auto const length = in.i32(); length > 0) (void)in.bytes(static_cast<std::size_t>(length));
    std::vector<std::int16_t> formats;
    for (int count = in.i16(); count > 0 && in.ok(); --count) formats.push_back(in.i16());
    if (!in.ok() || !in.at_end()) return false;

    auto const refuse = [&](std::string_view code, std::string message) {
        fail({code, std::move(message), {}}, out);
        skipping_ = true;
        return true;
    };
    auto const found = statements_.find(of);
    if (found == statements_.end()) return refuse(sqlstate::unknown_statement, fmt::format("prepared statement \"{}\" does not exist", of));
    if (parameters != 0) return refuse(sqlstate::protocol_violation, "a console command takes no parameters");
    if (!name.empty() && portals_.contains(name)) return refuse(sqlstate::duplicate_portal, fmt::format("cursor \"{}\" already exists", name));
    if (portals_.size() >= most_statements && !portals_.contains(name)) return refuse(sqlstate::too_many_prepared, "too many portals in the console");
    portal made;
    made.command = found->second.command;
    auto const columns = made.command ? made.command->columns.size() : 0;
    if (formats.size() > 1 && formats.size() != columns)
        return refuse(sqlstate::protocol_violation, fmt::format("bind message has {} result formats but query has {} columns", formats.size(), columns));
    for (auto const format : formats)
        if (format != 0 && format != 1) return refuse(sqlstate::protocol_violation, fmt::format("unsupported format code: {}", format));
    for (std::size_t i = 0; i < columns && !formats.empty(); ++i) made.binary.push_back(formats[formats.size() == 1 ? 0 : i] == 1);
    portals_.insert_or_assign(name, std::move(made));
    append_message(out, '2'); // BindComplete
    return true;
}

bool console_machine::on_describe(base::byte_view body, std::string& out) {
    wire::cursor in{body};
    char const kind = in.byte();
    auto const name = std::string{in.text()};
    if (!in.ok() || !in.at_end() || (kind != 'S' && kind != 'P')) return false;
    std::optional<console_command> command;
    std::vector<bool> binary;
    auto const s = statements_.find(name);
    auto const p = portals_.find(name);
    if (kind == 'S' ? s == statements_.end() : p == portals_.end()) {
        if (kind == 'S') fail({sqlstate::unknown_statement, fmt::format("prepared statement \"{}\" does not exist", name), {}}, out);
        else fail({sqlstate::unknown_portal, fmt::format("portal \"{}\" does not exist", name), {}}, out);
        skipping_ = true;
        return true;
    }
    if (kind == 'S') {
        command = s->second.command;
        append_message(out, 't', base::byte_view{"\0\0", 2}); // ParameterDescription: none
    } else {
        command = p->second.command;
        binary = p->second.binary;
    }
    if (command && !command->columns.empty()) append_description(out, command->columns, binary);
    else append_message(out, 'n'); // NoData
    return true;
}

bool console_machine::on_close(base::byte_view body, std::string& out) {
    wire::cursor in{body};
    char const kind = in.byte();
    auto const name = std::string{in.text()};
    if (!in.ok() || !in.at_end() || (kind != 'S' && kind != 'P')) return false;
    if (kind == 'S') statements_.erase(name);
    else portals_.erase(name);
    append_message(out, '3'); // CloseComplete
    return true;
}

console_machine::step console_machine::on_execute(base::byte_view body, std::string& out) {
    wire::cursor in{body};
    auto const name = std::string{in.text()};
    auto const most = in.i32();
    if (!in.ok() || !in.at_end()) return break_off("invalid message format", out);
    auto const found = portals_.find(name);
    if (found == portals_.end()) {
        fail({sqlstate::unknown_portal, fmt::format("portal \"{}\" does not exist", name), {}}, out);
        skipping_ = true;
        return step::read;
    }
    auto& it = found->second;
    auto const most_rows = most > 0 ? static_cast<std::uint32_t>(most) : 0;
    if (!it.command) {
        append_message(out, 'I');
    } else if (it.ran && it.command->columns.empty()) { // it has an effect, which must not come twice
        fail({sqlstate::wrong_state, fmt::format("portal \"{}\" cannot be run", name), {}}, out);
        skipping_ = true;
    } else if (it.ran) {
        send_rows(it, most_rows, out);
    } else {
        wanted_ = *it.command;
        running_ = execution{false, name, most_rows};
        return step::run;
    }
    return step::read;
}

void console_machine::send_rows(portal& from, std::uint32_t most, std::string& out) {
    auto const left = from.rows.size() - from.sent;
    auto const count = most == 0 ? left : std::min<std::size_t>(most, left);
    for (std::size_t i = 0; i < count; ++i) append_row(out, from.command->columns, from.rows[from.sent + i], from.binary);
    from.sent += count;
    if (from.sent < from.rows.size()) append_message(out, 's'); // PortalSuspended
    else append_complete(out, from.command->tag);
}

} // namespace pgmend::session
