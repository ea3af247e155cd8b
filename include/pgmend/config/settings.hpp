// Everything that can be configured, with its default, unit and YAML key beside it.
#pragma once

#include "pgmend/backend/breaker.hpp"
#include "pgmend/backend/bulkhead.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/healing/settings.hpp"
#include "pgmend/healing/shown_text.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/net/settings.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::config {

/// automatic: text on a terminal, json otherwise (YAML: auto).
enum class log_format : std::uint8_t { automatic, text, json };

/// What a log line, and a row of transaction_logs, may show of a statement.
using log_statements = healing::statement_form;

struct log_settings {
    log_format format{log_format::automatic};               ///< YAML: log.format: auto | text | json
    base::log_level level{base::log_level::info};           ///< YAML: log.level: debug | info | warning | error
    log_statements statements{log_statements::normalized};  ///< YAML: log.statements: normalized | full
    std::string file;                                       ///< YAML: log.file; empty: standard error

    bool operator==(log_settings const&) const = default;
};

struct rule_settings {
    std::vector<std::string> paths; ///< YAML: rules, or rules.path: a directory, a file, or a list of both; relative to the configuration file
    bool watch{false};              ///< YAML: rules.watch: read them again as soon as one is saved

    bool operator==(rule_settings const&) const = default;
};

/// How changes of the schema are found; control::watcher_settings says what each means.
struct watch_settings {
    std::chrono::milliseconds poll{250};    ///< YAML: watch.poll; 0: never
    std::chrono::milliseconds verify{5000}; ///< YAML: watch.verify; 0: never
    bool notifications{true};               ///< YAML: watch.notifications
    std::size_t keep_versions{64};          ///< YAML: watch.keep_versions
    std::chrono::milliseconds keep_for{0};  ///< YAML: watch.keep_for; 0: as long as there is room

    bool operator==(watch_settings const&) const = default;
};

struct settings {
    net::listen_settings listen;                     ///< YAML: listen
    std::vector<net::backend_settings> backends;     ///< YAML: backends; at least one
    /// YAML: control. libpq connection string for reading the catalog; without it nothing can be healed.
    std::optional<std::string> control;
    watch_settings watch;                            ///< YAML: watch
    std::string state;                               ///< YAML: state; a SQLite file; empty: nothing is remembered across restarts
    net::health_settings health;                     ///< YAML: health
    net::routing_settings routing;                   ///< YAML: read_only_to, max_replay_lag, lost_sessions
    backend::breaker_settings breaker;               ///< YAML: breaker
    backend::bulkhead_limits limits;                 ///< YAML: limits
    healing::settings healing;                       ///< YAML: healing
    learning::book_limits patterns;                  ///< YAML: patterns
    rule_settings rules;                             ///< YAML: rules
    net::admin_settings admin;                       ///< YAML: admin
    log_settings log;                                ///< YAML: log
    unsigned workers{0};                             ///< YAML: workers; threads, 0: one per core
    std::chrono::seconds shutdown_grace{30};         ///< YAML: shutdown_grace; how long open transactions may take to end

    bool operator==(settings const&) const = default;
};

/// What a backend is before the file or the command line says more: as its own defaults, but TLS `prefer`, as libpq's.
[[nodiscard]] net::backend_settings default_backend();

/// What `pgmend check` shows: one line a topic, each ending in a newline. Passwords are masked.
[[nodiscard]] std::string summary(settings const& s);

/// The same as pairs of topic and text.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> summary_lines(settings const& s);

/// The changed settings, by YAML key, that only a restart can apply (listen.address, listen.port, workers, state).
/// All other changes can be applied to a running proxy.
[[nodiscard]] std::vector<std::string> restart_needed(settings const& before, settings const& after);

} // namespace pgmend::config
