// The command line: what to do, as a value.
#pragma once

#include "pgmend/config/load.hpp"
#include "pgmend/config/settings.hpp"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pgmend::app {

/// Exit statuses, for every command.
inline constexpr int status_ok = 0;
inline constexpr int status_failure = 1; ///< it failed while running, or `check` found an error
inline constexpr int status_usage = 2;   ///< the command line is wrong

/// HOST:PORT as given: `db:5432`, `[::1]:5432`, `::1`, `db`, `5432`, `:5432`, `/var/run/postgresql`,
/// `/var/run/postgresql:5433`. What was left out is nothing: then the file's value stays, or the default.
struct endpoint {
    std::optional<std::string> host; ///< without brackets
    std::optional<std::uint16_t> port;

    bool operator==(endpoint const&) const = default;
};

/// `pgmend serve`. What is given here wins over the file.
struct serve_options {
    std::optional<std::filesystem::path> file;       ///< -c, --config
    std::optional<endpoint> listen;                  ///< --listen
    std::optional<endpoint> backend;                 ///< --backend
    std::optional<std::string> control;              ///< --control, else the environment's PGMEND_CONTROL
    std::optional<std::string> state;                ///< --state
    std::optional<unsigned> workers;                 ///< --workers
    std::optional<base::log_level> log_level;        ///< --log-level
    std::optional<config::log_format> log_format;    ///< --log-format

    bool operator==(serve_options const&) const = default;
};

/// `pgmend check`.
struct check_options {
    std::filesystem::path file;
    std::optional<std::string> control; ///< the environment's PGMEND_CONTROL: wins over the file, as for serve

    bool operator==(check_options const&) const = default;
};

/// `pgmend install` and `pgmend uninstall`.
struct install_options {
    bool remove{false};                     ///< uninstall
    bool print{false};                      ///< --print: show the SQL, run nothing
    serve_options server;                   ///< where it is
    std::vector<std::string> databases;     ///< --database; empty: all

    bool operator==(install_options const&) const = default;
};

/// `pgmend schema diff`.
struct schema_options {
    std::optional<std::filesystem::path> file; ///< -c, --config: whose `state`
    std::optional<std::string> state;          ///< --state
    std::optional<std::string> database;       ///< --database; nothing: the only one
    std::vector<std::uint64_t> versions;       ///< A and B; none: every version

    bool operator==(schema_options const&) const = default;
};

/// `pgmend learn`.
struct learn_options {
    std::filesystem::path migrations; ///< --migrations
    bool print{false};                ///< --print: show rules, ask no server and keep nothing
    serve_options server;             ///< file, backend, control, state
    std::string database;             ///< --database; empty only with --print

    bool operator==(learn_options const&) const = default;
};

/// `pgmend explain`.
struct explain_options {
    serve_options server;                       ///< file, backend, control, state
    std::optional<std::string> database;        ///< --database; nothing: the only one that is kept
    std::optional<std::string> user;            ///< --user: who sends it
    std::optional<std::string> application_name; ///< --application-name, for rules
    std::vector<std::string> search_path;       ///< --search-path; empty: "$user", public
    std::vector<std::string> parameters;        ///< --parameters: declared types
    std::string sql;                            ///< `-`: from standard input

    bool operator==(explain_options const&) const = default;
};

/// `pgmend report`, `rules export` and `dead-letters …`: what reads the state.
struct records_options {
    enum class what_type : std::uint8_t { report, export_rules, list_dead_letters, retry_dead_letters, export_dead_letters } what{what_type::report};
    std::optional<std::filesystem::path> file; ///< -c, --config: whose `state`
    std::optional<std::string> state;          ///< --state
    std::optional<std::string> database;       ///< --database; nothing: all
    std::string format{"text"};                ///< --format: text | markdown | json
    std::optional<std::string> connection;     ///< --connect: libpq connection string for retry; nothing: control and the first backend of the file

    bool operator==(records_options const&) const = default;
};

/// Nothing to run: help, version, or a usage error. Print the texts as they are.
struct exit_now {
    int status{status_ok};
    std::string out_text; ///< for standard output
    std::string err_text; ///< for standard error

    bool operator==(exit_now const&) const = default;
};

using command = std::variant<serve_options, check_options, install_options, schema_options, learn_options, explain_options, records_options, exit_now>;

/// Understands the command line; `arguments[0]` is the program's name. Reads PGMEND_CONTROL from the environment
/// and nothing else: no file is opened.
[[nodiscard]] command parse_options(int count, char const* const* arguments);

/// The file, if there is one, with the flags on top. Call it again with the same options to reload.
/// Serve only if `ok()`; print `config::format(problems)` to standard error either way.
[[nodiscard]] config::loaded effective_settings(serve_options const& options);

/// Runs `pgmend check`: the summary to `out`, the problems to `err`. Returns the exit status.
[[nodiscard]] int check(check_options const& options, std::ostream& out, std::ostream& err);

/// Runs `pgmend install` or `uninstall`: a line for each database to `out`, problems to `err`. Returns the exit status.
[[nodiscard]] int install(install_options const& options, std::ostream& out, std::ostream& err);

/// Runs `pgmend report`, `rules export` or `dead-letters`. Returns the exit status.
[[nodiscard]] int records(records_options const& options, std::ostream& out, std::ostream& err);

/// Runs `pgmend schema diff`. Returns the exit status.
[[nodiscard]] int schema_diff(schema_options const& options, std::ostream& out, std::ostream& err);

/// Runs `pgmend learn`: what it learned to `out`, what it could not read to `err`. Returns the exit status.
[[nodiscard]] int learn(learn_options const& options, std::ostream& out, std::ostream& err);

/// Runs `pgmend explain`: what would happen to a statement, and why. Nothing is run. Returns the exit status: 0 where that could be told.
[[nodiscard]] int explain(explain_options const& options, std::ostream& out, std::ostream& err);

} // namespace pgmend::app
