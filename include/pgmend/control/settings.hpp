// What the catalog watcher needs to be told.
#pragma once

#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/net/settings.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace pgmend::control {

/// The role that `connection` names needs LOGIN and CONNECT on the databases, nothing else: the catalogs and
/// pg_control_system() are readable by everyone.
struct watcher_settings {
    /// libpq's connection string or URI. YAML: control. Host and port are the backend's, whatever it says; TLS settings
    /// are the backend's unless it names them; its dbname is where the list of databases is read (default: postgres).
    std::string connection;
    net::backend_settings backend;
    std::chrono::milliseconds answer_timeout{5000}; ///< a refresh is answered after this time, whatever happens
    std::chrono::milliseconds load_timeout{30000};  ///< one reading of a catalog, also the statement_timeout there
    /// YAML: watch.poll. How often the counters of writes to the catalog of a watched database are compared; 0: never. After
    /// readings in vain (temporary tables count too) less and less often, at least every `slowest_poll`.
    std::chrono::milliseconds poll_every{250};
    std::chrono::milliseconds slowest_poll{5000};
    /// YAML: watch.verify. How often rows of the catalog that are newer than the last reading are looked for, whatever the
    /// counters say; 0: never.
    std::chrono::milliseconds verify_every{5000};
    /// YAML: watch.keep_versions, watch.keep_for. Earlier versions of a schema that are remembered, and for how long after another
    /// one followed (0: as long as there is room). What is forgotten is not healed any more.
    std::size_t keep_versions{64};
    std::chrono::milliseconds keep_for{0};
    bool listens{true}; ///< YAML: watch.notifications. Whether the event trigger of `pgmend install` is listened to
    backend::shared_breaker* breaker{nullptr}; ///< of connecting; may be null; outlives the watcher
    std::size_t most_startup_databases{32};         ///< of which a version is read at start-up
    std::size_t most_waiting{10000};                ///< refreshes that wait at a time, in all databases together

    bool operator==(watcher_settings const&) const = default;
};

} // namespace pgmend::control
