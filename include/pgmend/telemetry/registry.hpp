// Where figures are kept: a block for each worker, and in it one for each database.
#pragma once

#include "pgmend/telemetry/counters.hpp"
#include "pgmend/telemetry/labels.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pgmend::telemetry {

/// Traffic of one database on one worker, as PgBouncer counts it. Written by the worker's thread only.
struct alignas(64) database_figures {
    counter transactions;
    counter statements;
    counter received_bytes; ///< from clients
    counter sent_bytes;     ///< to clients
    counter transaction_us;
    counter statement_us;
    counter wait_us;        ///< clients waited for their server connection
};

/// The same at one moment, of all workers.
struct database_totals {
    std::uint64_t transactions{0};
    std::uint64_t statements{0};
    std::uint64_t received_bytes{0};
    std::uint64_t sent_bytes{0};
    std::uint64_t transaction_us{0};
    std::uint64_t statement_us{0};
    std::uint64_t wait_us{0};
};

/// What one worker counts. Written by its thread only; its own cache lines.
struct alignas(64) worker_figures {
    histogram statements[statement_kinds.size()][tier_count];
    counter errors[class_count]; ///< errors that reached a client, by SQLSTATE class
    counter heals[tier_count][evidences.size()][strategies.size()][heal_outcomes.size()];
    counter refusals[refusal_reasons];        ///< by healing::refusal_kind; the last one: for another reason
    counter drifts;              ///< silent ones, reported
    counter drifts_blocked;
    histogram heal_duration[tier_count];
    histogram server_wait;       ///< how long clients waited for their server connection
    counter clients_accepted;
    counter clients_rejected;
    counter servers_connected;
    counter servers_failed;      ///< could not be connected
    counter servers_lost;        ///< went away under a session
    counter sessions_moved;      ///< that went on at another server when theirs was lost
    counter reads_at_replica;    ///< transactions that began read-only and ran at a replica
    counter fallbacks_memory;    ///< requests answered from memory while their server did not answer
    counter fallbacks_replica;   ///< or by a replica
    // As they were when the worker last looked (worker::sample).
    counter lag_us;              ///< between a task's posting and its run
    counter most_lag_us;         ///< since start
    counter clients;
    counter servers;
    counter logging_in;
    counter cache_hits;
    counter cache_misses;
    counter cache_evicted;
    counter cache_outdated;
    counter cache_entries;
    counter cache_bytes;

    std::map<std::string, std::unique_ptr<database_figures>> databases; ///< guarded by the registry
};

/// All figures of the process. Blocks live as long as it does.
class registry {
  public:
    static constexpr std::size_t most_databases = 256; ///< names beyond count as one, "(others)"

    worker_figures& add_worker();
    /// The worker's block for a database: ask once for a session.
    database_figures& of(worker_figures& worker, std::string const& database);

    /// Blocks are never removed; those added later are not in it.
    [[nodiscard]] std::vector<worker_figures const*> workers() const;
    [[nodiscard]] std::map<std::string, database_totals> databases() const;

  private:
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<worker_figures>> workers_;
};

/// What a session's machine writes to; all null where nobody counts.
struct meter {
    worker_figures* worker{nullptr};
    database_figures* database{nullptr};
    std::uint64_t now_us{0}; ///< of a steady clock

    void finished(std::string_view tag, std::size_t tier, std::uint64_t took_us) const {
        if (worker == nullptr) return;
        worker->statements[static_cast<std::size_t>(kind_of_tag(tag))][tier].add(took_us);
        database->statements.add();
        database->statement_us.add(took_us);
    }
    void failed(std::string_view sqlstate) const {
        if (worker != nullptr) worker->errors[class_of(sqlstate)].add();
    }
    void transaction_ended(std::uint64_t took_us) const {
        if (worker == nullptr) return;
        database->transactions.add();
        database->transaction_us.add(took_us);
    }
};

} // namespace pgmend::telemetry
