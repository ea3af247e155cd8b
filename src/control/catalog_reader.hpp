// Reads one database's catalog over a connection of its own.
#pragma once

#include "changed_objects.hpp"

#include "pgmend/catalog/history.hpp"
#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::control {

/// What a connection prepares: for measuring it. `server_version` as 150020.
[[nodiscard]] std::string statements_to_prepare(int server_version);

/// A logged-in connection to one database together with what cannot change while it lasts: which database it is, and
/// what initdb made. Owned by catalog_loop, on its thread; one call at a time.
class catalog_reader {
  public:
    explicit catalog_reader(boost::asio::io_context& io) : connection_{io} {}

    /// What one reading found.
    struct reading {
        std::shared_ptr<catalog::snapshot const> schema;
        std::size_t changed{0};     ///< objects that differ from `before`
        bool complete{true};        ///< nothing that was committed before is missing; else only what was asked for is known to be new
        base::duration took{};      ///< until the last row had come, without connecting and without what is read only once
    };

    /// Connects and makes the session safe and quick: search_path is pg_catalog, nothing can be written, no statement
    /// outlives `statement_timeout`.
    /// `listens`: notifications will wake it; a standby cannot give any, and is read all the same.
    pg::task<pg::result<void>> open(pg::parameters login, std::chrono::milliseconds statement_timeout, bool listens,
                                    base::time_point deadline);

    /// Reads the schema as it is at one moment after this call; shares what is as in `before` (may be null). As little is read as
    /// suffices:
    ///   `what` names objects            those, by oid: well under a millisecond
    ///   this connection read before     rows that are newer (catalog_scan): a few milliseconds, whatever happened; most often none
    ///   else                            everything; also where the ways above contradict themselves
    pg::task<pg::result<reading>> read(std::shared_ptr<catalog::snapshot const> before, changed_objects what, base::time_point deadline);

    /// What has one of these names (sorted), or had one in a version that is known, with what those objects rest on. Without a schema: that takes a reading of
    /// everything.
    pg::task<pg::result<reading>> read_called(std::shared_ptr<catalog::history const> known, std::vector<std::string> names, base::time_point deadline);

    static reading nothing(); ///< no schema: read everything instead

    /// Until somebody notifies the channel of pgmend's event trigger (what they named), the deadline, or an interrupt of the
    /// connection (nothing).
    pg::task<pg::result<changed_objects>> wait_for_change(base::time_point deadline);

    /// Who changed the schema, as the event trigger told last: `user, application_name, command tag`; empty: not told.
    [[nodiscard]] std::string const& who() const { return who_; }
    void forget_who() { who_.clear(); }

    /// Whether rows of the catalogs were written since `read` began: an upper bound (temporary tables, TRUNCATE and VACUUM FULL
    /// count too) that may come late by up to 10 s, when the writer's session reports its counters.
    pg::task<pg::result<bool>> moved(base::time_point deadline);

    [[nodiscard]] bool is_open() const { return connection_.is_open(); }
    [[nodiscard]] int server_version() const { return connection_.server_version(); }
    [[nodiscard]] pg::pg_connection& connection() { return connection_; }

  private:
    using snapshot_ptr = std::shared_ptr<catalog::snapshot const>;

    pg::task<pg::result<void>> read_constants(base::time_point deadline);
    pg::task<pg::result<reading>> read_all(snapshot_ptr before, base::time_point deadline);
    static reading made_of(snapshot_ptr const& before, catalog::replacements const& what, bool complete);
    pg::task<pg::result<reading>> read_named(snapshot_ptr before, changed_objects what, base::time_point deadline);
    pg::task<pg::result<reading>> read_newer(snapshot_ptr before, base::time_point deadline);
    pg::task<pg::result<fresh_objects>> read_objects(changed_objects const& which, std::string_view then, base::time_point deadline);
    pg::task<pg::result<std::string>> count_writes(base::time_point deadline);
    pg::task<void> roll_back(base::time_point deadline);

    pg::pg_connection connection_;
    catalog::database_identity identity_;
    catalog::contents system_; ///< no relations: not yet read
    std::string counters_; ///< of writes to the catalog, before the last complete reading
    std::string last_commit_; ///< the snapshot when it was last looked whether anything was written; while it is the same, nothing was committed
    base::time_point quiet_since_{}; ///< last_commit_ is the same since then
    std::string moment_;   ///< the snapshot (txid_snapshot) of the last complete reading; empty: there was none
    std::string who_;
};

} // namespace pgmend::control
