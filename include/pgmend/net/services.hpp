// What every session needs of the process around it.
#pragma once

#include "pgmend/base/published.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/settings.hpp"
#include "pgmend/healing/shown_text.hpp"
#include "pgmend/learning/observer.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/net/backend_set.hpp"
#include "pgmend/net/cancel_registry.hpp"
#include "pgmend/net/console.hpp"
#include "pgmend/net/kept_answers.hpp"
#include "pgmend/net/settings.hpp"
#include "pgmend/net/tls_context.hpp"
#include "pgmend/net/waiting_room.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/state/store.hpp"
#include "pgmend/telemetry/journal.hpp"
#include "pgmend/telemetry/registry.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace pgmend::net {

/// All that a reload may change, as one value: a session takes it at its start.
struct live_settings {
    listen_settings listen;
    tls_context client_tls; ///< null: off
    std::vector<std::shared_ptr<backend_server const>> servers; ///< in the order of the file; at least one
    routing_settings routing;
    health_settings health;
    backend::bulkhead_limits limits;
    healing::settings healing;
    healing::statement_form statements{}; ///< in the log and in the state: YAML: log.statements
    admin_settings admin;
};

/// Owned by the application, outlives every worker. Used from all of their threads.
struct services {
    services(std::shared_ptr<live_settings const> first, std::shared_ptr<backend_set> servers)
        : settings{std::move(first)}, backends{std::move(servers)} {}

    base::published<live_settings> settings;
    /// The user's rules: a statement takes them at its start and keeps them to its end. Never null.
    base::published<rules::rule_set> rules{std::make_shared<rules::rule_set const>()};
    /// What pgmend has learned, as the learner last published it. Never null.
    base::published<learning::pattern_book> book{std::make_shared<learning::pattern_book const>()};
    learning::observer* observer{nullptr}; ///< null: nobody learns
    state::store* state{nullptr};          ///< null: nothing is kept across restarts
    state::drift_log* drift{nullptr};      ///< null: nobody counts what drifts
    console* admin{nullptr};               ///< null: the admin database is one like any other
    cancel_registry cancels;
    std::shared_ptr<backend_set> backends; ///< never null
    waiting_room rooms;
    kept_answers answers; ///< of statements that rules with `fallback` name
    catalog::schema_source* schemas{nullptr}; ///< null: no control connection, nothing is healed
    std::atomic<std::uint32_t> clients{0};    ///< connected now
    std::atomic<bool> draining{false};        ///< no new clients; transactions under way end
    telemetry::registry figures;
    telemetry::journal journal;
};

} // namespace pgmend::net
