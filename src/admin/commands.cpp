#include "admin/commands.hpp"

#include "pgmend/wire/sqlstate.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace pgmend::admin {
namespace {

using session::console_column;
using enum session::console_type;

constexpr console_column help_columns[] = {{"command"}, {"description"}, {"columns"}};
constexpr console_column version_columns[] = {{"version"}};
constexpr console_column config_columns[] = {{"key"}, {"value"}, {"default"}, {"changeable"}};
// PgBouncer 1.18's columns, in its order.
constexpr console_column database_columns[] = {
    {"name"}, {"host"}, {"port", integer}, {"database"}, {"force_user"}, {"pool_size", integer}, {"min_pool_size", integer},
    {"reserve_pool", integer}, {"pool_mode"}, {"max_connections", integer}, {"current_connections", integer}, {"paused", integer},
    {"disabled", integer}};
constexpr console_column session_columns[] = {
    {"type"}, {"user"}, {"database"}, {"state"}, {"addr"}, {"port", integer}, {"local_addr"}, {"local_port", integer}, {"connect_time"},
    {"request_time"}, {"wait", integer}, {"wait_us", integer}, {"close_needed", integer}, {"ptr"}, {"link"}, {"remote_pid", integer},
    {"tls"}, {"application_name"}, {"replication"}};
constexpr console_column pool_columns[] = {
    {"database"}, {"user"}, {"cl_active", integer}, {"cl_waiting", integer}, {"cl_active_cancel_req", integer},
    {"cl_waiting_cancel_req", integer}, {"sv_active", integer}, {"sv_active_cancel", integer}, {"sv_being_canceled", integer},
    {"sv_idle", integer}, {"sv_used", integer}, {"sv_tested", integer}, {"sv_login", integer}, {"maxwait", integer},
    {"maxwait_us", integer}, {"pool_mode"}};
constexpr console_column list_columns[] = {{"list"}, {"items", integer}};
constexpr console_column stats_columns[] = {
    {"database"}, {"total_xact_count", integer}, {"total_query_count", integer}, {"total_received", integer}, {"total_sent", integer},
    {"total_xact_time", integer}, {"total_query_time", integer}, {"total_wait_time", integer}, {"avg_xact_count", integer},
    {"avg_query_count", integer}, {"avg_recv", integer}, {"avg_sent", integer}, {"avg_xact_time", integer}, {"avg_query_time", integer},
    {"avg_wait_time", integer},
    {"total_requests", integer}}; // as before PgBouncer 1.8: an exporter that Debian has still asks for it
constexpr console_column stats_of_one_kind_columns[] = {
    {"database"}, {"xact_count", integer}, {"query_count", integer}, {"bytes_received", integer}, {"bytes_sent", integer},
    {"xact_time", integer}, {"query_time", integer}, {"wait_time", integer}};
constexpr console_column totals_columns[] = {{"name"}, {"value", integer}};
constexpr console_column user_columns[] = {{"name"}, {"pool_mode"}, {"max_user_connections", integer}, {"current_connections", integer}}; // the last two are of PgBouncer 1.23
constexpr console_column state_columns[] = {{"key"}, {"value"}}; // of PgBouncer 1.19
constexpr console_column memory_columns[] = {{"name"}, {"size", integer}, {"used", integer}, {"free", integer}, {"memtotal", integer}};
// pgmend's own.
constexpr console_column heal_columns[] = {
    {"at"}, {"outcome"}, {"tier", integer}, {"database"}, {"user"}, {"application_name"}, {"pattern"}, {"evidence"}, {"sqlstate"}, {"times", integer},
    {"duration_us", integer}, {"before"}, {"after"}, {"reason"}, {"client"}, {"fingerprint"}, {"application"}, {"route"}, {"traceparent"}};
constexpr console_column drift_columns[] = {
    {"application_name"}, {"database"}, {"user"}, {"fingerprint"}, {"pattern"}, {"healed", integer}, {"not_healed", integer}, {"first_seen"},
    {"last_seen"}, {"before"}, {"after"}, {"evidence"}, {"outcome"}, {"reason"}, {"application"}, {"route"}, {"traceparent"}, {"client"}};
constexpr console_column cache_columns[] = {
    {"worker", integer}, {"texts", integer}, {"bytes", integer}, {"hits", integer}, {"misses", integer}, {"evicted", integer}, {"invalidated", integer}};
constexpr console_column history_columns[] = {
    {"at"}, {"seconds", real}, {"statements", integer}, {"select", integer}, {"insert", integer}, {"update", integer}, {"delete", integer},
    {"ddl", integer}, {"copy", integer}, {"other", integer}, {"healed_before", integer}, {"healed_after", integer}, {"heals_failed", integer},
    {"errors", integer}, {"p50_us", integer}, {"p95_us", integer}, {"p99_us", integer}, {"received", integer}, {"sent", integer}, {"clients", integer}};
constexpr console_column event_columns[] = {{"at"}, {"event"}, {"text"}};
constexpr console_column monitor_columns[] = {{"trigger"}, {"subject"}, {"raised"}, {"figure", real}, {"limit", real}};
constexpr console_column schema_columns[] = {
    {"database"}, {"version", integer}, {"seen"}, {"versions_known", integer}, {"connected"}, {"clients", integer}, {"loads", integer},
    {"last_load_us", integer}, {"problem"}, {"lineage"}};
constexpr console_column change_columns[] = {{"database"}, {"version", integer}, {"seen"}, {"severity"}, {"change"}, {"object"}, {"name"}, {"kind"}, {"before"}, {"after"}};
constexpr console_column rule_columns[] = {{"name"}, {"mode"}, {"rule"}, {"expires"}, {"file"}, {"line", integer}, {"comment"}};
constexpr console_column pattern_columns[] = {
    {"id", integer}, {"database"}, {"pattern"}, {"evidence"}, {"state"}, {"trust", real}, {"successes", integer}, {"failures", integer},
    {"first_seen"}, {"last_used"}, {"note"}, {"reason"}};

constexpr console_column breaker_columns[] = {
    {"name"}, {"state"}, {"mode"}, {"since_ms", integer}, {"cause"}, {"reason"}, {"next_probe_ms", integer}, {"calls", integer},
    {"failures", integer}, {"slow", integer}, {"total_calls", integer}, {"total_failures", integer}, {"refused", integer},
    {"probes", integer}, {"opened", integer}};

constexpr command commands[] = {
    {"SHOW HELP", "", "SHOW", "this list", help_columns, show_help},
    {"SHOW VERSION", "", "SHOW", "pgmend's version", version_columns, show_version},
    {"SHOW CONFIG", "", "SHOW", "the settings that hold now, without secrets", config_columns, show_config},
    {"SHOW DATABASES", "", "SHOW", "databases that clients use or pgmend watches", database_columns, show_databases},
    {"SHOW CLIENTS", "", "SHOW", "connections of clients", session_columns, show_clients},
    {"SHOW SERVERS", "", "SHOW", "connections to the backend, one for each client", session_columns, show_servers},
    {"SHOW POOLS", "", "SHOW", "clients and server connections by database and user", pool_columns, show_pools},
    {"SHOW USERS", "", "SHOW", "users that are connected", user_columns, show_users},
    {"SHOW LISTS", "", "SHOW", "how many there are of each", list_columns, show_lists},
    {"SHOW STATS", "", "SHOW", "traffic by database, in all and on average", stats_columns, show_stats},
    {"SHOW STATS_TOTALS", "", "SHOW", "the former half of SHOW STATS: in all", stats_of_one_kind_columns, show_stats_totals},
    {"SHOW STATS_AVERAGES", "", "SHOW", "the latter half of SHOW STATS: of the last minute", stats_of_one_kind_columns, show_stats_averages},
    {"SHOW TOTALS", "", "SHOW", "traffic of all databases together", totals_columns, show_totals},
    {"SHOW STATE", "", "SHOW", "whether it is paused, or stopping", state_columns, show_state},
    {"SHOW MEM", "", "SHOW", "memory by part, as far as it is counted", memory_columns, show_memory},
    {"SHOW HEALS", "", "SHOW", "what was healed or refused of late, newest first", heal_columns, show_heals},
    {"SHOW DRIFT", "", "SHOW", "who still sends statements that have drifted, and what to write instead", drift_columns, show_drift},
    {"SHOW CACHE", "", "SHOW", "statement texts that each worker knows", cache_columns, show_cache},
    {"SHOW HISTORY", "", "SHOW", "traffic and latency of the last hour", history_columns, show_history},
    {"SHOW EVENTS", "", "SHOW", "what the monitor and people decided of late, newest first", event_columns, show_events},
    {"SHOW MONITOR", "", "SHOW", "what the monitor watches, and whether it has something to say", monitor_columns, show_monitor},
    {"SHOW SCHEMA", "", "SHOW", "what is known of the schema of each database", schema_columns, show_schema},
    {"SHOW CHANGES", "", "SHOW", "how the schemas changed, oldest first", change_columns, show_changes},
    {"SHOW RULES", "", "SHOW", "your rules", rule_columns, show_rules},
    {"SHOW PATTERNS", "", "SHOW", "heals that were found or used, and what people decided on them", pattern_columns, show_patterns},
    {"APPROVE PATTERN", "n", "APPROVE", "heal by it from the next statement on, writes too", {}, approve_pattern, false, argument_type::pattern},
    {"REJECT PATTERN", "n", "REJECT", "never propose it again", {}, reject_pattern, false, argument_type::pattern},
    {"SUSPEND PATTERN", "n", "SUSPEND", "no more heals by it, from the next statement on", {}, suspend_pattern, false, argument_type::pattern},
    {"RESUME PATTERN", "n", "RESUME", "heal by a suspended one again", {}, resume_pattern, false, argument_type::pattern},
    {"SHOW BREAKERS", "", "SHOW", "circuit breakers: of each server, for connecting and for statements; and others", breaker_columns, show_breakers},
    {.name = "TRIP BREAKER", .argument = "name", .tag = "TRIP", .help = "open it until it is reset", .columns = {}, .run = trip_breaker, .takes = argument_type::breaker},
    {.name = "RESET BREAKER", .argument = "name", .tag = "RESET", .help = "close it and forget what it counted", .columns = {}, .run = reset_breaker, .takes = argument_type::breaker},
    {.name = "DISABLE BREAKER", .argument = "name", .tag = "DISABLE", .help = "close it for good: it counts nothing until it is enabled or reset", .columns = {}, .run = disable_breaker, .takes = argument_type::breaker},
    {.name = "ENABLE BREAKER", .argument = "name", .tag = "ENABLE", .help = "let a disabled one count again", .columns = {}, .run = enable_breaker, .takes = argument_type::breaker},
    {"PAUSE", "[database]", "PAUSE", "let transactions end, hold statements back until RESUME; returns when none is under way; replication connections go on", {}, pause, false, argument_type::database},
    {"RESUME", "[database]", "RESUME", "let statements go on after PAUSE", {}, resume, false, argument_type::database},
    {"KILL", "[database]", "KILL", "end its connections now; new ones are let in", {}, kill, false, argument_type::database},
    {"RELOAD", "", "RELOAD", "read settings, certificates and rules again, as SIGHUP; a bad file changes nothing and is an error", {}, reload},
    {"SHUTDOWN", "", "SHUTDOWN", "stop after transactions under way have ended, as SIGTERM", {}, shut_down},
    // What drivers send by themselves.
    {"BEGIN", "", "BEGIN", "", {}, do_nothing, true},
    {"START TRANSACTION", "", "START TRANSACTION", "", {}, do_nothing, true},
    {"COMMIT", "", "COMMIT", "", {}, do_nothing, true},
    {"ROLLBACK", "", "ROLLBACK", "", {}, do_nothing, true},
    {"SET", "", "SET", "", {}, do_nothing, true},
    {"RESET", "", "RESET", "", {}, do_nothing, true},
    {"DISCARD", "", "DISCARD ALL", "", {}, do_nothing, true},
    {"DEALLOCATE", "", "DEALLOCATE", "", {}, do_nothing, true},
};

/// What PgBouncer's console has beyond, and where to look here.
struct missing_command {
    std::string_view name;
    std::string_view instead;
};
constexpr missing_command of_pgbouncer[] = {
    {"SHOW FDS", "no socket is handed over to a new process; SHOW CLIENTS and SHOW SERVERS list the connections"},
    {"SHOW SOCKETS", "SHOW CLIENTS and SHOW SERVERS list the connections"},
    {"SHOW ACTIVE_SOCKETS", "SHOW CLIENTS and SHOW SERVERS list the connections"},
    {"SHOW DNS_HOSTS", "names are left to the system's resolver; SHOW SERVERS tells the addresses in use"},
    {"SHOW DNS_ZONES", "names are left to the system's resolver; SHOW SERVERS tells the addresses in use"},
    {"SHOW PEERS", "there are no peers: a fleet shares what is learned, by the setting state"},
    {"SHOW PEER_POOLS", "there are no peers: a fleet shares what is learned, by the setting state"},
    {"DISABLE", "PAUSE holds the statements of a database back; there is DISABLE BREAKER name"},
    {"ENABLE", "RESUME lets the statements of a database go on; there is ENABLE BREAKER name"},
    {"RECONNECT", "each client has a server connection of its own: KILL ends both, and clients connect anew"},
    {"SUSPEND", "PAUSE holds statements back; there is SUSPEND PATTERN n"},
    {"WAIT_CLOSE", "no server connection outlives its client: SHOW SERVERS lists them"},
};

std::string in_capitals(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return out;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.size() < 20 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// `text` begins with the words of `name`: what comes behind them.
std::optional<std::string_view> behind(std::string_view text, std::string_view name) {
    if (!text.starts_with(name)) return std::nullopt;
    text.remove_prefix(name.size());
    if (text.empty()) return text;
    if (text.front() != ' ') return std::nullopt;
    return text.substr(1);
}

/// As SQL has names: folded to lower case, unless in quotes. Nothing: it is no name.
std::optional<std::string> database_name(std::string_view text) {
    bool const quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
    if (quoted) text = text.substr(1, text.size() - 2);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '"' && (!quoted || i + 1 == text.size() || text[++i] != '"')) return std::nullopt;
        if (!quoted && (c == ' ' || c == ';')) return std::nullopt;
        if (!quoted && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        out.push_back(c);
    }
    if (out.empty()) return std::nullopt;
    return out;
}

session::console_error no_such_command(std::string_view text) {
    auto words = text;
    if (auto const last = words.rfind(' '); last != std::string_view::npos && is_number(words.substr(last + 1))) words = words.substr(0, last);
    auto const none = [&](std::string_view more) {
        return session::console_error{wire::sqlstate::syntax_error, fmt::format("the console has no command {}{}", yaml::in_quotes(words), more), {}};
    };
    for (auto const& it : of_pgbouncer)
        if (behind(words, it.name) && !behind(words, fmt::format("{} BREAKER", it.name)) && !behind(words, fmt::format("{} PATTERN", it.name))) return none(fmt::format(": {}", it.instead));
    std::vector<std::string_view> names;
    std::string alike; // commands that begin with the same word
    bool known_verb = false;
    for (auto const& c : commands) {
        if (c.help.empty()) continue;
        names.push_back(c.name);
        auto const verb = c.name.substr(0, c.name.find(' '));
        if (!behind(words, verb)) continue;
        known_verb = true;
        if (verb != "SHOW") alike += fmt::format("{}{}{}{}", alike.empty() ? "; there is " : ", ", c.name, c.argument.empty() ? "" : " ", c.argument);
    }
    auto const meant = alike.empty() ? yaml::did_you_mean(words, names) : alike;
    if (!meant.empty() || known_verb) return none(meant.empty() ? ": SHOW HELP lists them" : meant);
    return {wire::sqlstate::feature_not_supported, "this is pgmend's console, which understands no SQL: SHOW HELP lists its commands", {}};
}

class table final : public session::console_commands {
  public:
    std::variant<session::console_command, session::console_error> find(std::string_view text) const override {
        auto words = in_capitals(text);
        if (words == "SHOW" || words == "HELP") words = "SHOW HELP";
        for (std::size_t i = 0; i < std::size(commands); ++i) {
            auto const& c = commands[i];
            auto const rest = behind(words, c.name);
            if (!rest) continue;
            session::console_command found{.number = i, .argument = std::nullopt, .columns = c.columns, .tag = c.tag};
            if (c.any_end || (rest->empty() && (c.takes == argument_type::none || c.takes == argument_type::database))) return found;
            if (c.takes == argument_type::none) break;
            if (c.takes == argument_type::breaker) {
                if (rest->empty()) return session::console_error{wire::sqlstate::syntax_error, fmt::format("{} takes a name, which SHOW BREAKERS tells: {} primary", c.name, c.name), {}};
                found.name = *rest;
                return found;
            }
            if (c.takes == argument_type::database) {
                auto name = database_name(text.substr(text.size() - rest->size()));
                if (!name) return session::console_error{wire::sqlstate::syntax_error, fmt::format("{} takes the name of one database, or none", c.name), {}};
                found.name = std::move(*name);
                return found;
            }
            std::uint64_t number = 0;
            if (!is_number(*rest) || std::from_chars(rest->data(), rest->data() + rest->size(), number).ec != std::errc{})
                return session::console_error{wire::sqlstate::syntax_error, fmt::format("{} takes the number of a pattern, which SHOW PATTERNS tells: {} 7", c.name, c.name), {}};
            found.argument = number;
            return found;
        }
        return no_such_command(words);
    }
};

} // namespace

std::span<command const> all_commands() { return commands; }

session::console_commands const& command_table() {
    static table const the_table;
    return the_table;
}

std::string describe_commands() {
    std::string out = "| command | what it does or shows |\n|---|---|\n";
    for (auto const& c : commands)
        if (!c.help.empty()) out += fmt::format("| `{}{}{}` | {} |\n", c.name, c.argument.empty() ? "" : " ", c.argument, c.help);
    return out;
}

std::string describe_missing_commands() {
    std::string out = "| PgBouncer's | here |\n|---|---|\n";
    for (auto const& it : of_pgbouncer) out += fmt::format("| `{}` | {} |\n", it.name, it.instead);
    return out;
}

} // namespace pgmend::admin
