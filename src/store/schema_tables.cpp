#include "schema_tables.hpp"

#include "pgmend/base/log.hpp"

#include <fmt/format.h>

namespace pgmend::store {

char const* const schema_tables::definition = R"(
CREATE TABLE IF NOT EXISTS databases (id INTEGER PRIMARY KEY, system_identifier TEXT NOT NULL, database_oid INTEGER NOT NULL, name TEXT NOT NULL,
    UNIQUE (system_identifier, database_oid));
CREATE TABLE IF NOT EXISTS schema_versions (database INTEGER NOT NULL REFERENCES databases, number INTEGER NOT NULL, at INTEGER NOT NULL,
    fingerprint TEXT NOT NULL, severity TEXT NOT NULL, changes TEXT NOT NULL, cause TEXT NOT NULL, who TEXT NOT NULL,
    checksum INTEGER NOT NULL, delta BLOB NOT NULL, PRIMARY KEY (database, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damaged_schema_versions AS SELECT * FROM schema_versions WHERE false;
)";

std::int64_t schema_tables::database_id(std::string const& name, catalog::database_identity const& identity) {
    statement{file_, "INSERT INTO databases (system_identifier, database_oid, name) VALUES (?, ?, ?)"
                     " ON CONFLICT (system_identifier, database_oid) DO UPDATE SET name = excluded.name"}
        .bind(identity.system_identifier).bind(identity.database).bind(name).step();
    statement found{file_, "SELECT id FROM databases WHERE system_identifier = ? AND database_oid = ?"};
    found.bind(identity.system_identifier).bind(identity.database).step();
    return found.number(0);
}

/// `current`: where objects of initdb come from; may be null. `damage` says what is wrong with the first row that is not returned.
kept_database schema_tables::read(std::int64_t id, catalog::snapshot const* current, std::string* damage) {
    kept_database found;
    statement of{file_, "SELECT name, system_identifier, database_oid FROM databases WHERE id = ?"};
    of.bind(id).step();
    found.name = of.text(0);
    found.identity = {of.text(1), static_cast<catalog::oid>(of.number(2))};
    statement rows{file_, "SELECT number, at, fingerprint, severity, changes, cause, who, checksum, delta FROM schema_versions"
                          " WHERE database = ? ORDER BY number"};
    rows.bind(id);
    while (rows.step()) {
        stored_version row{{static_cast<std::uint64_t>(rows.number(0)), rows.number(1), rows.text(2), rows.text(3), rows.text(4), rows.text(5), rows.text(6)},
                           rows.number(7), rows.text(8)};
        if (auto const added = add_version(found, std::move(row), current); !added) {
            if (damage) *damage = added.error().text;
            break;
        }
    }
    return found;
}

void schema_tables::set_aside(std::int64_t id, std::uint64_t from_number) {
    transaction both{file_};
    auto const from = static_cast<std::int64_t>(from_number);
    statement{file_, "INSERT INTO damaged_schema_versions SELECT * FROM schema_versions WHERE database = ? AND number >= ?"}.bind(id).bind(from).step();
    statement{file_, "DELETE FROM schema_versions WHERE database = ? AND number >= ?"}.bind(id).bind(from).step();
    both.commit();
}

std::vector<catalog::history::kept_version> schema_tables::load(std::shared_ptr<catalog::snapshot const> const& current) {
    auto const& identity = current->identity();
    auto& its = tails_[{identity.system_identifier, identity.database}];
    its = {};
    statement which{file_, "SELECT id FROM databases WHERE system_identifier = ? AND database_oid = ?"};
    which.bind(identity.system_identifier).bind(identity.database);
    if (!which.step()) return {};
    auto const id = which.number(0);
    std::string damage;
    auto const found = read(id, current.get(), &damage);
    if (!damage.empty()) {
        base::log(base::log_level::error, "state.damaged", {{"database", found.name}, {"problem", damage}, {"kept", found.rows.size()}});
        set_aside(id, found.rows.empty() ? 0 : found.rows.back().number + 1);
    }
    auto versions = to_history(found);
    its.rows = versions.size();
    if (!versions.empty()) its.last = found.versions.back();
    return versions;
}

/// Damaged or not: what is whole of it.
std::vector<catalog::history::kept_version> schema_tables::load_namesake(std::string const& database,
                                                                         std::shared_ptr<catalog::snapshot const> const& current) {
    auto const& identity = current->identity();
    statement which{file_, "SELECT d.id FROM databases d JOIN schema_versions v ON v.database = d.id WHERE d.name = ?"
                           " AND (d.system_identifier <> ? OR d.database_oid <> ?) GROUP BY d.id ORDER BY max(v.at) DESC LIMIT 1"};
    which.bind(database).bind(identity.system_identifier).bind(identity.database);
    if (!which.step()) return {};
    return to_history(read(which.number(0), current.get(), nullptr));
}

void schema_tables::insert(std::int64_t id, catalog::snapshot const* before, catalog::snapshot const& version, catalog::step const& how,
                           catalog::version_note const& note) {
    auto const row = to_row(before, version, how, note);
    auto const& about = row.about;
    statement{file_, "INSERT OR REPLACE INTO schema_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"}
        .bind(id).bind(static_cast<std::int64_t>(about.number)).bind(about.at).bind(about.fingerprint).bind(about.severity).bind(about.changes)
        .bind(about.cause).bind(about.by).bind(row.checksum).bind_blob(row.delta).step();
}

void schema_tables::rewrite(std::int64_t id, catalog::history const& schema, catalog::version_note const& note) {
    statement{file_, "DELETE FROM schema_versions WHERE database = ?"}.bind(id).step();
    catalog::snapshot const* before = nullptr;
    for (std::size_t i = 0; i < schema.versions().size(); ++i) {
        auto const& version = *schema.versions()[i];
        insert(id, before, version, *schema.steps()[i], i + 1 == schema.versions().size() ? note : catalog::version_note{});
        before = &version;
    }
}

void schema_tables::save(std::string const& database, catalog::history const& schema, catalog::version_note const& note) {
    auto const& versions = schema.versions();
    auto const& identity = schema.current().identity();
    auto& its = tails_[{identity.system_identifier, identity.database}];
    bool const follows = its.last && its.rows < most_version_rows && versions.size() > 1 && versions[versions.size() - 2] == its.last;
    transaction all{file_};
    auto const id = database_id(database, identity);
    if (follows) insert(id, its.last.get(), *versions.back(), *schema.steps().back(), note);
    else rewrite(id, schema, note);
    all.commit();
    its.rows = follows ? its.rows + 1 : versions.size();
    its.last = versions.back();
}

std::vector<kept_database> schema_tables::all() {
    std::vector<kept_database> found;
    statement ids{file_, "SELECT id FROM databases ORDER BY name, id"};
    while (ids.step()) found.push_back(read(ids.number(0), nullptr, nullptr));
    return found;
}

} // namespace pgmend::store
