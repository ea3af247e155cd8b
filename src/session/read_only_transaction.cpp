#include "pgmend/session/read_only_transaction.hpp"

#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"
#include "session/statement_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::session {
namespace {

using kind = sql::statement_kind;

/// A replica's own: no session at the primary would wait for them.
sql::name_set const& locks() {
    static sql::name_set const names{{"pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared"}};
    return names;
}

/// What a replica refuses although a read-only transaction may call it, or answers of itself.
sql::name_set const& names_of_primary() {
    static sql::name_set const names{{"txid_current", "pg_current_xact_id", "pg_notify", "pg_export_snapshot", "pg_is_in_recovery", "pg_current_wal_lsn", "pg_current_wal_insert_lsn",
                                      "pg_current_wal_flush_lsn", "pg_last_wal_replay_lsn", "pg_last_wal_receive_lsn", "pg_switch_wal", "pg_create_restore_point", "pg_logical_emit_message",
                                      "currval", "lastval", "transaction_isolation", "transaction_read_only", "transaction_deferrable"}};
    return names;
}

constexpr std::string_view of_locks = "an advisory lock, which would be the replica's own";
constexpr std::string_view of_function_call = "a function call by message";
constexpr std::string_view of_unnamed = "a statement without a name that was prepared before the transaction began";
constexpr std::string_view of_savepoint = "a setting of the session in a transaction that was rolled back in part";

/// Modes of a transaction from the word `i` on.
struct modes {
    bool understood{false};
    bool read_only{false};
    bool read_write{false};
    bool isolation{false};
};

modes modes_from(statement_words const& words, std::size_t i) {
    modes out;
    while (i < words.tokens.size()) {
        bool const separator = words.text[words.tokens[i].begin] == ',' || words.text[words.tokens[i].begin] == ';';
        if (separator) ++i;
        else if (words.is(i, "isolation", "level") && (words.is(i + 2, "read", "committed") || words.is(i + 2, "repeatable", "read"))) {
            out.isolation = true;
            i += 4;
        } else if (words.is(i, "read", "only")) {
            out.read_only = true;
            out.read_write = false;
            i += 2;
        } else if (words.is(i, "read", "write")) {
            out.read_write = true;
            i += 2;
        } else if (words.is(i, "not", "deferrable")) {
            i += 2;
        } else {
            return out;
        }
    }
    out.understood = true;
    return out;
}

void weigh(replica_verdict& all, at_replica what, std::string_view why = {}) {
    if (what > all.what) {
        all.what = what;
        all.why = why;
    }
}

void weigh_statement(sql::statement_facts const& facts, std::string_view sql, bool last, replica_verdict& out) {
    auto const text = sql.substr(facts.text.begin, facts.text.end - facts.text.begin);
    switch (facts.kind) {
    case kind::lock:
    case kind::listen_notify:
    case kind::prepare_transaction:
    case kind::finish_prepared:
    case kind::vacuum_like:
    case kind::discard:
    case kind::begin:
    case kind::prepare:
    case kind::execute: return weigh(out, at_replica::refused);
    case kind::commit:
    case kind::rollback:
        if (!last) weigh(out, at_replica::refused); // what comes behind it belongs to the primary
        return;
    case kind::rollback_to: out.rolls_back = true; return;
    case kind::set:
    case kind::reset: out.sets = true; return;
    case kind::set_transaction: {
        statement_words const words{text};
        if (words.is(1, "constraints")) return;
        if (words.is(1, "session")) {
            out.sets = true;
            return;
        }
        auto const wanted = modes_from(words, 2);
        if (!wanted.understood || wanted.read_write) weigh(out, at_replica::refused);
        return;
    }
    default: return;
    }
}

/// Of a Parse: its statement's name and text.
struct parsed {
    base::byte_view name;
    base::byte_view sql;
    bool ok{false};
};

parsed read(base::byte_view body) {
    wire::cursor in{body};
    parsed out;
    out.name = in.text();
    out.sql = in.text();
    out.ok = in.ok();
    return out;
}

base::byte_view text_of_prepared(session_memory const& memory, base::byte_view name) {
    auto const& all = memory.prepared();
    auto const found = all.find(std::string_view{name});
    return found == all.end() ? base::byte_view{} : read(base::byte_view{found->second}.substr(wire::header_bytes)).sql;
}

bool begins_like_it(base::byte_view sql) {
    std::size_t i = 0;
    while (i < sql.size() && (sql[i] == ' ' || sql[i] == '\n' || sql[i] == '\t' || sql[i] == '\r')) ++i;
    if (sql.size() < i + 5) return false;
    auto const is = [&](std::size_t at, char c) { return (sql[at] | 0x20) == c; };
    return (is(i, 'b') && is(i + 1, 'e')) || (is(i, 's') && is(i + 1, 't'));
}

bool by_default(session_memory const& memory) {
    auto const& all = memory.parameters();
    return std::any_of(all.begin(), all.end(), [](auto const& it) { return it.name == "default_transaction_read_only" && it.now == "on"; });
}

/// The statement that a text of this request begins with; `rest`: whether it goes on.
std::string_view first_statement(std::string_view sql, bool& rest) {
    auto const facts = sql::classify(sql);
    if (!facts.complete || facts.depends_on_backslashes || facts.kind() != kind::begin) return {};
    rest = facts.several();
    auto const& it = facts.statements.front().text;
    return sql.substr(it.begin, it.end - it.begin);
}

} // namespace

bool begins_read_only(std::string_view statement, bool by_default) {
    statement_words const words{statement};
    std::size_t i = 1;
    if (words.is(0, "start", "transaction")) i = 2;
    else if (!words.is(0, "begin")) return false;
    else if (words.is(1, "work") || words.is(1, "transaction")) i = 2;
    auto const wanted = modes_from(words, i);
    return wanted.understood && !wanted.read_write && (wanted.read_only || by_default);
}

bool may_begin_read_only(base::byte_view from_client, session_memory const& memory) {
    if (from_client.size() <= wire::header_bytes) return false;
    wire::cursor in{from_client.substr(wire::header_bytes)};
    switch (from_client.front()) {
    case 'Q': return begins_like_it(in.rest());
    case 'P': (void)in.text(); return begins_like_it(in.rest());
    case 'B': {
        if (memory.prepared().empty()) return false;
        (void)in.text();
        auto const name = in.text();
        return in.ok() && !name.empty() && begins_like_it(text_of_prepared(memory, name));
    }
    default: return false;
    }
}

replica_verdict text_at_replica(std::string_view sql) {
    replica_verdict out;
    auto const effects = effects_of(sql);
    if (!effects.lost.empty()) weigh(out, at_replica::never, effects.lost);
    if (sql::mentions(sql, locks())) weigh(out, at_replica::never, of_locks);
    if (sql::mentions(sql, names_of_primary())) weigh(out, at_replica::refused);
    if (sql::plain_statement(sql) != kind::empty) return out;
    auto const facts = sql::classify(sql);
    for (std::size_t i = 0; i < facts.statements.size(); ++i) weigh_statement(facts.statements[i], sql, i + 1 == facts.statements.size(), out);
    return out;
}

replica_verdict request_at_replica(base::byte_view messages, session_memory const& memory, bool& unnamed) {
    replica_verdict out;
    std::size_t behind = 0;
    bool sets = memory.sets();
    bool rolls_back = memory.rolled_back();
    auto const note = [&](replica_verdict const& it) {
        if (it.what > out.what) {
            out.what = it.what;
            out.why = it.why;
            out.behind = behind;
        }
        sets = sets || it.sets;
        rolls_back = rolls_back || it.rolls_back;
        if ((it.sets || it.rolls_back) && sets && rolls_back && out.what != at_replica::never) {
            out.what = at_replica::never;
            out.why = of_savepoint;
            out.behind = behind;
        }
        out.sets = out.sets || it.sets;
        out.rolls_back = out.rolls_back || it.rolls_back;
    };
    for (; messages.size() >= wire::header_bytes; ++behind) {
        auto const header = wire::read_header(messages);
        if (!header.length_is_valid()) break;
        auto const size = std::min<std::size_t>(header.total_bytes(), messages.size());
        auto const body = messages.substr(wire::header_bytes, size - wire::header_bytes);
        messages.remove_prefix(size);
        wire::cursor in{body};
        switch (header.type) {
        case 'Q':
            note(text_at_replica(in.text()));
            unnamed = false;
            break;
        case 'P': {
            auto const it = read(body);
            note(text_at_replica(it.sql));
            if (it.name.empty()) unnamed = true;
            break;
        }
        case 'B':
        case 'D': {
            bool const of_portal = header.type == 'D' && in.byte() != 'S';
            if (of_portal) break;
            if (header.type == 'B') (void)in.text();
            auto const name = in.text();
            if (!name.empty() && header.type == 'B') note(text_at_replica(text_of_prepared(memory, name)));
            if (name.empty() && !unnamed) note({at_replica::never, of_unnamed, 0, false, false});
            break;
        }
        case 'F': note({at_replica::never, of_function_call, 0, false, false}); break;
        default: break;
        }
    }
    return out;
}

request_extent extent_of_request(base::byte_view from_client) {
    request_extent out;
    while (from_client.size() >= out.bytes + wire::header_bytes) {
        auto const header = wire::read_header(from_client.substr(out.bytes));
        if (!wire::is_client_type(header.type) || !header.length_is_valid()) { // the server ends such a session
            out.bytes = from_client.size();
            return out;
        }
        if (from_client.size() - out.bytes < header.total_bytes()) return out;
        out.bytes += header.total_bytes();
        if (header.type == 'Q' || header.type == 'S' || header.type == 'F') {
            out.whole = true;
            return out;
        }
    }
    return out;
}

std::optional<departure> departure_of(base::byte_view from_client, session_memory const& memory) {
    if (!may_begin_read_only(from_client, memory)) return std::nullopt;
    auto const extent = extent_of_request(from_client);
    if (!extent.whole) return std::nullopt;
    auto const request = from_client.substr(0, extent.bytes);
    bool const read_only = by_default(memory);
    auto const first = wire::read_header(request);
    auto const body = wire::body_of(request, first);
    departure out;
    out.bytes = extent.bytes;
    bool goes_on = false;
    auto rest = request.substr(first.total_bytes());
    switch (first.type) {
    case 'Q': {
        wire::cursor in{body};
        auto const sql = in.text();
        auto const begin = first_statement(sql, goes_on);
        if (!in.ok() || begin.empty() || !begins_read_only(begin, read_only)) return std::nullopt;
        if (goes_on) {
            auto const behind = static_cast<std::size_t>(begin.data() - sql.data()) + begin.size();
            auto const semicolon = sql.find(';', behind);
            if (semicolon == base::byte_view::npos || text_at_replica(sql.substr(semicolon + 1)).what != at_replica::same) return std::nullopt;
        } else {
            out.begin = begin;
        }
        return out;
    }
    case 'P':
    case 'B': {
        wire::cursor in{body};
        (void)in.text();
        auto const sql = first.type == 'P' ? in.text() : text_of_prepared(memory, in.text());
        auto const begin = first_statement(sql, goes_on);
        if (!in.ok() || goes_on || begin.empty() || !begins_read_only(begin, read_only)) return std::nullopt;
        out.begin = begin;
        break;
    }
    default: return std::nullopt;
    }
    // Bind, Describe and Execute of that, and whatever else comes ahead of the Sync.
    bool executed = false;
    for (auto left = rest; !left.empty();) {
        auto const header = wire::read_header(left);
        if (header.type == 'E' && std::exchange(executed, true)) out.begin.clear();
        if (header.type == 'P' || (header.type == 'B' && first.type == 'B')) out.begin.clear();
        left.remove_prefix(header.total_bytes());
    }
    if (!executed) return std::nullopt;
    bool unnamed = first.type == 'P' && body.front() == '\0';
    if (request_at_replica(rest, memory, unnamed).what != at_replica::same) return std::nullopt;
    return out;
}

unnamed_use unnamed_use_of(base::byte_view messages) {
    unnamed_use out;
    while (messages.size() >= wire::header_bytes) {
        auto const header = wire::read_header(messages);
        if (!header.length_is_valid() || messages.size() < header.total_bytes()) break;
        auto const frame = messages.substr(0, header.total_bytes());
        messages.remove_prefix(frame.size());
        wire::cursor in{frame.substr(wire::header_bytes)};
        bool const describes = header.type == 'D' && in.byte() == 'S';
        if (header.type == 'B') (void)in.text();
        if (header.type == 'Q') {
            out.replaced = true;
            out.left = {};
        } else if (header.type == 'P' && in.text().empty()) {
            out.replaced = true;
            out.left = frame;
        } else if ((header.type == 'B' || describes) && in.text().empty() && !out.replaced) {
            out.used = true;
        }
    }
    return out;
}

bool own_answer::add(base::byte_view frame) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    switch (header.type) {
    case 'D': {
        auto const row = wire::read_data_row(body);
        if (!row) return false;
        for (auto const& column : *row) columns.emplace_back(column ? *column : base::byte_view{});
        return false;
    }
    case 'E': {
        auto const fields = wire::read_error(body);
        sqlstate = fields ? fields->code : base::byte_view{"?"};
        return false;
    }
    case 'Z':
        if (!body.empty()) status = body.front();
        return true;
    default: return false;
    }
}

std::string position_question() {
    std::string out;
    append_statement(out, "SELECT at, pg_catalog.current_setting('default_transaction_isolation'), pg_catalog.pg_current_wal_flush_lsn() OPERATOR(pg_catalog.>=) at"
                                " FROM (SELECT pg_catalog.pg_current_wal_insert_lsn() AS at OFFSET 0) AS x");
    wire::append_sync(out);
    return out;
}

std::string replay_question(std::string_view position) {
    std::string out;
    wire::append_query(out, fmt::format("SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_wal_replay_lsn() OPERATOR(pg_catalog.>=) '{}'::pg_catalog.pg_lsn, "
                                        "pg_catalog.current_setting('default_transaction_isolation')", position));
    return out;
}

} // namespace pgmend::session
