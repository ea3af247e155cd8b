#include "pgmend/wire/server_messages.hpp"

#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <fmt/format.h>

namespace pgmend::wire {
namespace {

std::string frame(char type, base::byte_view body) {
    std::string out;
    out.reserve(body.size() + header_bytes);
    append_frame(out, type, body);
    return out;
}

void append_field(std::string& body, char code, base::byte_view text) {
    if (text.empty()) return;
    body.push_back(code);
    for (char const c : text) body.push_back(c == '\0' ? ' ' : c);
    body.push_back('\0');
}

} // namespace

std::optional<error_view> read_error(base::byte_view body) {
    cursor in{body};
    error_view view;
    base::byte_view localized_severity;
    for (;;) {
        char const code = in.byte();
        if (!in.ok()) return std::nullopt;
        if (code == 0) break;
        auto const text = in.text();
        switch (code) {
        case 'S': localized_severity = text; break;
        case 'V': view.severity = text; break;
        case 'C': view.code = text; break;
        case 'M': view.message = text; break;
        case 'P': view.position = text; break;
        case 'p': view.internal_position = text; break;
        case 'q': view.internal_query = text; break;
        case 'W': view.where = text; break;
        case 'R': view.routine = text; break;
        case 'H': view.hint = text; break;
        case 's': view.schema = text; break;
        case 't': view.table = text; break;
        case 'c': view.column = text; break;
        default: break;
        }
    }
    if (!in.ok()) return std::nullopt;
    if (view.severity.empty()) view.severity = localized_severity;
    return view;
}

std::string error_with_position(base::byte_view body, std::uint32_t position) {
    std::string out;
    cursor in{body};
    for (;;) {
        char const code = in.byte();
        if (code == 0 || !in.ok()) break;
        auto const text = in.text();
        append_field(out, code, code == 'P' ? base::byte_view{fmt::format("{}", position)} : text);
    }
    out.push_back('\0');
    return frame('E', out);
}

std::string error_response(severity how, base::byte_view code, base::byte_view message, base::byte_view detail,
                           base::byte_view hint) {
    auto const name = how == severity::fatal ? base::byte_view{"FATAL"} : base::byte_view{"ERROR"};
    std::string body;
    append_field(body, 'S', name);
    append_field(body, 'V', name);
    append_field(body, 'C', code);
    append_field(body, 'M', message);
    append_field(body, 'D', detail);
    append_field(body, 'H', hint);
    body.push_back('\0');
    return frame('E', body);
}

std::string notice_response(base::byte_view message, base::byte_view detail) {
    std::string body;
    append_field(body, 'S', "NOTICE");
    append_field(body, 'V', "NOTICE");
    append_field(body, 'C', "00000");
    append_field(body, 'M', message);
    append_field(body, 'D', detail);
    body.push_back('\0');
    return frame('N', body);
}

std::string warning_response(base::byte_view message, base::byte_view detail) {
    std::string body;
    append_field(body, 'S', "WARNING");
    append_field(body, 'V', "WARNING");
    append_field(body, 'C', "01000");
    append_field(body, 'M', message);
    append_field(body, 'D', detail);
    body.push_back('\0');
    return frame('N', body);
}

std::string negotiate_protocol_version(std::uint32_t newest_version, std::span<std::string const> unknown_options) {
    std::string body;
    base::append_u32(body, newest_version);
    base::append_u32(body, static_cast<std::uint32_t>(unknown_options.size()));
    for (auto const& option : unknown_options) body.append(option).push_back('\0');
    return frame('v', body);
}

std::optional<negotiation_view> read_negotiation(base::byte_view body) {
    cursor in{body};
    negotiation_view view;
    view.newest_version = in.u32();
    auto const count = in.u32();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) view.unknown_options.push_back(in.text());
    if (!in.ok()) return std::nullopt;
    return view;
}

std::string backend_key_data(std::uint32_t process, base::byte_view secret) {
    std::string body;
    base::append_u32(body, process);
    body.append(secret);
    return frame('K', body);
}

std::string authentication_sasl(std::span<base::byte_view const> mechanisms) {
    std::string body;
    base::append_u32(body, 10);
    for (auto const& mechanism : mechanisms) body.append(mechanism).push_back('\0');
    body.push_back('\0');
    return frame('R', body);
}

std::optional<std::vector<row_field>> read_row_description(base::byte_view body) {
    cursor in{body};
    auto const count = in.i16();
    if (count < 0) return std::nullopt;
    std::vector<row_field> fields;
    for (int i = 0; i < count && in.ok(); ++i) {
        row_field field;
        field.label = in.text();
        field.table = in.u32();
        field.number = in.i16();
        field.type = in.u32();
        (void)in.i16(); // typlen
        field.type_modifier = in.i32();
        (void)in.i16(); // format
        fields.push_back(field);
    }
    if (!in.ok()) return std::nullopt;
    return fields;
}

std::optional<std::vector<std::optional<base::byte_view>>> read_data_row(base::byte_view body) {
    cursor in{body};
    auto const count = in.i16();
    if (count < 0) return std::nullopt;
    std::vector<std::optional<base::byte_view>> columns;
    for (int i = 0; i < count && in.ok(); ++i) {
        auto const length = in.i32();
        if (length < 0)
            columns.emplace_back();
        else
            columns.emplace_back(in.bytes(static_cast<std::size_t>(length)));
    }
    if (!in.ok()) return std::nullopt;
    return columns;
}

std::optional<parameter_view> read_parameter_status(base::byte_view body) {
    cursor in{body};
    auto const name = in.text();
    auto const value = in.text();
    return in.ok() ? std::optional{parameter_view{name, value}} : std::nullopt;
}

std::vector<parameter_view> read_parameter_frames(base::byte_view frames) {
    std::vector<parameter_view> out;
    while (frames.size() >= header_bytes) {
        auto const header = read_header(frames);
        if (!header.length_is_valid() || header.total_bytes() > frames.size()) break;
        if (auto const it = read_parameter_status(body_of(frames, header))) out.push_back(*it);
        frames.remove_prefix(header.total_bytes());
    }
    return out;
}

} // namespace pgmend::wire
