#include "sqlite_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::store {
namespace {

constexpr auto record_tables = R"(
CREATE TABLE patterns (id INTEGER PRIMARY KEY, database TEXT NOT NULL, pattern TEXT NOT NULL, evidence TEXT NOT NULL, state TEXT NOT NULL,
    rejected INTEGER NOT NULL, note TEXT NOT NULL, reason TEXT NOT NULL, successes INTEGER NOT NULL, failures INTEGER NOT NULL,
    first_seen INTEGER NOT NULL, last_used INTEGER NOT NULL, UNIQUE (database, pattern));
CREATE TABLE pattern_outcomes (database TEXT NOT NULL, pattern TEXT NOT NULL, day TEXT NOT NULL, successes INTEGER NOT NULL,
    failures INTEGER NOT NULL, PRIMARY KEY (database, pattern, day)) WITHOUT ROWID;
CREATE TABLE drift (database TEXT NOT NULL, user TEXT NOT NULL, application_name TEXT NOT NULL, fingerprint TEXT NOT NULL, pattern TEXT NOT NULL,
    outcome TEXT NOT NULL, evidence TEXT NOT NULL, before_sql TEXT NOT NULL, after_sql TEXT NOT NULL, reason TEXT NOT NULL,
    count INTEGER NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,
    UNIQUE (database, user, application_name, fingerprint, pattern, outcome));
CREATE INDEX drift_last_seen ON drift (last_seen);
CREATE TABLE heal_audit (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, database TEXT NOT NULL, user TEXT NOT NULL, application_name TEXT NOT NULL,
    client TEXT NOT NULL, fingerprint TEXT NOT NULL, pattern TEXT NOT NULL, before_sql TEXT NOT NULL, parameters TEXT NOT NULL, after_sql TEXT NOT NULL);
CREATE TABLE heal_audit_values (audit INTEGER NOT NULL REFERENCES heal_audit, number INTEGER NOT NULL, column_name TEXT NOT NULL, row INTEGER NOT NULL,
    expression TEXT NOT NULL, value TEXT, PRIMARY KEY (audit, number)) WITHOUT ROWID;
CREATE TABLE transaction_logs (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, database TEXT NOT NULL, user TEXT NOT NULL,
    application_name TEXT NOT NULL, client TEXT NOT NULL, fingerprint TEXT NOT NULL, pattern TEXT NOT NULL, evidence TEXT NOT NULL,
    sqlstate TEXT NOT NULL, before_sql TEXT NOT NULL, after_sql TEXT NOT NULL, success INTEGER NOT NULL, duration_us INTEGER NOT NULL, tier INTEGER NOT NULL);
CREATE TABLE circuit_breaker_state (name TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE optimizer_decisions (id INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, database TEXT NOT NULL, user TEXT NOT NULL, application_name TEXT NOT NULL,
    rule TEXT NOT NULL, search_path TEXT NOT NULL, statement TEXT NOT NULL, parameters TEXT NOT NULL, sqlstate TEXT NOT NULL, message TEXT NOT NULL,
    state TEXT NOT NULL);
)";

std::int64_t number_of(state::time_point at) { return at.time_since_epoch().count(); }
state::time_point time_of(std::int64_t number) { return state::time_point{std::chrono::microseconds{number}}; }

template <class Names>
std::size_t index_of(Names const& names, std::string_view name) {
    return static_cast<std::size_t>(std::find(std::begin(names), std::end(names), name) - std::begin(names));
}

/// What the same attempt may do later.
bool is_of_the_place(int code) {
    switch (code) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_ERROR: return false;
    default: return true; // busy, full, read-only, a disk that fails, damage
    }
}

} // namespace

template <class F>
auto sqlite_tables::guarded(F work) -> decltype(work()) {
    try {
        return work();
    } catch (sqlite_error const& e) {
        throw failure{is_of_the_place(e.code) ? failure::kind_type::of_the_place : failure::kind_type::of_the_data, e.what()};
    }
}

std::int64_t sqlite_tables::version_of(connection const& file) {
    statement version{file, "PRAGMA user_version"};
    version.step();
    return version.number(0);
}

sqlite_tables::sqlite_tables(std::string const& path, bool read_only, std::shared_ptr<bool> damaged)
    : file_{path, read_only, std::move(damaged)}, schemas_{file_} {
    auto const found = version_of(file_);
    if (found > our_version)
        throw newer_place{fmt::format("a newer pgmend made this file: its tables have version {}, this pgmend knows up to {}", found, our_version)};
    if (read_only) return;
    // FULL: a commit is on the disk. There are few, and this thread alone waits for them.
    file_.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    migrate();
}

void sqlite_tables::migrate() {
    transaction all{file_};
    auto const found = version_of(file_); // another process may have been faster
    if (found < 1) file_.run(schema_tables::definition);
    if (found < 2) file_.run(record_tables);
    if (found < our_version) file_.run(fmt::format("PRAGMA user_version = {}", our_version).c_str());
    all.commit();
}

void sqlite_tables::apply(std::vector<state::change> const& changes) {
    guarded([&] {
        transaction all{file_};
        for (auto const& change : changes) std::visit([this](auto const& it) { apply(it); }, change);
        if (std::exchange(grown_, false)) tidy();
        all.commit();
    });
}

void sqlite_tables::apply(state::pattern_change const& it) {
    auto const& p = it.now;
    // A decision brings its own counts; mere uses are added.
    statement{file_, "INSERT INTO patterns VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
                     " ON CONFLICT (database, pattern) DO UPDATE SET last_used = max(last_used, excluded.last_used),"
                     " evidence = iif(?13, excluded.evidence, evidence), state = iif(?13, excluded.state, state),"
                     " rejected = iif(?13, excluded.rejected, rejected), note = iif(?13, excluded.note, note), reason = iif(?13, excluded.reason, reason),"
                     " successes = iif(?13, excluded.successes, successes + ?14), failures = iif(?13, excluded.failures, failures + ?15)"}
        .bind(static_cast<std::int64_t>(p.id)).bind(p.database).bind(p.text).bind(learning::name_of(p.from)).bind(learning::name_of(p.state))
        .bind(std::int64_t{p.rejected}).bind(p.note).bind(p.reason).bind(static_cast<std::int64_t>(p.successes))
        .bind(static_cast<std::int64_t>(p.failures)).bind(number_of(p.first_seen)).bind(number_of(p.last_used)).bind(std::int64_t{it.decided})
        .bind(static_cast<std::int64_t>(it.more_successes)).bind(static_cast<std::int64_t>(it.more_failures)).step();
    if (it.more_successes + it.more_failures == 0) return;
    statement{file_, "INSERT INTO pattern_outcomes VALUES (?, ?, date(?, 'unixepoch'), ?, ?)"
                     " ON CONFLICT (database, pattern, day) DO UPDATE SET successes = successes + excluded.successes, failures = failures + excluded.failures"}
        .bind(p.database).bind(p.text).bind(number_of(p.last_used) / 1000000).bind(static_cast<std::int64_t>(it.more_successes))
        .bind(static_cast<std::int64_t>(it.more_failures)).step();
}

void sqlite_tables::apply(state::pattern_removed const& it) {
    statement{file_, "DELETE FROM patterns WHERE database = ? AND pattern = ?"}.bind(it.database).bind(it.text).step();
    statement{file_, "DELETE FROM pattern_outcomes WHERE database = ? AND pattern = ?"}.bind(it.database).bind(it.text).step();
}

void sqlite_tables::apply(state::drift_change const& it) {
    auto const& d = it.seen;
    statement{file_, "INSERT INTO drift VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                     " ON CONFLICT (database, user, application_name, fingerprint, pattern, outcome) DO UPDATE SET count = count + excluded.count,"
                     " evidence = excluded.evidence, before_sql = excluded.before_sql, after_sql = excluded.after_sql, reason = excluded.reason,"
                     " first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen)"}
        .bind(d.database).bind(d.user).bind(d.application_name).bind(d.fingerprint).bind(d.pattern).bind(state::name_of(d.outcome)).bind(d.evidence)
        .bind(d.before).bind(d.after).bind(d.reason).bind(static_cast<std::int64_t>(d.count)).bind(number_of(d.first_seen)).bind(number_of(d.last_seen))
        .step();
    grown_ = true;
}

void sqlite_tables::apply(state::heal_row const& it) {
    statement{file_, "INSERT INTO transaction_logs (at, database, user, application_name, client, fingerprint, pattern, evidence, sqlstate, before_sql,"
                     " after_sql, success, duration_us, tier) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"}
        .bind(number_of(it.at)).bind(it.database).bind(it.user).bind(it.application_name).bind(it.client).bind(it.fingerprint).bind(it.pattern)
        .bind(it.evidence).bind(it.sqlstate).bind(it.before).bind(it.after).bind(std::int64_t{it.success}).bind(it.duration_us)
        .bind(std::int64_t{it.tier}).step();
    grown_ = true;
}

void sqlite_tables::apply(state::audit_row const& it) {
    statement{file_, "INSERT INTO heal_audit (at, database, user, application_name, client, fingerprint, pattern, before_sql, parameters, after_sql)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"}
        .bind(number_of(it.at)).bind(it.database).bind(it.user).bind(it.application_name).bind(it.client).bind(it.fingerprint).bind(it.pattern)
        .bind(it.before).bind(it.parameters).bind(it.after).step();
    auto const id = sqlite3_last_insert_rowid(file_.get());
    for (std::size_t i = 0; i < it.values.size(); ++i) {
        auto const& v = it.values[i];
        statement one{file_, "INSERT INTO heal_audit_values VALUES (?, ?, ?, ?, ?, ?)"};
        one.bind(id).bind(static_cast<std::int64_t>(i)).bind(v.column).bind(std::int64_t{v.row}).bind(v.expression);
        if (v.is_null) one.bind_null();
        else one.bind(v.value);
        one.step();
    }
}

void sqlite_tables::apply(state::dead_letter const& it) {
    if (it.id != 0) {
        statement{file_, "UPDATE dead_letters SET state = ? WHERE id = ?"}.bind(it.state).bind(static_cast<std::int64_t>(it.id)).step();
        return;
    }
    statement{file_, "INSERT INTO dead_letters (at, database, user, application_name, rule, search_path, statement, parameters, sqlstate, message, state)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"}
        .bind(number_of(it.at)).bind(it.database).bind(it.user).bind(it.application_name).bind(it.rule).bind(it.search_path).bind(it.statement)
        .bind(it.settings).bind(it.sqlstate).bind(it.message).bind(it.state).step();
}

void sqlite_tables::apply(state::entry const& it) {
    if (it.table == state::entry::table_type::circuit_breaker_state) {
        statement{file_, "INSERT OR REPLACE INTO circuit_breaker_state VALUES (?, ?, ?)"}.bind(it.key).bind(it.value).bind(number_of(it.at)).step();
        return;
    }
    statement{file_, "INSERT INTO optimizer_decisions (name, value, at) VALUES (?, ?, ?)"}.bind(it.key).bind(it.value).bind(number_of(it.at)).step();
    grown_ = true;
}

void sqlite_tables::tidy() {
    statement{file_, "DELETE FROM transaction_logs WHERE id <= (SELECT max(id) FROM transaction_logs) - ?"}.bind(most_logged_heals).step();
    statement{file_, "DELETE FROM optimizer_decisions WHERE id <= (SELECT max(id) FROM optimizer_decisions) - ?"}.bind(most_decisions).step();
    statement{file_, "DELETE FROM drift WHERE rowid IN (SELECT rowid FROM drift ORDER BY last_seen DESC LIMIT -1 OFFSET ?)"}.bind(most_drift_rows).step();
}

// ------------------------------------------------------------------------------------------- reading

std::vector<learning::pattern> sqlite_tables::patterns() {
    return guarded([&] {
        std::vector<learning::pattern> out;
        statement rows{file_, "SELECT id, database, pattern, evidence, state, rejected, note, reason, successes, failures, first_seen, last_used"
                              " FROM patterns ORDER BY id"};
        while (rows.step()) {
            learning::pattern p;
            auto const evidence = index_of(learning::evidence_names, rows.text(3));
            auto const state = learning::state_named(rows.text(4));
            if (evidence >= learning::evidence_names.size() || !state) continue; // not ours
            p.id = static_cast<std::uint64_t>(rows.number(0));
            p.database = rows.text(1);
            p.text = rows.text(2);
            p.from = static_cast<learning::evidence>(evidence);
            p.state = *state;
            p.rejected = rows.number(5) != 0;
            p.note = rows.text(6);
            p.reason = rows.text(7);
            p.successes = static_cast<std::uint64_t>(rows.number(8));
            p.failures = static_cast<std::uint64_t>(rows.number(9));
            p.first_seen = time_of(rows.number(10));
            p.last_used = time_of(rows.number(11));
            out.push_back(std::move(p));
        }
        return out;
    });
}

std::vector<state::drift_row> sqlite_tables::drift() {
    return guarded([&] {
        std::vector<state::drift_row> out;
        statement rows{file_, "SELECT database, user, application_name, fingerprint, pattern, outcome, evidence, before_sql, after_sql, reason, count,"
                              " first_seen, last_seen FROM drift ORDER BY count DESC, last_seen DESC"};
        while (rows.step()) {
            auto const outcome = state::outcome_named(rows.text(5));
            if (!outcome) continue;
            out.push_back({rows.text(0), rows.text(1), rows.text(2), rows.text(3), rows.text(4), *outcome, rows.text(6), rows.text(7), rows.text(8),
                           rows.text(9), static_cast<std::uint64_t>(rows.number(10)), time_of(rows.number(11)), time_of(rows.number(12))});
        }
        return out;
    });
}

std::vector<state::entry> sqlite_tables::entries(state::entry::table_type table) {
    return guarded([&] {
        std::vector<state::entry> out;
        statement rows{file_, table == state::entry::table_type::circuit_breaker_state ? "SELECT name, value, at FROM circuit_breaker_state ORDER BY name"
                                                                                       : "SELECT name, value, at FROM optimizer_decisions ORDER BY id"};
        while (rows.step()) out.push_back({table, rows.text(0), rows.text(1), time_of(rows.number(2))});
        return out;
    });
}

std::vector<state::dead_letter> sqlite_tables::dead_letters() {
    return guarded([&] {
        std::vector<state::dead_letter> out;
        statement rows{file_, "SELECT id, at, database, user, application_name, rule, search_path, statement, parameters, sqlstate, message, state"
                              " FROM dead_letters ORDER BY id"};
        while (rows.step())
            out.push_back({static_cast<std::uint64_t>(rows.number(0)), time_of(rows.number(1)), rows.text(2), rows.text(3), rows.text(4), rows.text(5),
                           rows.text(6), rows.text(7), rows.text(8), rows.text(9), rows.text(10), rows.text(11)});
        return out;
    });
}

std::vector<state::audit_row> sqlite_tables::audit() {
    return guarded([&] {
        std::vector<state::audit_row> out;
        statement rows{file_, "SELECT id, at, database, user, application_name, client, fingerprint, pattern, before_sql, parameters, after_sql FROM heal_audit ORDER BY id"};
        while (rows.step()) {
            state::audit_row it{time_of(rows.number(1)), rows.text(2), rows.text(3), rows.text(4), rows.text(5), rows.text(6), rows.text(7), rows.text(8),
                                rows.text(9), rows.text(10), {}};
            statement values{file_, "SELECT column_name, row, expression, value, value IS NULL FROM heal_audit_values WHERE audit = ? ORDER BY number"};
            values.bind(rows.number(0));
            while (values.step())
                it.values.push_back({values.text(0), static_cast<std::uint32_t>(values.number(1)), values.text(2), values.text(3), values.number(4) != 0});
            out.push_back(std::move(it));
        }
        return out;
    });
}

} // namespace pgmend::store
