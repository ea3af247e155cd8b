// Relations with their columns, keys and unique indexes: the questions as SQL, the answers as values.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/pg/pg_connection.hpp"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgmend::control {

/// Which objects: those that initdb made (oid below catalog::first_user_oid) can hardly change, so one connection reads them
/// once; all others.
enum class origin : bool { system, user };

/// The schemas whose contents are left out, as a condition on pg_namespace n: temporary ones, whoever's they are, and toast.
inline constexpr auto lasting_schema = "n.nspname !~ '^pg_(temp_|toast)'";

/// A row for each live column, and one with NULLs for a relation without columns. Without temporary relations. Everything it
/// reads is readable by every role. Plain rows: aggregating the columns per relation was measured to be no faster.
/// `server_version` as 150020: what that version lacks is left out.
[[nodiscard]] std::string relations_statement(origin which, int server_version);

/// The users' constraints, and their valid unique indexes; also those of temporary relations.
[[nodiscard]] std::string constraints_statement();
[[nodiscard]] std::string unique_indexes_statement(int server_version);

/// Puts the answers of the three statements together. Rows in any order.
class relation_rows {
  public:
    void add_columns(pg::rows const& answer);
    void add_constraints(pg::rows const& answer);    ///< of relations that are there already; others are ignored
    void add_unique_indexes(pg::rows const& answer); ///< the same

    [[nodiscard]] std::vector<catalog::snapshot::relation_ptr> take(); ///< in no order; ends the use of this

  private:
    std::unordered_map<catalog::oid, std::shared_ptr<catalog::relation>> by_id_;
};

} // namespace pgmend::control
