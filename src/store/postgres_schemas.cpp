#include "postgres_schemas.hpp"

#include "postgres_text.hpp"

#include "pgmend/base/log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgmend::store {
namespace {

state::time_point at(std::int64_t microseconds_since_1970) { return state::time_point{std::chrono::microseconds{microseconds_since_1970}}; }

std::string identified_by(catalog::database_identity const& identity) {
    return fmt::format("system_identifier = {} AND database_oid = {}", literal(identity.system_identifier), identity.database);
}

} // namespace

/// `last` may be null.
kept_database postgres_schemas::read(std::string const& id, catalog::snapshot const* current, std::string* damage, tail* last) {
    auto const answers = run_(fmt::format("SELECT database, system_identifier, database_oid FROM pgmend.databases WHERE id = {0};"
                                          " SELECT number, {1}, fingerprint, severity, changes, cause, who, checksum, delta"
                                          " FROM pgmend.schema_versions WHERE database_id = {0} ORDER BY number",
                                          id, microseconds("at")));
    kept_database found;
    auto const& of = answers.at(0);
    if (of.size() == 0) return found;
    found.name = of.text(0, 0);
    found.identity = {std::string{of.text(0, 1)}, static_cast<catalog::oid>(number(of.text(0, 2)))};
    auto const& r = answers.at(1);
    for (std::size_t i = 0; i < r.size(); ++i) {
        auto const text = [&](std::size_t column) { return std::string{r.text(i, column)}; };
        stored_version row{{count(r.text(i, 0)), number(r.text(i, 1)), text(2), text(3), text(4), text(5), text(6)}, number(r.text(i, 7)), bytes_of_hex(r.text(i, 8))};
        if (auto const added = add_version(found, std::move(row), current); !added) {
            if (damage) *damage = added.error().text;
            break;
        }
        if (last) *last = {found.versions.back(), found.rows.back().number, text(7)};
    }
    return found;
}

std::vector<catalog::history::kept_version> postgres_schemas::load(std::shared_ptr<catalog::snapshot const> const& current) {
    auto const& identity = current->identity();
    auto& its = tails_[{identity.system_identifier, identity.database}];
    its = {};
    auto const which = run_("SELECT id FROM pgmend.databases WHERE " + identified_by(identity));
    if (which.front().size() == 0) return {};
    std::string const id{which.front().text(0, 0)};
    std::string damage;
    auto const found = read(id, current.get(), &damage, &its);
    if (!damage.empty()) {
        base::log(base::log_level::error, "state.damaged", {{"database", found.name}, {"problem", damage}, {"kept", found.rows.size()}});
        run_(fmt::format("WITH gone AS (DELETE FROM pgmend.schema_versions WHERE database_id = {} AND number > {} RETURNING *)"
                         " INSERT INTO pgmend.damaged_schema_versions SELECT * FROM gone", id, its.number));
    }
    return to_history(found);
}

std::vector<catalog::history::kept_version> postgres_schemas::load_namesake(std::string const& database,
                                                                            std::shared_ptr<catalog::snapshot const> const& current) {
    auto const which = run_(fmt::format("SELECT d.id FROM pgmend.databases AS d JOIN pgmend.schema_versions AS v ON v.database_id = d.id WHERE d.database = {}"
                                        " AND NOT ({}) GROUP BY d.id ORDER BY max(v.at) DESC LIMIT 1", literal(database), identified_by(current->identity())));
    if (which.front().size() == 0) return {};
    return to_history(read(std::string{which.front().text(0, 0)}, current.get(), nullptr, nullptr));
}

/// Text that adds one version, and what changed with it as rows that people can read.
std::string postgres_schemas::insert(std::string const& id, std::string const& database, std::uint64_t its_number, catalog::snapshot const* before,
                                     catalog::snapshot const& version, catalog::step const& how, catalog::version_note const& note, tail& last) {
    auto const row = to_row(before, version, how, note);
    auto out = fmt::format("INSERT INTO pgmend.schema_versions (database_id, number, database, at, fingerprint, severity, changes, cause, who, checksum, delta)"
                           " VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});\n",
                           id, its_number, literal(database), literal(at(row.about.at)), literal(row.about.fingerprint), literal(row.about.severity),
                           literal(row.about.changes), literal(note.cause), literal(note.by), row.checksum, bytea_literal(row.delta));
    last.number = its_number;
    last.checksum = std::to_string(row.checksum);
    std::string rows;
    std::size_t position = 0;
    for (auto const& c : how.changes) {
        using enum catalog::change_kind;
        if (c.kind != renamed && c.kind != moved && c.kind != replaced && c.kind != retyped && c.kind != dropped) continue;
        rows += fmt::format("{}({}, {}, {}, {}, {}, {}, {}, {}, {}, {})", rows.empty() ? "" : ", ", id, its_number, position++, literal(database), literal(at(row.about.at)),
                            literal(catalog::to_text(c.object)), literal(catalog::to_text(c.kind)), literal(c.name), literal(c.before), literal(c.after));
    }
    if (!rows.empty())
        out += fmt::format("INSERT INTO pgmend.lineage (database_id, number, position, database, at, object, change, name, before, after) VALUES {};\n", rows);
    return out;
}

void postgres_schemas::save(std::string const& database, catalog::history const& schema, catalog::version_note const& note) {
    auto const& versions = schema.versions();
    auto const& newest = versions.back();
    auto const& identity = newest->identity();
    auto& its = tails_[{identity.system_identifier, identity.database}];
    // The row of the database is locked, so that all writers take their turns.
    begin_();
    auto const found = run_(fmt::format("INSERT INTO pgmend.databases AS d (system_identifier, database_oid, database) VALUES ({}, {}, {})"
                                        " ON CONFLICT (system_identifier, database_oid) DO UPDATE SET database = excluded.database RETURNING id",
                                        literal(identity.system_identifier), identity.database, literal(database)));
    std::string const id{found.front().text(0, 0)};
    auto const there = run_(fmt::format("SELECT number, checksum, {}, (SELECT count(*) FROM pgmend.schema_versions WHERE database_id = {}) FROM pgmend.schema_versions"
                                        " WHERE database_id = {} ORDER BY number DESC LIMIT 1", microseconds("at"), id, id));
    auto const& last = there.front();
    bool const any = last.size() > 0;
    bool const known = any && its.last && count(last.text(0, 0)) == its.number && last.text(0, 1) == its.checksum;
    // The newest is there, and is to be saved all the same: what was before it is new (lineage of a database that was restored).
    bool const another_past = any && its.last == newest;
    auto now = its;
    std::string script;
    if (!any || another_past || count(last.text(0, 3)) >= most_version_rows) {
        script = fmt::format("DELETE FROM pgmend.lineage WHERE database_id = {0}; DELETE FROM pgmend.schema_versions WHERE database_id = {0};\n", id);
        catalog::snapshot const* before = nullptr;
        for (std::size_t i = 0; i < versions.size(); ++i) {
            script += insert(id, database, schema.steps()[i]->generation, before, *versions[i], *schema.steps()[i],
                             i + 1 == versions.size() ? note : catalog::version_note{}, now);
            before = versions[i].get();
        }
    } else {
        if (!known) (void)read(id, newest.get(), nullptr, &now); // another pgmend was here
        auto const& how = *schema.steps().back();
        bool const older = !known && number(last.text(0, 2)) > how.at;
        if (now.last && now.last->same_schema(*newest)) {
            run_("COMMIT");
            now.last = newest;
            its = std::move(now);
            return;
        }
        if (older || !now.last) {
            run_("COMMIT");
            return;
        }
        script = insert(id, database, std::max(how.generation, now.number + 1), now.last.get(), *newest, how, note, now);
    }
    now.last = newest;
    run_(script + "COMMIT");
    its = std::move(now);
}

std::vector<kept_database> postgres_schemas::all() {
    std::vector<kept_database> found;
    auto const ids = run_("SELECT id FROM pgmend.databases ORDER BY database, id");
    for (std::size_t i = 0; i < ids.front().size(); ++i) found.push_back(read(std::string{ids.front().text(i, 0)}, nullptr, nullptr, nullptr));
    return found;
}

} // namespace pgmend::store
