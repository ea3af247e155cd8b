// The tables of a PostgreSQL database.
#pragma once

#include "postgres_schemas.hpp"
#include "tables.hpp"

#include "pgmend/pg/blocking_connection.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::store {

/// One thread. Connects, and makes the schema `pgmend` or brings it up to date where it is not; throws `failure`, also where a newer
/// pgmend made it.
class postgres_tables final : public tables {
  public:
    explicit postgres_tables(std::string const& connection, std::string const& application_name = "pgmend state");

    void apply(std::vector<state::change> const& changes) override;
    [[nodiscard]] std::vector<learning::pattern> patterns() override { return patterns("true"); }
    [[nodiscard]] std::vector<state::drift_row> drift() override;
    [[nodiscard]] std::vector<state::entry> entries(state::entry::table_type table) override;
    [[nodiscard]] std::vector<state::dead_letter> dead_letters() override;
    [[nodiscard]] std::vector<state::audit_row> audit() override;

    [[nodiscard]] postgres_schemas& schemas() override { return schemas_; }

    /// What `pgmend learn` found of each database, as the text of a rule file.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> learned_rules();
    void keep_learned_rules(std::string const& database, std::string const& text);

    /// For the thread that listens to other instances.
    void listen();
    /// Waits; ids of patterns that somebody has decided on or found meanwhile.
    [[nodiscard]] std::vector<std::uint64_t> changed(std::chrono::milliseconds patience);
    [[nodiscard]] std::vector<learning::pattern> patterns(std::vector<std::uint64_t> const& ids);

    static constexpr int our_version = 2;

  private:
    void migrate();
    void refuse_newer(int version) const;
    void begin(); ///< a transaction that writes
    [[nodiscard]] std::vector<learning::pattern> patterns(std::string const& where);
    [[nodiscard]] std::vector<pg::rows> run(std::string sql);

    pg::blocking_connection session_;
    postgres_schemas schemas_{[this](std::string sql) { return run(std::move(sql)); }, [this] { begin(); }};
};

} // namespace pgmend::store
