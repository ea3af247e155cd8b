// The tables of a PostgreSQL database that hold versions of schemas.
#pragma once

#include "version_rows.hpp"

#include "pgmend/pg/pg_connection.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::store {

/// Several pgmends see the same changes and write here: a version that is there already is not written again, and one that is older
/// than the newest here is left out. Who begins anew has the chain that all have made together.
class postgres_schemas final : public version_tables {
  public:
    /// One transaction, or a part of one that is open. Throws `failure`, and then none is open.
    using runner = std::function<std::vector<pg::rows>(std::string)>;

    /// `begin`: begins a transaction that writes.
    postgres_schemas(runner run, std::function<void()> begin) : run_{std::move(run)}, begin_{std::move(begin)} {}

    [[nodiscard]] std::vector<catalog::history::kept_version> load(std::shared_ptr<catalog::snapshot const> const& current) override;
    [[nodiscard]] std::vector<catalog::history::kept_version> load_namesake(std::string const& database,
                                                                            std::shared_ptr<catalog::snapshot const> const& current) override;
    void save(std::string const& database, catalog::history const& schema, catalog::version_note const& note) override;
    [[nodiscard]] std::vector<kept_database> all() override;

  private:
    /// The last version there, as far as this process knows.
    struct tail {
        std::shared_ptr<catalog::snapshot const> last;
        std::uint64_t number{0};
        std::string checksum;
    };

    [[nodiscard]] kept_database read(std::string const& id, catalog::snapshot const* current, std::string* damage, tail* last);
    tail load_tail(std::string const& id, std::string const& database, catalog::snapshot const& current);
    [[nodiscard]] std::string insert(std::string const& id, std::string const& database, std::uint64_t number, catalog::snapshot const* before,
                                     catalog::snapshot const& version, catalog::step const& how, catalog::version_note const& note, tail& last);

    runner run_;
    std::function<void()> begin_;
    std::map<std::pair<std::string, catalog::oid>, tail> tails_;
};

} // namespace pgmend::store
