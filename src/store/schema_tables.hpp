// The tables that hold versions of schemas.
#pragma once

#include "statement.hpp"
#include "version_rows.hpp"

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace pgmend::store {

/// Each version is kept as what differs from the one before in the file. Throws sqlite_error. One thread.
class schema_tables final : public version_tables {
  public:
    /// `file` must outlive this, and have the tables.
    explicit schema_tables(connection const& file) : file_{file} {}

    static char const* const definition; ///< SQL that makes the tables

    [[nodiscard]] std::vector<catalog::history::kept_version> load(std::shared_ptr<catalog::snapshot const> const& current) override;
    [[nodiscard]] std::vector<catalog::history::kept_version> load_namesake(std::string const& database,
                                                                            std::shared_ptr<catalog::snapshot const> const& current) override;
    void save(std::string const& database, catalog::history const& schema, catalog::version_note const& note) override;
    [[nodiscard]] std::vector<kept_database> all() override;

  private:
    /// What is in the file of one database, as far as this process knows.
    struct tail {
        std::shared_ptr<catalog::snapshot const> last;
        std::size_t rows{0};
    };

    std::int64_t database_id(std::string const& name, catalog::database_identity const& identity);
    kept_database read(std::int64_t id, catalog::snapshot const* current, std::string* damage);
    void set_aside(std::int64_t id, std::uint64_t from_number);
    void insert(std::int64_t id, catalog::snapshot const* before, catalog::snapshot const& version, catalog::step const& how,
                catalog::version_note const& note);
    void rewrite(std::int64_t id, catalog::history const& schema, catalog::version_note const& note);

    connection const& file_;
    std::map<std::pair<std::string, catalog::oid>, tail> tails_;
};

} // namespace pgmend::store
