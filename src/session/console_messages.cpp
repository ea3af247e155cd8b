#include "session/console_messages.hpp"

#include "pgmend/wire/frame.hpp"

#include <bit>
#include <charconv>

namespace pgmend::session {
namespace {

void append_u16(std::string& out, std::uint16_t value) {
    out.push_back(static_cast<char>(value >> 8));
    out.push_back(static_cast<char>(value & 0xff));
}

struct type_facts {
    std::uint32_t oid; // pg_type.dat
    std::uint16_t bytes;
};

type_facts facts_of(console_type type) {
    switch (type) {
    case console_type::integer: return {20, 8};
    case console_type::real: return {701, 8};
    case console_type::text: break;
    }
    return {25, 0xffff};
}

bool is_binary(std::vector<bool> const& binary, std::size_t column) { return column < binary.size() && binary[column]; }

void append_value(std::string& out, console_type type, std::string const& text, bool binary) {
    if (!binary || type == console_type::text) {
        base::append_u32(out, static_cast<std::uint32_t>(text.size()));
        out.append(text);
        return;
    }
    std::uint64_t bits = 0;
    if (type == console_type::integer) {
        std::int64_t value = 0;
        (void)std::from_chars(text.data(), text.data() + text.size(), value);
        bits = std::bit_cast<std::uint64_t>(value);
    } else {
        double value = 0;
        (void)std::from_chars(text.data(), text.data() + text.size(), value);
        bits = std::bit_cast<std::uint64_t>(value);
    }
    base::append_u32(out, 8);
    base::append_u32(out, static_cast<std::uint32_t>(bits >> 32));
    base::append_u32(out, static_cast<std::uint32_t>(bits));
}

} // namespace

void append_message(std::string& out, char type, base::byte_view body) {
    wire::append_frame(out, type, body);
}

void append_complete(std::string& out, base::byte_view tag) {
    std::string body{tag};
    body.push_back('\0');
    append_message(out, 'C', body);
}

void append_idle(std::string& out) { append_message(out, 'Z', "I"); }

void append_description(std::string& out, std::span<console_column const> columns, std::vector<bool> const& binary) {
    std::string body;
    append_u16(body, static_cast<std::uint16_t>(columns.size()));
    for (std::size_t i = 0; i < columns.size(); ++i) {
        auto const facts = facts_of(columns[i].type);
        body.append(columns[i].name).push_back('\0');
        base::append_u32(body, 0); // of no table
        append_u16(body, 0);
        base::append_u32(body, facts.oid);
        append_u16(body, facts.bytes);
        base::append_u32(body, 0xffffffff);
        append_u16(body, is_binary(binary, i) ? 1 : 0);
    }
    append_message(out, 'T', body);
}

void append_row(std::string& out, std::span<console_column const> columns, console_row const& row, std::vector<bool> const& binary) {
    std::string body;
    append_u16(body, static_cast<std::uint16_t>(columns.size()));
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i < row.size() && row[i]) append_value(body, columns[i].type, *row[i], is_binary(binary, i));
        else base::append_u32(body, 0xffffffff);
    }
    append_message(out, 'D', body);
}

} // namespace pgmend::session
