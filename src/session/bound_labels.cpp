#include "pgmend/session/bound_labels.hpp"

#include "pgmend/base/bytes.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"

#include <algorithm>

namespace pgmend::session {
namespace {

using renamed = std::function<std::optional<std::string>(base::byte_view)>;

/// {a,"b"} of one dimension, without spaces around its elements.
std::optional<std::string> text_array(base::byte_view value, renamed const& now) {
    std::string out{"{"};
    bool changed = false;
    std::size_t at = 1;
    for (bool more = value.size() > 2; more;) {
        auto const begin = at;
        bool const quoted = value[at] == '"';
        if (quoted) ++at;
        std::string label;
        for (; at < value.size() && (quoted ? value[at] != '"' : value[at] != ',' && value[at] != '}'); ++at) {
            if (quoted && value[at] == '\\' && ++at == value.size()) return std::nullopt;
            if (!quoted && base::byte_view{"\"\\{ \t\r\n\v\f"}.find(value[at]) != base::byte_view::npos) return std::nullopt;
            label += value[at];
        }
        if (quoted) ++at;
        if (at >= value.size() || (value[at] != ',' && value[at] != '}')) return std::nullopt;
        bool const null = !quoted && label.size() == 4 && (label[0] | 0x20) == 'n' && (label[1] | 0x20) == 'u' && (label[2] | 0x20) == 'l' && (label[3] | 0x20) == 'l';
        if (auto const is = null ? std::nullopt : now(label)) {
            changed = true;
            out += '"';
            for (char const c : *is) {
                if (c == '"' || c == '\\') out += '\\';
                out += c;
            }
            out += '"';
        } else {
            out.append(value.substr(begin, at - begin));
        }
        more = value[at] == ',';
        out += value[at++];
        if (more && at >= value.size()) return std::nullopt;
    }
    if (!changed || at != value.size()) return std::nullopt;
    return out;
}

/// array_send: dimensions, whether there are NULLs, the elements' type; of each dimension its length and lower bound; the elements.
std::optional<std::string> binary_array(base::byte_view value, renamed const& now) {
    wire::cursor in{value};
    auto const dimensions = in.i32();
    (void)in.i32();
    (void)in.i32();
    if (!in.ok() || dimensions < 1 || dimensions > 6) return std::nullopt;
    for (std::int32_t i = 0; i < 2 * dimensions; ++i) (void)in.i32();
    if (!in.ok()) return std::nullopt;
    std::string out{value.substr(0, value.size() - in.rest().size())};
    bool changed = false;
    while (in.ok() && !in.rest().empty()) {
        auto const length = in.i32();
        auto const label = length < 0 ? base::byte_view{} : in.bytes(static_cast<std::size_t>(length));
        if (!in.ok()) return std::nullopt;
        auto const is = length < 0 ? std::nullopt : now(label);
        changed = changed || is;
        base::append_u32(out, is ? static_cast<std::uint32_t>(is->size()) : static_cast<std::uint32_t>(length));
        out.append(is ? base::byte_view{*is} : label);
    }
    if (!changed) return std::nullopt;
    return out;
}

} // namespace

std::optional<std::string> with_labels(base::byte_view value, bool array, renamed const& now) {
    if (!array) return now(value);
    return value.starts_with('{') ? text_array(value, now) : binary_array(value, now);
}

std::optional<std::string> bind_with_values(base::byte_view body, std::span<std::uint32_t const> types, std::span<bound_value const> values) {
    auto const view = wire::read_bind(body);
    if (!view) return std::nullopt;
    std::string out{view->portal};
    out.append(1, '\0').append(view->statement).append(1, '\0');
    base::append_u16(out, static_cast<std::uint16_t>(view->formats.size()));
    for (auto const format : view->formats) base::append_u16(out, static_cast<std::uint16_t>(format));
    base::append_u16(out, static_cast<std::uint16_t>(view->values.size()));
    for (std::size_t i = 0; i < view->values.size(); ++i) {
        auto const& value = view->values[i];
        if (!value) {
            base::append_u32(out, 0xffffffffU);
            continue;
        }
        auto const type = i < types.size() ? types[i] : 0;
        auto const found = std::find_if(values.begin(), values.end(), [&](bound_value const& it) { return it.type == type && it.was == *value; });
        auto const now = found != values.end() ? base::byte_view{found->is} : *value;
        base::append_u32(out, static_cast<std::uint32_t>(now.size()));
        out.append(now);
    }
    return out.append(view->results);
}

} // namespace pgmend::session
