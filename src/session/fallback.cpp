#include "pgmend/session/fallback.hpp"

#include "pgmend/base/text.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgmend::session {
namespace {

/// Calls `f(type, body)` for each frame; false: the bytes do not end with one, or f said so.
template <class F>
bool for_each_frame(base::byte_view bytes, F f) {
    while (!bytes.empty()) {
        if (bytes.size() < wire::header_bytes) return false;
        auto const header = wire::read_header(bytes);
        if (!header.length_is_valid() || bytes.size() < header.total_bytes()) return false;
        if (!f(header.type, wire::body_of(bytes.substr(0, header.total_bytes()), header))) return false;
        bytes.remove_prefix(header.total_bytes());
    }
    return true;
}

bool is_word_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0; }

/// Anywhere, also in literals and comments: one too many does no harm.
bool has_word(std::string_view text, std::string_view word) {
    for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
        bool const begins = at == 0 || !is_word_char(text[at - 1]);
        auto const end = at + word.size();
        if (begins && (end == text.size() || !is_word_char(text[end]))) return true;
    }
    return false;
}

/// No name means something else after it, but the same statement may get another answer, or somebody waits for more than answers.
bool leaves_traces(sql::statement_kind kind, std::string_view sql) {
    using enum sql::statement_kind;
    if (kind != set && kind != reset && kind != listen_notify) return false;
    auto const text = base::in_small_letters(sql);
    constexpr std::array words{"listen", "bytea_output", "datestyle", "extra_float_digits", "intervalstyle", "lc_monetary", "lc_numeric", "lc_time", "row_security",
                               "time", "timezone", "xml"};
    return std::ranges::any_of(words, [&](auto const* word) { return has_word(text, word); });
}

} // namespace

std::optional<base::byte_view> text_of_whole_request(base::byte_view bytes) {
    std::string types;
    base::byte_view sql;
    auto const look = [&](char type, base::byte_view body) {
        types.push_back(type);
        wire::cursor in{body};
        switch (type) {
        case 'Q':
            sql = in.text();
            return in.ok();
        case 'P': {
            auto const name = in.text();
            sql = in.text();
            return in.ok() && name.empty();
        }
        case 'B': {
            auto const portal = in.text();
            auto const statement = in.text();
            return in.ok() && portal.empty() && statement.empty();
        }
        case 'D': return body.size() == 2 && body[1] == '\0'; // of the unnamed statement or portal
        case 'E': return body.size() == 5 && body == base::byte_view{"\0\0\0\0\0", 5}; // all rows
        case 'S': return body.empty();
        default: return false;
        }
    };
    if (!for_each_frame(bytes, look)) return std::nullopt;
    static constexpr std::array shapes{"Q", "PBES", "PBDES", "PDBES"};
    if (std::ranges::find(shapes, types) == shapes.end()) return std::nullopt;
    return sql;
}

bool leaves_session_alone(base::byte_view bytes) {
    return for_each_frame(bytes, [](char type, base::byte_view body) {
        if (type == 'F') return false;
        if (type != 'Q' && type != 'P') return true;
        wire::cursor in{body};
        if (type == 'P') (void)in.text();
        auto const sql = in.text();
        if (!in.ok()) return false;
        auto const facts = sql::classify(sql);
        return facts.complete && !facts.changes_session_meaning() && std::ranges::none_of(facts.statements, [&](auto const& it) { return leaves_traces(it.kind, sql); });
    });
}

bool only_reads(std::string_view sql) {
    using kind = sql::statement_kind;
    auto const facts = sql::classify(sql);
    if (!facts.complete || facts.statements.size() != 1) return false;
    auto const& it = facts.statements.front();
    if (it.kind != kind::select && it.kind != kind::values && it.kind != kind::table && it.kind != kind::with) return false;
    if (it.changes_session_meaning || it.controls_transaction) return false;
    auto const text = base::in_small_letters(sql);
    for (auto const* word : {"insert", "update", "delete", "merge", "into", "nextval", "setval", "set_config", "pg_notify", "pg_logical_emit_message"})
        if (has_word(text, word)) return false;
    for (auto const* part : {"pg_advisory", "pg_try_advisory", "dblink", "lo_", "pg_terminate", "pg_cancel"})
        if (text.find(part) != std::string::npos) return false;
    return true;
}

answer_recorder::state answer_recorder::look_at(char type, base::byte_view body) {
    switch (type) {
    case '1':
    case '2':
    case 'T':
    case 't':
    case 'D':
    case 'C': return state::open;
    case 'Z': return body == "I" ? state::complete : state::spoiled;
    default: return state::spoiled;
    }
}

answer_recorder::state answer_recorder::add(base::byte_view to_client) {
    if (state_ != state::open) return state_ = to_client.empty() ? state_ : state::spoiled; // nothing may come behind the end
    inbox_.append(to_client);
    if (answer_.size() + inbox_.size() > most_bytes_) return state_ = state::spoiled;
    std::size_t at = 0;
    while (state_ == state::open && inbox_.size() - at >= wire::header_bytes) {
        auto const rest = base::byte_view{inbox_}.substr(at);
        auto const header = wire::read_header(rest);
        if (!header.length_is_valid()) return state_ = state::spoiled;
        if (rest.size() < header.total_bytes()) break;
        auto const frame = rest.substr(0, header.total_bytes());
        at += frame.size();
        if (header.type == 'N' || header.type == 'A') continue;
        state_ = look_at(header.type, wire::body_of(frame, header));
        answer_.append(frame);
    }
    inbox_.erase(0, at);
    if (state_ == state::complete && !inbox_.empty()) state_ = state::spoiled;
    return state_;
}

std::optional<std::size_t> answer_end::add(base::byte_view from_server) {
    std::size_t at = 0;
    while (!broken_) {
        auto const part = std::min<std::uint64_t>(remaining_, from_server.size() - at);
        remaining_ -= part;
        at += part;
        if (last_ && remaining_ == 0) return at;
        if (at == from_server.size()) break;
        auto const missing = std::min(wire::header_bytes - header_.size(), from_server.size() - at);
        header_.append(from_server.substr(at, missing));
        at += missing;
        if (header_.size() < wire::header_bytes) break;
        auto const header = wire::read_header(header_);
        header_.clear();
        if (!header.length_is_valid()) broken_ = true;
        else remaining_ = header.total_bytes() - wire::header_bytes;
        last_ = header.type == 'Z';
    }
    return std::nullopt;
}

} // namespace pgmend::session
