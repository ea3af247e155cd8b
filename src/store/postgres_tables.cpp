#include "postgres_tables.hpp"

#include "postgres_definition.hpp"
#include "postgres_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::store {
namespace {

constexpr std::chrono::seconds patience{10};
constexpr std::string_view channel = "pgmend_state";
constexpr std::int64_t migration_lock = 7301846592087013; // any number, the same for all

/// What the server refuses for what it was given, as against what it cannot do now.
bool is_of_the_data(std::string_view sqlstate) { return sqlstate.starts_with("22") || sqlstate.starts_with("23") || sqlstate == "54000"; }

failure failure_of(pg::error const& e) {
    return {is_of_the_data(e.sqlstate) ? failure::kind_type::of_the_data : failure::kind_type::of_the_place,
            e.sqlstate.empty() ? e.text : fmt::format("{} ({})", e.text, e.sqlstate)};
}

// One statement for each change.

std::string sql_of(state::pattern_change const& it) {
    auto const& p = it.now;
    auto const decided = it.decided ? "true" : "false";
    auto const set = [&](std::string_view column) { return fmt::format("{0} = {1}.{0}", column, it.decided ? "excluded" : "p"); };
    std::string out = fmt::format(
        "WITH w AS (INSERT INTO pgmend.patterns AS p (database, pattern, evidence, state, rejected, note, reason, successes, failures, first_seen, last_used)"
        " VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}) ON CONFLICT (database, pattern) DO UPDATE SET {}, {}, {}, {}, {}, successes = {}, failures = {},"
        " last_used = greatest(p.last_used, excluded.last_used) RETURNING p.id, p.xmax = 0 AS fresh)"
        " SELECT pg_notify('{}', id::text) FROM w WHERE fresh OR {};\n",
        literal(p.database), literal(p.text), literal(learning::name_of(p.from)), literal(learning::name_of(p.state)), p.rejected ? "true" : "false",
        literal(p.note), literal(p.reason), p.successes, p.failures, literal(p.first_seen), literal(p.last_used), set("evidence"), set("state"), set("rejected"),
        set("note"), set("reason"), it.decided ? "excluded.successes" : fmt::format("p.successes + {}", it.more_successes),
        it.decided ? "excluded.failures" : fmt::format("p.failures + {}", it.more_failures), channel, decided);
    if (it.more_successes + it.more_failures > 0)
        out += fmt::format("INSERT INTO pgmend.pattern_outcomes AS o VALUES ({}, {}, ({} AT TIME ZONE 'UTC')::date, {}, {}) ON CONFLICT (database, pattern, day)"
                           " DO UPDATE SET successes = o.successes + excluded.successes, failures = o.failures + excluded.failures;\n",
                           literal(p.database), literal(p.text), literal(p.last_used), it.more_successes, it.more_failures);
    return out;
}

/// Another instance may use it: it goes when it has not been used for long.
std::string sql_of(state::pattern_removed const&) { return {}; }

std::string sql_of(state::drift_change const& it) {
    auto const& d = it.seen;
    return fmt::format("INSERT INTO pgmend.drift AS d (database, user_name, application_name, fingerprint, pattern, outcome, evidence, before_sql, after_sql,"
                       " reason, count, first_seen, last_seen) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})"
                       " ON CONFLICT (database, user_name, application_name, fingerprint, md5(pattern), outcome) DO UPDATE SET count = d.count + excluded.count,"
                       " evidence = excluded.evidence, before_sql = excluded.before_sql, after_sql = excluded.after_sql, reason = excluded.reason,"
                       " first_seen = least(d.first_seen, excluded.first_seen), last_seen = greatest(d.last_seen, excluded.last_seen);\n",
                       literal(d.database), literal(d.user), literal(d.application_name), literal(d.fingerprint), literal(d.pattern),
                       literal(state::name_of(d.outcome)), literal(d.evidence), literal(d.before), literal(d.after), literal(d.reason), d.count,
                       literal(d.first_seen), literal(d.last_seen));
}

std::string sql_of(state::heal_row const& it) {
    return fmt::format("INSERT INTO pgmend.transaction_logs (at, database, user_name, application_name, client, fingerprint, pattern, evidence, sqlstate,"
                       " before_sql, after_sql, success, duration_us, tier) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});\n",
                       literal(it.at), literal(it.database), literal(it.user), literal(it.application_name), literal(it.client), literal(it.fingerprint),
                       literal(it.pattern), literal(it.evidence), literal(it.sqlstate), literal(it.before), literal(it.after), it.success ? "true" : "false",
                       it.duration_us, it.tier);
}

std::string sql_of(state::audit_row const& it) {
    auto out = fmt::format("WITH a AS (INSERT INTO pgmend.heal_audit (at, database, user_name, application_name, client, fingerprint, pattern, before_sql,"
                           " parameters, after_sql) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}) RETURNING id, database)"
                           " INSERT INTO pgmend.heal_audit_values SELECT a.id, v.number, a.database, v.column_name, v.row, v.expression, v.value FROM a, (VALUES ",
                           literal(it.at), literal(it.database), literal(it.user), literal(it.application_name), literal(it.client), literal(it.fingerprint),
                           literal(it.pattern), literal(it.before), literal(it.parameters), literal(it.after));
    for (std::size_t i = 0; i < it.values.size(); ++i) {
        auto const& v = it.values[i];
        out += fmt::format("{}({}, {}, {}, {}, {}::text)", i == 0 ? "" : ", ", i, literal(v.column), v.row, literal(v.expression),
                           v.is_null ? "NULL" : literal(v.value));
    }
    return out + ") AS v (number, column_name, row, expression, value);\n";
}

std::string sql_of(state::dead_letter const& it) {
    if (it.id != 0) return fmt::format("UPDATE pgmend.dead_letters SET state = {} WHERE id = {};\n", literal(it.state), it.id);
    return fmt::format("INSERT INTO pgmend.dead_letters (at, database, user_name, application_name, rule, search_path, statement, parameters, sqlstate, message,"
                       " state) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});\n",
                       literal(it.at), literal(it.database), literal(it.user), literal(it.application_name), literal(it.rule), literal(it.search_path),
                       literal(it.statement), literal(it.settings), literal(it.sqlstate), literal(it.message), literal(it.state));
}

std::string sql_of(state::entry const& it) {
    if (it.table == state::entry::table_type::circuit_breaker_state)
        return fmt::format("INSERT INTO pgmend.circuit_breaker_state VALUES ({}, {}, {}) ON CONFLICT (name) DO UPDATE SET value = excluded.value,"
                           " at = excluded.at;\n", literal(it.key), literal(it.value), literal(it.at));
    return fmt::format("INSERT INTO pgmend.optimizer_decisions (name, value, at) VALUES ({}, {}, {});\n", literal(it.key), literal(it.value), literal(it.at));
}

std::string tidying() {
    return fmt::format("DELETE FROM pgmend.transaction_logs WHERE id <= (SELECT max(id) FROM pgmend.transaction_logs) - {};\n"
                       "DELETE FROM pgmend.optimizer_decisions WHERE id <= (SELECT max(id) FROM pgmend.optimizer_decisions) - {};\n"
                       "DELETE FROM pgmend.drift WHERE id IN (SELECT id FROM pgmend.drift ORDER BY last_seen DESC OFFSET {});\n",
                       most_logged_heals, most_decisions, most_drift_rows);
}

} // namespace

postgres_tables::postgres_tables(std::string const& connection, std::string const& application_name) {
    auto wanted = pg::parse_connection_string(connection);
    if (!wanted) throw failure{failure::kind_type::of_the_place, wanted.error().text};
    wanted->emplace("application_name", application_name);
    (*wanted)["client_encoding"] = "UTF8";
    if (auto const opened = session_.open(std::move(*wanted), patience); !opened) throw failure_of(opened.error());
    // Whatever the server's defaults are: what was answered is on the disk, and nothing waits for ever.
    (void)run("SET standard_conforming_strings = on; SET synchronous_commit = on; SET statement_timeout = '10s'; SET lock_timeout = '5s';"
              " SET idle_in_transaction_session_timeout = '30s'; SET search_path = pg_catalog");
    migrate();
}

std::vector<pg::rows> postgres_tables::run(std::string sql) {
    auto done = session_.query(std::move(sql), patience * 2);
    if (done) return std::move(*done);
    auto const e = done.error();
    if (session_.is_open()) (void)session_.query("ROLLBACK", patience);
    throw failure_of(e);
}

void postgres_tables::refuse_newer(int version) const {
    if (version > our_version)
        throw newer_place{fmt::format("a newer pgmend made the schema pgmend: its tables have version {}, this pgmend knows up to {}; use that pgmend, or another database",
                                      version, our_version)};
}

/// A role without CREATE may use tables that another one has made.
void postgres_tables::migrate() {
    auto const found = [&] {
        if (run("SELECT to_regclass('pgmend.state_version') IS NOT NULL").front().text(0, 0) != "t") return 0;
        return static_cast<int>(number(run("SELECT max(version) FROM pgmend.state_version").front().text(0, 0)));
    };
    auto const version = found();
    refuse_newer(version);
    if (version == our_version) return;
    (void)run(fmt::format("BEGIN; SELECT pg_advisory_xact_lock({})", migration_lock));
    auto const done = found(); // somebody may have been faster
    if (done < 1) (void)run(postgres_definition);
    if (done < 2) (void)run(postgres_definition_2);
    (void)run("COMMIT");
}

/// The fleet may have been upgraded since this one connected: each time the version is looked at, behind a lock that a migration waits for.
void postgres_tables::begin() {
    auto const seen = run(fmt::format("BEGIN; SELECT pg_advisory_xact_lock_shared({}); SELECT max(version) FROM pgmend.state_version", migration_lock));
    refuse_newer(static_cast<int>(number(seen.back().text(0, 0))));
}

void postgres_tables::apply(std::vector<state::change> const& changes) {
    begin();
    std::string script;
    bool grown = false;
    for (auto const& change : changes) {
        script += std::visit([](auto const& it) { return sql_of(it); }, change);
        grown = grown || std::holds_alternative<state::drift_change>(change) || std::holds_alternative<state::heal_row>(change);
    }
    if (grown) script += tidying();
    (void)run(script + "COMMIT");
}

std::vector<learning::pattern> postgres_tables::patterns(std::string const& where) {
    auto const all = run(fmt::format("SELECT id, database, pattern, evidence, state, rejected, note, reason, successes, failures, {}, {} FROM pgmend.patterns"
                                     " WHERE {} ORDER BY id", microseconds("first_seen"), microseconds("last_used"), where));
    auto const& r = all.front();
    std::vector<learning::pattern> out;
    out.reserve(r.size());
    for (std::size_t i = 0; i < r.size(); ++i) {
        auto const evidence = std::find(learning::evidence_names.begin(), learning::evidence_names.end(), r.text(i, 3));
        auto const state = learning::state_named(r.text(i, 4));
        if (evidence == learning::evidence_names.end() || !state) continue;
        learning::pattern p;
        p.id = count(r.text(i, 0));
        p.database = r.text(i, 1);
        p.text = r.text(i, 2);
        p.from = static_cast<learning::evidence>(evidence - learning::evidence_names.begin());
        p.state = *state;
        p.rejected = r.text(i, 5) == "t";
        p.note = r.text(i, 6);
        p.reason = r.text(i, 7);
        p.successes = count(r.text(i, 8));
        p.failures = count(r.text(i, 9));
        p.first_seen = time_of(r.text(i, 10));
        p.last_used = time_of(r.text(i, 11));
        out.push_back(std::move(p));
    }
    return out;
}

std::vector<learning::pattern> postgres_tables::patterns(std::vector<std::uint64_t> const& ids) {
    return patterns(fmt::format("id = ANY ('{{{}}}'::bigint[])", fmt::join(ids, ",")));
}

std::vector<state::drift_row> postgres_tables::drift() {
    auto const all = run(fmt::format("SELECT database, user_name, application_name, fingerprint, pattern, outcome, evidence, before_sql, after_sql, reason, count,"
                                     " {}, {} FROM pgmend.drift ORDER BY count DESC, last_seen DESC", microseconds("first_seen"), microseconds("last_seen")));
    auto const& r = all.front();
    std::vector<state::drift_row> out;
    auto const text = [&](std::size_t i, std::size_t column) { return std::string{r.text(i, column)}; };
    for (std::size_t i = 0; i < r.size(); ++i) {
        auto const outcome = state::outcome_named(r.text(i, 5));
        if (outcome)
            out.push_back({text(i, 0), text(i, 1), text(i, 2), text(i, 3), text(i, 4), *outcome, text(i, 6), text(i, 7), text(i, 8), text(i, 9),
                           count(r.text(i, 10)), time_of(r.text(i, 11)), time_of(r.text(i, 12))});
    }
    return out;
}

std::vector<state::entry> postgres_tables::entries(state::entry::table_type table) {
    bool const breakers = table == state::entry::table_type::circuit_breaker_state;
    auto const all = run(fmt::format("SELECT name, value, {} FROM pgmend.{} ORDER BY {}", microseconds("at"), breakers ? "circuit_breaker_state" : "optimizer_decisions",
                                     breakers ? "name" : "id"));
    auto const& r = all.front();
    std::vector<state::entry> out;
    for (std::size_t i = 0; i < r.size(); ++i) out.push_back({table, std::string{r.text(i, 0)}, std::string{r.text(i, 1)}, time_of(r.text(i, 2))});
    return out;
}

std::vector<state::dead_letter> postgres_tables::dead_letters() {
    auto const all = run(fmt::format("SELECT id, {}, database, user_name, application_name, rule, search_path, statement, parameters, sqlstate, message, state"
                                     " FROM pgmend.dead_letters ORDER BY id", microseconds("at")));
    auto const& r = all.front();
    std::vector<state::dead_letter> out;
    auto const text = [&](std::size_t i, std::size_t column) { return std::string{r.text(i, column)}; };
    for (std::size_t i = 0; i < r.size(); ++i)
        out.push_back({count(r.text(i, 0)), time_of(r.text(i, 1)), text(i, 2), text(i, 3), text(i, 4), text(i, 5), text(i, 6), text(i, 7), text(i, 8),
                       text(i, 9), text(i, 10), text(i, 11)});
    return out;
}

std::vector<state::audit_row> postgres_tables::audit() {
    auto const all = run(fmt::format("SELECT id, {}, database, user_name, application_name, client, fingerprint, pattern, before_sql, parameters, after_sql"
                                     " FROM pgmend.heal_audit ORDER BY id;"
                                     " SELECT audit, column_name, row, expression, value FROM pgmend.heal_audit_values ORDER BY audit, number", microseconds("at")));
    auto const& r = all.at(0);
    auto const& v = all.at(1);
    std::vector<state::audit_row> out;
    std::size_t next = 0;
    auto const text = [](pg::rows const& from, std::size_t i, std::size_t column) { return std::string{from.text(i, column)}; };
    for (std::size_t i = 0; i < r.size(); ++i) {
        state::audit_row it{time_of(r.text(i, 1)), text(r, i, 2), text(r, i, 3), text(r, i, 4), text(r, i, 5), text(r, i, 6), text(r, i, 7), text(r, i, 8),
                            text(r, i, 9), text(r, i, 10), {}};
        for (; next < v.size() && v.text(next, 0) == r.text(i, 0); ++next)
            it.values.push_back({text(v, next, 1), static_cast<std::uint32_t>(number(v.text(next, 2))), text(v, next, 3), text(v, next, 4), v.is_null(next, 4)});
        out.push_back(std::move(it));
    }
    return out;
}

std::vector<std::pair<std::string, std::string>> postgres_tables::learned_rules() {
    auto const all = run("SELECT database, rules FROM pgmend.learned_rules ORDER BY database");
    std::vector<std::pair<std::string, std::string>> out;
    for (std::size_t i = 0; i < all.front().size(); ++i) out.emplace_back(all.front().text(i, 0), all.front().text(i, 1));
    return out;
}

void postgres_tables::keep_learned_rules(std::string const& database, std::string const& text) {
    begin();
    (void)run(fmt::format("INSERT INTO pgmend.learned_rules VALUES ({}, {}, now()) ON CONFLICT (database) DO UPDATE SET rules = excluded.rules, at = excluded.at; COMMIT",
                          literal(database), literal(text)));
}

void postgres_tables::listen() { (void)run(fmt::format("LISTEN {}", channel)); }

std::vector<std::uint64_t> postgres_tables::changed(std::chrono::milliseconds for_so_long) {
    auto const come = session_.wait(for_so_long);
    if (!come) throw failure_of(come.error());
    std::vector<std::uint64_t> ids;
    for (auto const& it : session_.take_notifications()) ids.push_back(count(it));
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

} // namespace pgmend::store
