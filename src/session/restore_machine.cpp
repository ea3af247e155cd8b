#include "pgmend/session/restore_machine.hpp"

#include "pgmend/sql/names.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace pgmend::session {
namespace {

/// Functions of users that may leave something behind in a session: in a language that hides what they do, or by what their bodies say.
/// Of extensions only those that are known are trusted, and the event trigger of `pgmend install`. `used`: something other than a client's text may have called it: a trigger, a view, a
/// default, a policy, an operator, another function.
/// In a body of the standard's form (PostgreSQL 14) functions are numbers: set_config, setseed, pg_advisory_lock and the like. What it is compared with is in
/// dollar quotes, for which a role's standard_conforming_strings does not matter.
constexpr std::string_view functions_sql =
    "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; "
    "WITH telling AS (SELECT p.oid, n.nspname, p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang"
    " WHERE p.oid >= 16384 AND NOT (n.nspname = 'pgmend' AND p.proname = 'notify_of_change') AND (l.lanname NOT IN ('sql', 'plpgsql') OR p.prosrc ~*"
    " $r$(^|;|>|\\*/|--[^\\n]*\\n|\\mbegin\\M|\\mthen\\M|\\melse\\M|\\mloop\\M)\\s*(set|reset|listen|load|discard|prepare)\\M|\\mexecute\\M|\\m(temp|temporary)\\M|pg_temp|with\\s+hold|"
    "set_config|setseed|advisory_lock|dblink|replication_origin|replication_slot|start_backup|backup_start$r${})"
    " AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid"
    " AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND (e.extname LIKE 'postgis%' OR e.extname IN ('address_standardizer', 'amcheck', 'bloom',"
    " 'btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'dict_xsyn', 'earthdistance', 'file_fdw', 'fuzzystrmatch', 'hstore', 'intarray', 'isn', 'ltree', 'pageinspect',"
    " 'pg_buffercache', 'pg_freespacemap', 'pg_prewarm', 'pg_stat_statements', 'pg_trgm', 'pg_visibility', 'pgcrypto', 'pgrowlocks', 'pgstattuple', 'plpgsql',"
    " 'postgres_fdw', 'seg', 'sslinfo', 'tablefunc', 'tcn', 'tsm_system_rows', 'tsm_system_time', 'unaccent', 'uuid-ossp', 'vector', 'xml2'))))"
    " SELECT nspname || '.' || proname, used FROM (SELECT t.*, EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = t.oid)"
    " OR EXISTS (SELECT FROM pg_proc o WHERE o.oid >= 16384 AND o.oid <> t.oid AND strpos(lower(o.prosrc), lower(t.proname)) > 0) AS used FROM telling t) AS x"
    " ORDER BY used DESC LIMIT 1; COMMIT";

constexpr std::string_view bodies_sql = " OR p.prosqlbody::text ~ ':funcid (2078|1599|288[0-36-9]) '";

/// What the server says of itself, or what follows from the role: nothing that a session sets.
constexpr std::array not_set{"in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version", "session_authorization"};

bool is_set(std::string_view name) { return std::find(not_set.begin(), not_set.end(), name) == not_set.end(); }

} // namespace

restore_machine::restore_machine(session_memory const& memory, base::byte_view reported) : memory_{memory} {
    for (auto const& it : wire::read_parameter_frames(reported)) reported_[std::string{it.name}] = it.value;
    note_version();
}

restore_machine::restore_machine(session_memory const& memory, session_memory::contents const& has, bool look)
    : memory_{memory}, has_{&has}, look_{look}, reported_{has.reported} {
    note_version();
}

void restore_machine::note_version() {
    int major = 0;
    auto const version = reported_.find("server_version");
    if (version != reported_.end()) (void)std::from_chars(version->second.data(), version->second.data() + version->second.size(), major);
    server_14_ = major >= 14;
}

std::string restore_machine::begin() {
    std::string out;
    if (!look_) {
        (void)go_on(out);
        return out;
    }
    wire::append_query(out, fmt::format(fmt::runtime(functions_sql), server_14_ ? bodies_sql : std::string_view{}));
    expected_ = 1;
    return out;
}

restore_machine::step restore_machine::fail(std::string reason) {
    reason_ = std::move(reason);
    return step::failed;
}

void restore_machine::note_function(base::byte_view body) {
    auto const columns = wire::read_data_row(body);
    if (!columns || columns->size() != 2 || !(*columns)[0] || !(*columns)[1]) return;
    if (*(*columns)[1] == "t" || memory_.calls_functions() || has_ != nullptr) function_ = *(*columns)[0];
}

restore_machine::step restore_machine::on_server(base::byte_view frame, std::string& to_server) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    switch (header.type) {
    case 'E': {
        auto const fields = wire::read_error(body);
        auto const code = fields ? fields->code : base::byte_view{};
        switch (phase_) {
        case phase::looking: return fail(fmt::format("its functions could not be looked at: SQLSTATE {}", code));
        case phase::preparing: return fail(fmt::format("a prepared statement was refused with SQLSTATE {}", code));
        default: return fail(fmt::format("a setting was refused with SQLSTATE {}", code));
        }
    }
    case 'S':
        if (auto const parameter = wire::read_parameter_status(body)) {
            reported_[std::string{parameter->name}] = parameter->value;
            reported_since_.append(frame);
        }
        break;
    case 'D':
        if (phase_ == phase::looking) note_function(body);
        break;
    case '1':
        if (phase_ == phase::preparing) ++prepared_;
        break;
    case 'Z':
        if (body != "I") return fail("it is in a transaction that nobody has begun");
        if (expected_ > 0 && --expected_ == 0) return go_on(to_server);
        break;
    default: break;
    }
    return step::more;
}

/// Whether the server has to be told of this setting that it reports.
bool restore_machine::is_due(session_memory::parameter const& it) const {
    if (!is_set(it.name)) return false;
    auto const found = reported_.find(it.name);
    bool const same = found != reported_.end() && found->second == it.now;
    return !same && (has_ != nullptr ? found != reported_.end() : it.now != it.at_login);
}

void restore_machine::append_settings(std::string& out) {
    auto const& now = memory_.settings();
    auto const same = [](auto const& a, auto const& b) { return a.name == b.name && a.text == b.text; };
    if (has_ != nullptr && std::equal(now.begin(), now.end(), has_->settings.begin(), has_->settings.end(), same)) return;
    if (has_ != nullptr && !has_->settings.empty()) {
        for (auto const* sql : {"RESET ROLE", "RESET ALL"}) wire::append_query(out, sql);
        expected_ += 2;
    }
    for (auto const& it : now) wire::append_query(out, it.text);
    expected_ += now.size();
}

void restore_machine::append_statements(std::string& out) {
    auto const& now = memory_.prepared();
    if (has_ != nullptr) {
        for (auto const& [name, parse] : has_->prepared) {
            auto const found = now.find(name);
            if (found == now.end() || found->second != parse) wire::append_close_statement(out, name);
        }
    }
    for (auto const& [name, parse] : now) {
        if (has_ != nullptr) {
            auto const found = has_->prepared.find(name);
            if (found != has_->prepared.end() && found->second == parse) continue;
        }
        out.append(parse);
        ++to_prepare_;
    }
    if (out.empty()) return;
    wire::append_sync(out);
    expected_ = 1;
}

restore_machine::step restore_machine::go_on(std::string& to_server) {
    to_server.clear();
    if (phase_ == phase::looking) {
        if (!function_.empty()) return fail(fmt::format("the function {} may have changed the session", function_));
        phase_ = phase::setting;
        append_settings(to_server);
        if (expected_ > 0) return step::send;
    }
    if (phase_ == phase::setting) {
        phase_ = phase::correcting;
        for (auto const& it : memory_.parameters()) {
            if (!is_due(it)) continue;
            auto const name = sql::quoted_literal(it.name);
            auto const value = sql::quoted_literal(it.now);
            if (!name || !value) return fail(fmt::format("{} has a value that pgmend does not set", it.name));
            wire::append_query(to_server, fmt::format("SELECT pg_catalog.set_config({}, {}, false)", *name, *value));
            ++expected_;
        }
        if (expected_ > 0) return step::send;
    }
    if (phase_ == phase::correcting) {
        for (auto const& it : memory_.parameters()) {
            auto const found = reported_.find(it.name);
            bool const same = found != reported_.end() && found->second == it.now;
            if (it.name == "session_authorization" && !same) return fail("it takes the user for another one");
            if (is_due(it)) return fail(fmt::format("{} could not be set", it.name));
        }
        phase_ = phase::preparing;
        append_statements(to_server);
        if (expected_ > 0) return step::send;
    }
    return prepared_ == to_prepare_ ? step::ready : fail("not all statements could be prepared");
}

std::string restore_machine::news() const {
    std::string out;
    for (auto const& [name, value] : reported_) {
        auto const known = std::find_if(memory_.parameters().begin(), memory_.parameters().end(), [&](auto const& it) { return it.name == name; });
        if (known != memory_.parameters().end() && known->now == value) continue;
        wire::append_frame(out, 'S', name + '\0' + value + '\0');
    }
    return out;
}

} // namespace pgmend::session
