// Versions of schemas as rows of a table, whichever place it is in.
#pragma once

#include "pgmend/catalog/version_store.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::store {

/// Past so many rows a place holds much that the history gave up: then it is written anew.
inline constexpr std::size_t most_version_rows = 4 * catalog::history::most_versions;

/// What differs from the version before in the same place, and what people are told.
struct stored_version {
    version_row about;
    std::int64_t checksum{0};
    std::string delta;
};

[[nodiscard]] stored_version to_row(catalog::snapshot const* before, catalog::snapshot const& version, catalog::step const& how,
                                    catalog::version_note const& note);

/// Puts the version that the row makes behind the last one. `current`: where objects of initdb come from; may be null. Error: it is
/// damaged, and nothing was put.
[[nodiscard]] base::result<void> add_version(kept_database& to, stored_version row, catalog::snapshot const* current);

[[nodiscard]] std::vector<catalog::history::kept_version> to_history(kept_database const& found);

/// The tables of versions of one place. One thread; functions wait, and throw what the place throws.
class version_tables {
  public:
    virtual ~version_tables() = default;

    /// See catalog::version_store.
    [[nodiscard]] virtual std::vector<catalog::history::kept_version> load(std::shared_ptr<catalog::snapshot const> const& current) = 0;
    [[nodiscard]] virtual std::vector<catalog::history::kept_version> load_namesake(std::string const& database,
                                                                                    std::shared_ptr<catalog::snapshot const> const& current) = 0;
    virtual void save(std::string const& database, catalog::history const& schema, catalog::version_note const& note) = 0;
    [[nodiscard]] virtual std::vector<kept_database> all() = 0;
};

} // namespace pgmend::store
