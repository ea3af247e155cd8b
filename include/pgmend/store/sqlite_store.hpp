// What is remembered, in a SQLite file.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/catalog/version_store.hpp"
#include "pgmend/store/batching_store.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::store {

/// A version, for people.
struct version_row {
    std::uint64_t number{0};
    std::int64_t at{0}; ///< microseconds since 1970
    std::string fingerprint, severity, changes, cause, by;
};

/// Histories of schemas, and the records of the state port. A file that is damaged is renamed and a new one is begun; a version that
/// is damaged is set aside inside the file, and with it those after it. Either is logged as `state.damaged`.
class sqlite_store final : public batching_store {
  public:
    explicit sqlite_store(std::string path, batch_settings settings = {});
    ~sqlite_store() override; ///< stops

  private:
    sqlite_store(std::string path, batch_settings settings, std::shared_ptr<bool> damaged);
    [[nodiscard]] bool damaged() const override { return *damaged_; }

    std::shared_ptr<bool> damaged_; ///< of the store's thread
};

/// Why a file must not be used at all: a newer pgmend made it. Nothing: it may, or there is none.
[[nodiscard]] base::result<void> check_file(std::string const& path);

/// For `pgmend schema diff`: reads a place that pgmend may be writing.
struct kept_database {
    std::string name;
    catalog::database_identity identity;
    std::vector<version_row> rows;
    std::vector<std::shared_ptr<catalog::snapshot const>> versions; ///< one for each row
};
[[nodiscard]] base::result<std::vector<kept_database>> read_all(std::string const& place); ///< a file, or postgresql://…

/// For `pgmend report`, `rules export` and `dead-letters`: the same of the other records.
struct kept_records {
    std::vector<learning::pattern> patterns;
    std::vector<state::drift_row> drift;
    std::vector<state::dead_letter> dead_letters;
    std::vector<state::audit_row> audit;
};
[[nodiscard]] base::result<kept_records> read_records(std::string const& place); ///< a file, or postgresql://…
/// Marks a dead letter; waits until that is durable.
[[nodiscard]] base::result<void> mark(std::string const& place, state::dead_letter const& letter);

} // namespace pgmend::store
