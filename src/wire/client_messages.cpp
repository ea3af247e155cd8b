#include "pgmend/wire/client_messages.hpp"

#include "pgmend/wire/cursor.hpp"

#include <algorithm>
#include "pgmend/wire/frame.hpp"

namespace pgmend::wire {
namespace {

/// Appends a frame whose length is known when this object goes.
class frame_writer {
  public:
    frame_writer(std::string& out, char type) : out_{out} {
        out_.push_back(type);
        begin_ = out_.size();
        base::append_u32(out_, 0);
    }
    ~frame_writer() { base::store_u32(out_.data() + begin_, static_cast<std::uint32_t>(out_.size() - begin_)); }
    frame_writer(frame_writer const&) = delete;
    frame_writer& operator=(frame_writer const&) = delete;

    void text(base::byte_view value) {
        out_.append(value);
        out_.push_back('\0');
    }

  private:
    std::string& out_;
    std::size_t begin_;
};

void append_named(std::string& out, char type, char kind, base::byte_view name) {
    frame_writer frame{out, type};
    out.push_back(kind);
    frame.text(name);
}

constexpr base::byte_view option_prefix = "_pq_.";

} // namespace

base::byte_view startup_packet::find(base::byte_view name) const {
    for (auto const& [key, value] : parameters)
        if (key == name) return value;
    return {};
}

startup_packet read_startup(std::uint32_t version, base::byte_view body) {
    startup_packet packet{version, {}};
    cursor in{body};
    for (;;) {
        auto const key = in.text();
        if (key.empty()) break;
        auto const value = in.text();
        packet.parameters.emplace_back(key, value);
    }
    if (!in.ok()) packet.parameters.clear();
    return packet;
}

std::string startup_message(std::uint32_t version, startup_packet const& packet) {
    std::string out;
    base::append_u32(out, 0);
    base::append_u32(out, version);
    for (auto const& [key, value] : packet.parameters) {
        if (key.starts_with(option_prefix)) continue;
        out.append(key).push_back('\0');
        out.append(value).push_back('\0');
    }
    out.push_back('\0');
    base::store_u32(out.data(), static_cast<std::uint32_t>(out.size()));
    return out;
}

std::string ssl_request() {
    std::string out;
    base::append_u32(out, 8);
    base::append_u32(out, ssl_request_code);
    return out;
}

std::string cancel_request(std::uint32_t process, base::byte_view secret) {
    std::string out;
    base::append_u32(out, static_cast<std::uint32_t>(12 + secret.size()));
    base::append_u32(out, cancel_request_code);
    base::append_u32(out, process);
    out.append(secret);
    return out;
}

void append_query(std::string& out, base::byte_view sql) {
    frame_writer frame{out, 'Q'};
    frame.text(sql);
}

void append_parse(std::string& out, base::byte_view statement, base::byte_view sql,
                  std::span<std::uint32_t const> parameter_types) {
    frame_writer frame{out, 'P'};
    frame.text(statement);
    frame.text(sql);
    base::append_u16(out, static_cast<std::uint16_t>(parameter_types.size()));
    for (auto const type : parameter_types) base::append_u32(out, type);
}

void append_bind(std::string& out, base::byte_view portal, base::byte_view statement,
                 std::span<base::byte_view const> parameters) {
    frame_writer frame{out, 'B'};
    frame.text(portal);
    frame.text(statement);
    base::append_u16(out, 0);
    base::append_u16(out, static_cast<std::uint16_t>(parameters.size()));
    for (auto const& parameter : parameters) {
        base::append_u32(out, static_cast<std::uint32_t>(parameter.size()));
        out.append(parameter);
    }
    base::append_u16(out, 0);
}

void append_describe_statement(std::string& out, base::byte_view statement) { append_named(out, 'D', 'S', statement); }

void append_describe_portal(std::string& out, base::byte_view portal) { append_named(out, 'D', 'P', portal); }

void append_execute(std::string& out, base::byte_view portal) {
    frame_writer frame{out, 'E'};
    frame.text(portal);
    base::append_u32(out, 0);
}

void append_close_statement(std::string& out, base::byte_view statement) { append_named(out, 'C', 'S', statement); }
void append_close_portal(std::string& out, base::byte_view portal) { append_named(out, 'C', 'P', portal); }

void append_sync(std::string& out) { frame_writer frame{out, 'S'}; }

std::optional<std::string> bind_with(base::byte_view body, std::span<other_value const> others) {
    auto const view = read_bind(body);
    if (!view) return std::nullopt;
    std::string out{body.substr(0, view->portal.size() + view->statement.size() + 2 + 2 + 2 * view->formats.size() + 2)};
    auto other = others.begin();
    for (std::uint32_t number = 1; number <= view->values.size(); ++number) {
        while (other != others.end() && other->parameter < number) ++other;
        bool const here = other != others.end() && other->parameter == number;
        auto const value = here ? other->is : view->values[number - 1];
        base::append_u32(out, value ? static_cast<std::uint32_t>(value->size()) : 0xffffffffU);
        if (value) out.append(*value);
    }
    return out.append(view->results);
}

bool bind_view::binary() const {
    return std::any_of(formats.begin(), formats.end(), [](auto it) { return it != 0; });
}

bool bind_view::is_binary(std::size_t parameter) const {
    if (formats.size() == 1) return formats.front() != 0;
    return parameter < formats.size() && formats[parameter] != 0;
}

std::optional<bind_view> read_bind(base::byte_view body) {
    cursor in{body};
    bind_view view;
    view.portal = in.text();
    view.statement = in.text();
    auto const parameters = in.rest();
    view.formats.resize(static_cast<std::uint16_t>(in.i16()));
    for (auto& it : view.formats) it = in.i16();
    std::size_t const count = static_cast<std::uint16_t>(in.i16());
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
        auto const length = in.i32();
        if (length < 0) view.values.emplace_back();
        else view.values.emplace_back(in.bytes(static_cast<std::size_t>(length)));
    }
    if (!in.ok()) return std::nullopt;
    view.parameters = parameters.substr(0, parameters.size() - in.rest().size());
    view.results = in.rest();
    return view;
}

std::optional<parse_view> read_parse(base::byte_view body) {
    cursor in{body};
    parse_view view;
    view.statement = in.text();
    view.sql = in.text();
    std::size_t const count = static_cast<std::uint16_t>(in.i16()); // up to 65535, as PostgreSQL reads it
    if (!in.ok() || in.rest().size() != count * 4) return std::nullopt;
    view.parameter_types.reserve(count);
    for (std::size_t i = 0; i < count; ++i) view.parameter_types.push_back(in.u32());
    return view;
}

} // namespace pgmend::wire
