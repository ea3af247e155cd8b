// The tables of a SQLite file.
#pragma once

#include "schema_tables.hpp"
#include "statement.hpp"
#include "tables.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace pgmend::store {

/// One thread. Opens or makes the file and brings its tables up to date; throws `failure`, also where a newer pgmend made it.
class sqlite_tables final : public tables {
  public:
    explicit sqlite_tables(std::string const& path, bool read_only = false, std::shared_ptr<bool> damaged = nullptr);

    void apply(std::vector<state::change> const& changes) override;
    [[nodiscard]] std::vector<learning::pattern> patterns() override;
    [[nodiscard]] std::vector<state::drift_row> drift() override;
    [[nodiscard]] std::vector<state::entry> entries(state::entry::table_type table) override;
    [[nodiscard]] std::vector<state::dead_letter> dead_letters() override;
    [[nodiscard]] std::vector<state::audit_row> audit() override;

    [[nodiscard]] schema_tables& schemas() override { return schemas_; }

    /// How the tables look; a file with a greater one was made by a newer pgmend.
    static constexpr std::int64_t our_version = 2;
    [[nodiscard]] static std::int64_t version_of(connection const& file);

  private:
    void migrate();
    template <class F>
    auto guarded(F work) -> decltype(work());
    void apply(state::pattern_change const& it);
    void apply(state::pattern_removed const& it);
    void apply(state::drift_change const& it);
    void apply(state::heal_row const& it);
    void apply(state::audit_row const& it);
    void apply(state::dead_letter const& it);
    void apply(state::entry const& it);
    void tidy();

    connection file_;
    schema_tables schemas_;
    bool grown_{false}; ///< rows of bounded tables were added
};

} // namespace pgmend::store
