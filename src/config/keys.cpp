#include "keys.hpp"

#include "pgmend/config/address.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgmend::config {
namespace {

using d = destination;
using v = key_value;


template <class T>
T& as(v& value) { return std::get<T>(value); }
template <class T>
T whole(v& value) { return static_cast<T>(as<std::uint64_t>(value)); } // checked against `most` before
std::chrono::seconds as_seconds(v& value) {
    return std::chrono::duration_cast<std::chrono::seconds>(as<std::chrono::milliseconds>(value));
}

void nothing(d&, v&) {} // a mapping: its keys do the work

void set_reads(d& to, v& x) { to.all->healing.policy.set_reads(to.evidence, healing::action{whole<std::uint8_t>(x)}); }
void set_writes(d& to, v& x) { (void)to.all->healing.policy.set_writes(to.evidence, healing::action{whole<std::uint8_t>(x)}); }

void set_http(d& to, v& x) { // checked by the reader
    auto const where = parse_listen_address(as<std::string>(x));
    if (!where) return;
    to.all->admin.http.address = where->first;
    to.all->admin.http.port = where->second;
}

void set_rule_paths(d& to, v& x) { to.all->rules.paths = as<std::vector<std::string>>(x); }

void set_window(d& to, v& x) {
    auto& breaker = to.all->breaker;
    breaker.window_time = {};
    if (auto const* const time = std::get_if<std::chrono::milliseconds>(&x)) breaker.window_time = *time;
    else breaker.window_calls = static_cast<std::uint32_t>(std::min<std::uint64_t>(as<std::uint64_t>(x), 1000000));
}

constexpr std::uint64_t second = 1000; // in milliseconds
constexpr std::uint64_t hour = 3600 * second;

// In the order of the enumerations.
constexpr std::array<std::string_view, 6> tls_modes{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
constexpr std::array<std::string_view, 3> healing_modes{"off", "observe", "heal"};
constexpr std::array<std::string_view, 3> log_formats{"auto", "text", "json"};
constexpr std::array<std::string_view, 4> log_levels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> statement_forms{"normalized", "full"};
constexpr std::array<std::string_view, 3> roles{"primary", "replica", "auto"};
constexpr std::array<std::string_view, 2> lost_sessions{"move", "end"};
constexpr std::array<std::string_view, 3> breaker_modes{"off", "observe", "enforce"};
constexpr std::array<std::string_view, 3> guards{"off", "savepoint", "replay"};
constexpr std::array<std::string_view, 2> silent_answers{"report", "block_writes"};
constexpr std::array<std::string_view, 3> evidence_answers{"off", "propose", "heal"};

constexpr std::array<std::string_view, 2> readers{"open", "token"};

using enum key_type;

constexpr key keys[] = {
    {"", "listen", mapping, "", "where clients connect", nothing, "listen"},
    {"listen", "address", listen_address, "127.0.0.1", "an IP address, * for every address, or localhost",
     [](d& to, v& x) { to.all->listen.address = as<std::string>(x); }},
    {"listen", "port", number, "6432", "0: any free port",
     [](d& to, v& x) { to.all->listen.port = whole<std::uint16_t>(x); }, {}, {}, 0, 65535},
    {"listen", "tls", mapping, "", "encryption towards clients", nothing, "tls"},
    {"listen", "backlog", number, "1024", "connections that wait to be accepted",
     [](d& to, v& x) { to.all->listen.backlog = whole<int>(x); }, {}, {}, 1, 65535},
    {"listen", "login_timeout", seconds, "60s", "how long a login may take",
     [](d& to, v& x) { to.all->listen.login_timeout = as_seconds(x); }, {}, {}, second, hour},
    {"listen", "max_clients", number, "10000", "clients at the same time; more are refused",
     [](d& to, v& x) { to.all->listen.most_clients = whole<std::uint32_t>(x); }, {}, {}, 1, 1000000},

    {"tls", "mode", choice, "disable; of a backend: prefer", "as libpq's sslmode",
     [](d& to, v& x) { to.tls->mode = net::tls_mode{whole<std::uint8_t>(x)}; }, {}, tls_modes},
    {"tls", "cert", path, "", "PEM file: certificate chain", [](d& to, v& x) { to.tls->cert = as<std::string>(x); }},
    {"tls", "key", path, "", "PEM file: private key of cert", [](d& to, v& x) { to.tls->key = as<std::string>(x); }},
    {"tls", "ca", path, "", "PEM file: trusted certificates", [](d& to, v& x) { to.tls->ca = as<std::string>(x); }},

    {"", "backends", list_of_mappings, "", "the PostgreSQL servers of one cluster", nothing, "backend"},
    {"backend", "name", text, "primary", "what messages call it",
     [](d& to, v& x) { to.backend->name = as<std::string>(x); }},
    {"backend", "host", backend_host, "127.0.0.1", "a name, an IP address, or the directory of a Unix socket; several servers: a list with commas",
     [](d& to, v& x) { to.backend->host = as<std::string>(x); }},
    {"backend", "port", number, "5432", "", [](d& to, v& x) { to.backend->port = whole<std::uint16_t>(x); }, {}, {}, 1, 65535},
    {"backend", "role", choice, "primary", "what it is to the others; auto: as the server says, now and after a failover",
     [](d& to, v& x) { to.backend->role = backend::configured_role{whole<std::uint8_t>(x)}; }, {}, roles},
    {"backend", "tls", mapping, "", "encryption towards this server", nothing, "tls"},
    {"backend", "connect_timeout", milliseconds, "5s", "how long connecting may take",
     [](d& to, v& x) { to.backend->connect_timeout = as<std::chrono::milliseconds>(x); }, {}, {}, 10, hour},

    {"", "control", connection, "", "libpq connection string for reading the catalog; host and port come from the backend",
     [](d& to, v& x) { to.all->control = as<std::string>(x); }},
    {"", "watch", mapping, "", "how changes of the schema are found", nothing, "watch"},
    {"watch", "poll", milliseconds, "250ms", "how often the counters of writes to the catalog are compared; 0: never",
     [](d& to, v& x) { to.all->watch.poll = as<std::chrono::milliseconds>(x); }, {}, {}, 0, hour},
    {"watch", "verify", milliseconds, "5s", "how often newer rows of the catalog are looked for, whatever the counters say; 0: never",
     [](d& to, v& x) { to.all->watch.verify = as<std::chrono::milliseconds>(x); }, {}, {}, 0, hour},
    {"watch", "notifications", boolean, "true", "listen to the event trigger of pgmend install",
     [](d& to, v& x) { to.all->watch.notifications = as<bool>(x); }},
    {"watch", "keep_versions", number, "64", "how many versions of a schema are remembered; old names that only forgotten ones had are not healed",
     [](d& to, v& x) { to.all->watch.keep_versions = whole<std::size_t>(x); }, {}, {}, 2, 1000},
    {"watch", "keep_for", milliseconds, "0s", "how long a version is remembered after the next one came; 0: as long as there is room",
     [](d& to, v& x) { to.all->watch.keep_for = as<std::chrono::milliseconds>(x); }, {}, {}, 0, 10 * 366 * 24 * hour},

    {"", "healing", mapping, "", "what happens to statements that no longer fit the schema", nothing, "healing"},
    {"healing", "mode", choice, "heal", "",
     [](d& to, v& x) { to.all->healing.healing_mode = healing::mode{whole<std::uint8_t>(x)}; }, {}, healing_modes},
    {"healing", "notice", boolean, "false", "tell the client by a NOTICE",
     [](d& to, v& x) { to.all->healing.notice = as<bool>(x); }},
    {"healing", "max_statement_bytes", bytes, "64KiB", "longer requests are relayed, but healed only where rows or lists of values make them long",
     [](d& to, v& x) { to.all->healing.most_statement_bytes = whole<std::uint32_t>(x); }, {}, {}, 1, 1U << 30},
    {"healing", "max_batch_bytes", bytes, "1MiB", "requests up to this length are split by on_error rules, and long texts healed; held by each session while such a request is under way, or its unnamed statement there",
     [](d& to, v& x) { to.all->healing.most_batch_bytes = whole<std::uint32_t>(x); }, {}, {}, 1, 1U << 30},
    {"healing", "recheck", milliseconds, "100ms", "a healed read asks PostgreSQL so often whether it still refuses the original; 0: each time, as writes do",
     [](d& to, v& x) { to.all->healing.recheck = as<std::chrono::milliseconds>(x); }, {}, {}, 0, hour},
    {"healing", "transaction_guard", choice, "savepoint", "makes errors inside a transaction block healable; replay is not in this version",
     [](d& to, v& x) { to.all->healing.guard = std::min(healing::transaction_guard{whole<std::uint8_t>(x)}, healing::transaction_guard::savepoint); }, {}, guards},
    {"healing", "silent", choice, "report", "what happens to a write whose names mean something else now",
     [](d& to, v& x) { to.all->healing.silent = healing::silent_answer{whole<std::uint8_t>(x)}; }, {}, silent_answers},
    {"healing", "policy", mapping, "", "what may be done with each kind of evidence", nothing, "policy"},
    {"policy", "rule", mapping, "", "your rules", nothing, "proof"},
    {"policy", "approved", mapping, "", "patterns that a person has approved", nothing, "proof"},
    {"policy", "lineage", mapping, "", "the catalog's own history", nothing, "proof"},
    {"policy", "migration", mapping, "", "your migration files", nothing, "proof"},
    {"policy", "hint", mapping, "", "PostgreSQL's own HINT", nothing, "guess"},
    {"policy", "similarity", mapping, "", "one clearly closest name", nothing, "guess"},
    {"policy", "advisor", mapping, "", "an outside adviser", nothing, "guess"},
    {"proof", "reads", choice, "heal", "", set_reads, {}, evidence_answers},
    {"proof", "writes", choice, "heal", "", set_writes, {}, evidence_answers},
    {"guess", "reads", choice, "propose", "", set_reads, {}, evidence_answers},
    {.group = "guess", .name = "writes", .type = choice, .usual = "propose", .help = "", .apply = set_writes,
     .choices = std::span{evidence_answers}.first<2>(), .because = "a write is healed on proof only"},

    {"", "patterns", mapping, "", "how long what was learned is trusted", nothing, "patterns"},
    {"patterns", "suspend_below", percentage, "50%", "a pattern whose confidence (the lower bound of the share of its uses that succeeded, at 95%) falls below is suspended; 0%: none is",
     [](d& to, v& x) { to.all->patterns.lowest_trust = as<double>(x); }},
    {"patterns", "minimum_uses", number, "5", "but not before so many uses",
     [](d& to, v& x) { to.all->patterns.least_trials = as<std::uint64_t>(x); }, {}, {}, 1, 1000000},
    {"patterns", "retire_after", milliseconds, "2160h", "one that nobody used for so long is retired",
     [](d& to, v& x) { to.all->patterns.retire_after = as<std::chrono::milliseconds>(x); }, {}, {}, second, 10 * 366 * 24 * hour},

    {"", "read_only_to", choice, "primary", "where sessions go that begin with default_transaction_read_only, by themselves or by ALTER ROLE or ALTER DATABASE, and transactions that begin READ ONLY, of sessions without a password",
     [](d& to, v& x) { to.all->routing.read_only_to_replica = whole<std::size_t>(x) == 1; }, {}, std::span{roles}.first<2>()},
    {"", "max_replay_lag", milliseconds, "10s", "a replica that is further behind gets no new clients",
     [](d& to, v& x) { to.all->routing.most_replay_lag = as<std::chrono::milliseconds>(x); }, {}, {}, second, 24 * hour},
    {"", "lost_sessions", choice, "move", "what becomes of sessions that lose their server outside a transaction; move: another one goes on with those that nobody was asked a password for",
     [](d& to, v& x) { to.all->routing.moves_sessions = whole<std::size_t>(x) == 0; }, {}, lost_sessions},
    {"", "health", mapping, "", "how the servers are watched over the control connection", nothing, "health"},
    {"health", "every", milliseconds, "1s", "how often each server is asked",
     [](d& to, v& x) { to.all->health.every = as<std::chrono::milliseconds>(x); }, {}, {}, 50, hour},
    {"health", "timeout", milliseconds, "2s", "how long an answer may take",
     [](d& to, v& x) { to.all->health.timeout = as<std::chrono::milliseconds>(x); }, {}, {}, 50, hour},
    {"health", "give_up_after", milliseconds, "15s", "requests at a server that has been silent for so long end with 08006; 0s: never",
     [](d& to, v& x) { to.all->health.give_up_after = as<std::chrono::milliseconds>(x); }, {}, {}, 0, 24 * hour},

    {"", "limits", mapping, "", "how many clients may be connected at a time; the others wait", nothing, "limits"},
    {"limits", "per_backend", number, "0", "to one server; 0: no limit",
     [](d& to, v& x) { to.all->limits.per_backend = whole<std::uint32_t>(x); }, {}, {}, 0, 1000000},
    {"limits", "per_database", number, "0", "to one database; 0: no limit",
     [](d& to, v& x) { to.all->limits.per_database = whole<std::uint32_t>(x); }, {}, {}, 0, 1000000},
    {"limits", "per_user", number, "0", "of one user; 0: no limit",
     [](d& to, v& x) { to.all->limits.per_user = whole<std::uint32_t>(x); }, {}, {}, 0, 1000000},
    {"limits", "waiting", number, "100", "so many may wait for one and the same server, database or user; more are refused",
     [](d& to, v& x) { to.all->limits.waiting = whole<std::uint32_t>(x); }, {}, {}, 0, 1000000},
    {"limits", "wait", milliseconds, "5s", "how long they may wait",
     [](d& to, v& x) { to.all->limits.wait = as<std::chrono::milliseconds>(x); }, {}, {}, 0, hour},

    {"", "breaker", mapping, "", "when a server that only fails is no longer asked", nothing, "breaker"},
    {"breaker", "mode", choice, "enforce", "observe: refuses nothing and counts what it would have",
     [](d& to, v& x) { to.all->breaker.mode = backend::breaker_mode{whole<std::uint8_t>(x)}; }, {}, breaker_modes},
    {"breaker", "window", number_or_duration, "20", "the newest so many calls, or the calls of so long (10s), are looked at", set_window, {}, {}, 1, 24 * hour},
    {"breaker", "minimum_calls", number, "10", "with fewer in the window no rate is computed",
     [](d& to, v& x) { to.all->breaker.minimum_calls = whole<std::uint32_t>(x); }, {}, {}, 1, 1000000},
    {"breaker", "failure_rate", percentage, "50%", "it opens where so many of them failed",
     [](d& to, v& x) { to.all->breaker.failure_rate = as<double>(x); }},
    {"breaker", "consecutive_failures", number, "5", "it opens after so many in a row; 0: never for that",
     [](d& to, v& x) { to.all->breaker.consecutive_failures = whole<std::uint32_t>(x); }, {}, {}, 0, 1000000},
    {"breaker", "slow_call", milliseconds, "0s", "connecting, or a health check, that takes longer is slow; 0s: nothing is",
     [](d& to, v& x) { to.all->breaker.slow_call = as<std::chrono::milliseconds>(x); }, {}, {}, 0, hour},
    {"breaker", "slow_rate", percentage, "100%", "it opens where so many of them were slow, unless it is the last server",
     [](d& to, v& x) { to.all->breaker.slow_rate = as<double>(x); }},
    {"breaker", "open_for", milliseconds, "5s", "how long nothing is sent, the first time",
     [](d& to, v& x) { to.all->breaker.open_for = as<std::chrono::milliseconds>(x); }, {}, {}, 1, 24 * hour},
    {"breaker", "max_open_for", milliseconds, "60s", "doubled at each failed probe up to this",
     [](d& to, v& x) { to.all->breaker.most_open_for = as<std::chrono::milliseconds>(x); }, {}, {}, 1, 24 * hour},
    {"breaker", "jitter", percentage, "20%", "up to so much more or less, so that not all proxies probe at once",
     [](d& to, v& x) { to.all->breaker.jitter = as<double>(x); }},
    {"breaker", "half_open_probes", number, "2", "so many calls at a time try whether it works again; as many must succeed",
     [](d& to, v& x) { to.all->breaker.half_open_probes = whole<std::uint32_t>(x); }, {}, {}, 1, 1000},
    {"", "rules", paths_or_mapping, "", "your rules: a directory (its *.yaml and *.yml), a file, or a list of them", set_rule_paths, "rules"},
    {"rules", "path", paths, "", "where they are, if there is more to say", set_rule_paths},
    {"rules", "watch", boolean, "false", "read them again as soon as one is saved; SIGHUP does it always",
     [](d& to, v& x) { to.all->rules.watch = as<bool>(x); }},
    {"", "state", path, "", "what is remembered across restarts: a SQLite file, or postgresql://… shared by several pgmend; without it nothing",
     [](d& to, v& x) { to.all->state = as<std::string>(x); }},
    {"", "admin", mapping, "", "the console: psql -p 6432 pgmend", nothing, "admin"},
    {"admin", "database", text, "pgmend", "the name of the database that is the console; pgbouncer is one, too",
     [](d& to, v& x) { to.all->admin.database = as<std::string>(x); }},
    {"admin", "users", texts, "postgres", "who may use it; the backend authenticates them",
     [](d& to, v& x) { to.all->admin.users = as<std::vector<std::string>>(x); }},
    {"admin", "auth_database", text, "postgres", "the database of the backend that they are authenticated with",
     [](d& to, v& x) { to.all->admin.auth_database = as<std::string>(x); }},
    {"admin", "stats_users", texts, "", "who may only look: SHOW, and nothing else",
     [](d& to, v& x) { to.all->admin.stats_users = as<std::vector<std::string>>(x); }},
    {"admin", "http", text, "", "address and port (9632 alone: of 127.0.0.1) of metrics, health, /api/v1 and the page; without it there are none",
     set_http},
    {"admin", "http_cert", path, "", "PEM; with it HTTPS", [](d& to, v& x) { to.all->admin.http.cert = as<std::string>(x); }},
    {"admin", "http_key", path, "", "PEM; of http_cert", [](d& to, v& x) { to.all->admin.http.key = as<std::string>(x); }},
    {"admin", "http_token", text, "", "who has it may decide about patterns (Authorization: Bearer …); without it nobody may",
     [](d& to, v& x) { to.all->admin.http.token = as<std::string>(x); }},
    {"admin", "http_read", choice, "open", "token: reading needs the token too",
     [](d& to, v& x) { to.all->admin.http.read_needs_token = as<std::uint64_t>(x) == 1; }, {}, readers},

    {"", "log", mapping, "", "what is reported, and where", nothing, "log"},
    {"log", "format", choice, "auto", "auto: text on a terminal, json otherwise",
     [](d& to, v& x) { to.all->log.format = log_format{whole<std::uint8_t>(x)}; }, {}, log_formats},
    {"log", "level", choice, "info", "the least important events that are reported",
     [](d& to, v& x) { to.all->log.level = base::log_level{whole<std::uint8_t>(x)}; }, {}, log_levels},
    {"log", "statements", choice, "normalized", "of the log and of transaction_logs in the state; full: with literals (never passwords, nor parameters)",
     [](d& to, v& x) { to.all->log.statements = log_statements{whole<std::uint8_t>(x)}; }, {}, statement_forms},
    {"log", "file", path, "", "opened again on SIGHUP; without it: standard error",
     [](d& to, v& x) { to.all->log.file = as<std::string>(x); }},

    {"", "workers", number, "0", "threads; 0: one per core", [](d& to, v& x) { to.all->workers = whole<unsigned>(x); }, {}, {}, 0, 1024},
    {"", "shutdown_grace", seconds, "30s", "how long open transactions may take to end",
     [](d& to, v& x) { to.all->shutdown_grace = as_seconds(x); }, {}, {}, 0, 24 * hour},
};

} // namespace

std::span<key const> all_keys() { return keys; }

key const* find_key(std::string_view group, std::string_view name) {
    for (auto const& k : keys)
        if (k.group == group && k.name == name) return &k;
    return nullptr;
}

std::vector<std::string_view> names_in(std::string_view group) {
    std::vector<std::string_view> names;
    for (auto const& k : keys)
        if (k.group == group) names.push_back(k.name);
    return names;
}

} // namespace pgmend::config
