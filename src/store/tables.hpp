// What a store's thread does with the place where records are kept.
#pragma once

#include "version_rows.hpp"

#include "pgmend/state/store.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace pgmend::store {

/// Thrown by tables.
struct failure : std::runtime_error {
    enum class kind_type : bool {
        of_the_place, ///< down, full, busy: the same may work later
        of_the_data,  ///< the same would fail again
    };
    failure(kind_type its_kind, std::string const& what) : std::runtime_error{what}, kind{its_kind} {}
    kind_type kind;
};

/// The place is of a newer pgmend: nothing is written to it.
struct newer_place : failure {
    explicit newer_place(std::string const& what) : failure{kind_type::of_the_place, what} {}
};

/// One thread. Functions wait, and throw `failure`.
class tables {
  public:
    virtual ~tables() = default;

    /// In one transaction, durable after the call.
    virtual void apply(std::vector<state::change> const& changes) = 0;

    [[nodiscard]] virtual std::vector<learning::pattern> patterns() = 0;
    [[nodiscard]] virtual std::vector<state::drift_row> drift() = 0;
    [[nodiscard]] virtual std::vector<state::entry> entries(state::entry::table_type table) = 0;
    [[nodiscard]] virtual std::vector<state::dead_letter> dead_letters() = 0;
    [[nodiscard]] virtual std::vector<state::audit_row> audit() = 0;

    [[nodiscard]] virtual version_tables& schemas() = 0;
};

/// So many rows are kept of what is of less use as it grows old.
inline constexpr std::int64_t most_logged_heals = 100000;
inline constexpr std::int64_t most_drift_rows = 10000;
inline constexpr std::int64_t most_decisions = 10000;

} // namespace pgmend::store
