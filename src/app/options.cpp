#include "pgmend/app/options.hpp"

#include "endpoint.hpp"

#include "pgmend/config/connection_string.hpp"
#include "pgmend/config/suggestion.hpp"
#include "pgmend/rules/rule_file.hpp"
#include "pgmend/state/report.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <sstream>

namespace pgmend::app {
namespace {

constexpr char const* control_variable = "PGMEND_CONTROL";

constexpr char const* control_note =
    "A password in --control can be seen by every user of this machine (ps). Put the connection string\n"
    "into the environment instead, as PGMEND_CONTROL, or keep the password in ~/.pgpass.\n"
    "What is given here wins over the environment, and the environment over the file.";

/// What the flags hold before they are understood.
struct texts {
    std::string file, listen, backend, control, workers, log_level, log_format;
    std::vector<std::string> databases;
    std::string migrations, state, database, user, application_name, sql, format, connection;
    std::vector<std::string> search_path, parameters;
    std::vector<std::uint64_t> versions;
    bool print{false};
};

/// A flag's text, if the command has it and it was given.
std::optional<std::string> given(CLI::App const& from, char const* flag, std::string const& text) {
    auto const* const option = from.get_option_no_throw(flag);
    return option != nullptr && option->count() > 0 ? std::optional{text} : std::nullopt;
}

exit_now usage_error(std::string_view what, std::string_view command) {
    auto const where = command.empty() ? std::string{"pgmend --help"} : fmt::format("pgmend {} --help", command);
    return {status_usage, {}, fmt::format("pgmend: {}\nTry \"{}\".\n", what, where)};
}

std::vector<std::string> flags_of(CLI::App const& from) {
    std::vector<std::string> out;
    for (auto const* option : from.get_options())
        for (auto const& name : option->get_lnames()) out.push_back("--" + name);
    return out;
}

exit_now unknown(std::string const& word, CLI::App const& app, CLI::App const* chosen) {
    auto const& from = chosen != nullptr ? *chosen : app;
    std::string const name = chosen != nullptr ? chosen->get_name() : "";
    bool const option = word.starts_with('-');
    if (!option && chosen != nullptr) return usage_error(fmt::format("unexpected argument {}", config::in_quotes(word)), name);

    auto candidates = flags_of(from);
    if (!option)
        for (auto const* sub : app.get_subcommands([](CLI::App const*) { return true; })) candidates.push_back(sub->get_name());
    std::vector<std::string_view> const views{candidates.begin(), candidates.end()};
    auto const bare = option ? word.substr(0, word.find('=')) : word;
    return usage_error(fmt::format("unknown {} {}{}", option ? "option" : "command", config::in_quotes(bare), config::did_you_mean(bare, views)), name);
}

/// CLI11's exception as what to print.
exit_now ended(CLI::App const& app, CLI::ParseError const& e) {
    if (e.get_exit_code() == 0) { // --help, --version
        std::ostringstream out;
        std::ostringstream err;
        app.exit(e, out, err);
        return {status_ok, out.str(), err.str()};
    }
    auto const used = app.get_subcommands();
    auto const* const chosen = used.empty() ? nullptr : used.front();
    auto const left = app.remaining(true);
    if (!left.empty()) return unknown(left.front(), app, chosen);
    if (chosen == nullptr) return {status_usage, {}, app.help()};
    return usage_error(config::mask_passwords(e.what()), chosen->get_name());
}

/// --control, else the environment, checked. `source` says which it was.
struct control_source {
    std::optional<std::string> text;
    std::string_view source;
};
control_source find_control(std::optional<std::string> flag) {
    if (flag) return {std::move(flag), "--control"};
    auto const* const value = std::getenv(control_variable);
    if (value == nullptr || *value == '\0') return {};
    return {value, control_variable};
}

/// -c, --backend, --control (or the environment's) and --state, as far as the command has them. What to print where one is wrong.
/// `connects`: the environment's counts.
std::optional<exit_now> read_server(CLI::App const& from, texts const& t, serve_options& out, bool connects = true) {
    auto const refuse = [&from](base::error const& e) { return usage_error(e.text, from.get_name()); };
    if (auto const file = given(from, "--config", t.file)) out.file = *file;
    if (auto const text = given(from, "--backend", t.backend)) {
        auto parsed = parse_endpoint(*text, endpoint_use::connect, "--backend");
        if (!parsed) return refuse(parsed.error());
        out.backend = std::move(*parsed);
    }
    if (auto const control = connects ? find_control(given(from, "--control", t.control)) : control_source{}; control.text) {
        config::settings checked;
        if (auto done = config::assign(checked, "", "control", *control.text, control.source); !done) return refuse(done.error());
        out.control = checked.control;
    }
    out.state = given(from, "--state", t.state);
    return std::nullopt;
}

command understand_serve(CLI::App const& from, texts const& t) {
    serve_options out;
    config::settings checked;
    auto const refuse = [](base::error const& e) { return usage_error(e.text, "serve"); };

    if (auto wrong = read_server(from, t, out)) return *wrong;
    if (auto const text = given(from, "--listen", t.listen)) {
        auto parsed = parse_endpoint(*text, endpoint_use::listen, "--listen");
        if (!parsed) return refuse(parsed.error());
        out.listen = std::move(*parsed);
    }
    if (auto const text = given(from, "--workers", t.workers)) {
        if (auto done = config::assign(checked, "", "workers", *text, "--workers"); !done) return refuse(done.error());
        out.workers = checked.workers;
    }
    if (auto const text = given(from, "--log-level", t.log_level)) {
        if (auto done = config::assign(checked, "log", "level", *text, "--log-level"); !done) return refuse(done.error());
        out.log_level = checked.log.level;
    }
    if (auto const text = given(from, "--log-format", t.log_format)) {
        if (auto done = config::assign(checked, "log", "format", *text, "--log-format"); !done) return refuse(done.error());
        out.log_format = checked.log.format;
    }
    if (!out.file && !out.backend) return usage_error("serve needs a server: --backend HOST:PORT, or a file with -c FILE", "serve");
    return out;
}

command understand_check(CLI::App const& from, texts const& t) {
    serve_options server;
    if (auto wrong = read_server(from, t, server)) return *wrong;
    if (!server.file) return usage_error("check needs a file: pgmend check -c FILE", "check");
    return check_options{*server.file, server.control};
}

command understand_schema(CLI::App const& from, texts const& t) {
    serve_options server;
    if (auto wrong = read_server(from, t, server, false)) return *wrong;
    schema_options out{.file = server.file, .state = server.state, .database = given(from, "--database", t.database), .versions = t.versions};
    if (!out.file && !out.state) return usage_error("schema diff needs --state FILE, or a configuration with -c FILE", "schema diff");
    if (out.versions.size() == 1) return usage_error("schema diff compares two versions: A and B", "schema diff");
    return out;
}

command understand_records(CLI::App const& from, texts const& t, records_options::what_type what) {
    serve_options server;
    if (auto wrong = read_server(from, t, server, false)) return *wrong;
    records_options out;
    out.what = what;
    out.file = server.file;
    out.state = server.state;
    out.database = given(from, "--database", t.database);
    auto const* const parent = from.get_parent();
    auto const name = parent != nullptr && parent->get_parent() != nullptr ? parent->get_name() + " " + from.get_name() : from.get_name();
    if (!out.file && !out.state) return usage_error(fmt::format("{} needs --state, or a configuration with -c FILE", name), name);
    if (what == records_options::what_type::report) {
        out.format = t.format.empty() ? "text" : t.format;
        if (!state::format_named(out.format)) return usage_error("--format must be text, markdown or json", name);
    }
    if (what == records_options::what_type::retry_dead_letters) out.connection = given(from, "--connect", t.connection);
    return out;
}

command understand_install(CLI::App const& from, texts const& t, bool remove) {
    install_options out{.remove = remove, .print = t.print, .server = {}, .databases = t.databases};
    auto const& name = from.get_name();
    if (auto wrong = read_server(from, t, out.server)) return *wrong;
    if (!out.print && !out.server.file && !out.server.backend)
        return usage_error(fmt::format("{} needs a server: --backend HOST:PORT, or a file with -c FILE", name), name);
    return out;
}

command understand_learn(CLI::App const& from, texts const& t) {
    learn_options out{.migrations = t.migrations, .print = t.print, .server = {}, .database = t.database};
    if (from.count("--migrations") == 0) return usage_error("learn needs --migrations DIR", "learn");
    if (auto wrong = read_server(from, t, out.server)) return *wrong;
    if (out.print) return out;
    if (out.database.empty()) return usage_error("learn needs --database NAME, to compare the migrations with; or --print", "learn");
    if (!out.server.file && !out.server.backend) return usage_error("learn needs a server: --backend HOST:PORT, or a file with -c FILE; or --print", "learn");
    return out;
}

command understand_explain(CLI::App const& from, texts const& t) {
    explain_options out;
    if (auto wrong = read_server(from, t, out.server)) return *wrong;
    out.database = given(from, "--database", t.database);
    out.user = given(from, "--user", t.user);
    out.application_name = given(from, "--application-name", t.application_name);
    out.search_path = t.search_path;
    out.parameters = t.parameters;
    out.sql = t.sql;
    if (out.sql.empty()) return usage_error("explain needs a statement: pgmend explain \"SELECT …\", or - for standard input", "explain");
    if (!out.server.file && !out.server.backend && !out.server.state)
        return usage_error("explain needs to know the schema: -c FILE, --state FILE, or --backend HOST:PORT with --control", "explain");
    return out;
}

} // namespace

command parse_options(int count, char const* const* arguments) {
    texts t;
    CLI::App app{"pgmend: a PostgreSQL proxy that heals statements when the schema has moved", "pgmend"};
    app.set_version_flag("--version", "pgmend " PGMEND_VERSION);
    app.require_subcommand(1);
    app.footer("Exit status: 0 well, 1 failed, 2 the command line is wrong.");

    auto* const serve = app.add_subcommand("serve", "Run the proxy");
    serve->add_option("-c,--config", t.file, "Configuration (YAML); the flags below win over it")->type_name("FILE");
    serve->add_option("--listen", t.listen, "Where clients connect [127.0.0.1:6432]")->type_name("HOST:PORT");
    serve->add_option("--backend", t.backend, "The PostgreSQL server")->type_name("HOST:PORT");
    serve->add_option("--control", t.control, "libpq connection string for reading the catalog; without it nothing is healed")->type_name("CONNINFO");
    serve->add_option("--state", t.state, "SQLite file, or postgresql://…, that remembers schemas, patterns and decisions")->type_name("FILE");
    serve->add_option("--workers", t.workers, "Threads; 0: one per core [0]")->type_name("N");
    serve->add_option("--log-level", t.log_level, "debug, info, warning or error [info]")->type_name("LEVEL");
    serve->add_option("--log-format", t.log_format, "auto, text or json [auto: text on a terminal]")->type_name("FORMAT");
    serve->footer(control_note);

    auto* const check = app.add_subcommand("check", "Check a configuration and show what it means");
    check->add_option("-c,--config,file", t.file, "Configuration (YAML)")->type_name("FILE");
    check->footer([] { return "Keys of a configuration, with their [defaults]:\n" + config::describe_keys() + "\nKeys of a rule file:\n" + rules::describe_rule_keys(); });

    auto* const schema = app.add_subcommand("schema", "Versions of a schema that pgmend has seen");
    schema->require_subcommand(1);
    auto* const schema_diff = schema->add_subcommand("diff", "Show what each version changed, or what is different between two");
    schema_diff->add_option("-c,--config", t.file, "Configuration (YAML), whose state is read")->type_name("FILE");
    schema_diff->add_option("--state", t.state, "The state of pgmend serve: a SQLite file, or postgresql://…")->type_name("FILE");
    schema_diff->add_option("--database", t.database, "Which one, where the file has several")->type_name("NAME");
    schema_diff->add_option("versions", t.versions, "Numbers of two versions")->type_name("A B")->expected(0, 2);

    auto* const explain = app.add_subcommand("explain", "Show what would happen to a statement, and why; nothing is run");
    explain->add_option("-c,--config", t.file, "Configuration (YAML); the flags below win over it")->type_name("FILE");
    explain->add_option("--state", t.state, "The state of pgmend serve (a SQLite file, or postgresql://…): versions of schemas")->type_name("FILE");
    explain->add_option("--backend", t.backend, "The PostgreSQL server: its schema of today, and what it says of the statement")->type_name("HOST:PORT");
    explain->add_option("--control", t.control, "libpq connection string for reading the catalog")->type_name("CONNINFO");
    explain->add_option("--database", t.database, "Which one [the only one in the state]")->type_name("NAME");
    explain->add_option("--user", t.user, "Who sends it: for rules, search_path and permissions")->type_name("ROLE");
    explain->add_option("--application-name", t.application_name, "Which application sends it, for rules")->type_name("NAME");
    explain->add_option("--search-path", t.search_path, "Schemas, comma-separated [$user,public]")->type_name("NAMES")->allow_extra_args(false)->delimiter(',');
    explain->add_option("--parameters", t.parameters, "Types that the client declares for $1, $2, …, comma-separated [left open]")->type_name("TYPES")->allow_extra_args(false)->delimiter(',');
    explain->add_option("sql", t.sql, "The statement, or - for standard input")->type_name("SQL");
    explain->footer(control_note);
    using records = records_options::what_type;
    std::vector<std::pair<CLI::App*, records>> readers;
    readers.emplace_back(app.add_subcommand("report", "List the statements that drift: who sends them, how often, and what to write instead"), records::report);
    auto* const rule_commands = app.add_subcommand("rules", "Rules");
    rule_commands->require_subcommand(1);
    readers.emplace_back(rule_commands->add_subcommand("export", "Write the active patterns as a rule file"), records::export_rules);
    auto* const letters = app.add_subcommand("dead-letters", "Rows of batches that a rule set aside");
    letters->require_subcommand(1);
    readers.emplace_back(letters->add_subcommand("list", "What waits, and why"), records::list_dead_letters);
    readers.emplace_back(letters->add_subcommand("retry", "Insert again what waits; what is stored then is marked"), records::retry_dead_letters);
    readers.emplace_back(letters->add_subcommand("export", "Write what waits as a SQL script"), records::export_dead_letters);
    for (auto const& [one, what] : readers) {
        one->add_option("-c,--config", t.file, "Configuration (YAML), whose state is read")->type_name("FILE");
        one->add_option("--state", t.state, "The state of pgmend serve")->type_name("FILE");
        one->add_option("--database", t.database, "Of one database alone")->type_name("NAME");
        if (what == records::report) one->add_option("--format", t.format, "text, markdown or json [text]")->type_name("FORMAT");
        if (what == records::retry_dead_letters)
            one->add_option("--connect", t.connection, "libpq connection string [control and the first backend of the configuration]")->type_name("CONNINFO");
    }

    auto* const learn = app.add_subcommand("learn", "Learn from SQL migrations what old names are called now");
    learn->add_option("--migrations", t.migrations, "Folder: golang-migrate, goose, dbmate, sqlx, Flyway, diesel, Prisma; plain SQL")->type_name("DIR");
    learn->add_option("--database", t.database, "Which one they belong to: what they say is compared with it")->type_name("NAME");
    learn->add_option("-c,--config", t.file, "Configuration (YAML); the flags below win over it")->type_name("FILE");
    learn->add_option("--state", t.state, "The state of pgmend serve: what is learned is kept beside a SQLite file, or in postgresql://…")->type_name("PLACE");
    learn->add_option("--backend", t.backend, "The PostgreSQL server")->type_name("HOST:PORT");
    learn->add_option("--control", t.control, "libpq connection string for reading the catalog")->type_name("CONNINFO");
    learn->add_flag("--print", t.print, "Only show what it found, as rules; no server is asked");
    learn->footer(control_note);

    auto* const install = app.add_subcommand("install", "Create an event trigger that tells pgmend of every change of the schema at once");
    auto* const uninstall = app.add_subcommand("uninstall", "Remove what install created");
    for (auto* const one : {install, uninstall}) {
        one->add_option("-c,--config", t.file, "Configuration (YAML); the flags below win over it")->type_name("FILE");
        one->add_option("--backend", t.backend, "The PostgreSQL server")->type_name("HOST:PORT");
        one->add_option("--control", t.control, "libpq connection string of a superuser")->type_name("CONNINFO");
        one->add_option("--database", t.databases, "Where; may be given several times [every database]")->type_name("NAME");
        one->add_flag("--print", t.print, "Only show the SQL");
    }
    install->footer("A transaction whose schema changes were notified cannot be prepared (two-phase commit): there, SET pgmend.notify = off\n"
                    "before the first of them. Without the trigger changes are found within about a second.");

    try {
        app.parse(count, arguments);
    } catch (CLI::ParseError const& e) {
        return ended(app, e);
    }
    if (schema_diff->parsed()) return understand_schema(*schema_diff, t);
    if (learn->parsed()) return understand_learn(*learn, t);
    if (explain->parsed()) return understand_explain(*explain, t);
    for (auto const& [one, what] : readers)
        if (one->parsed()) return understand_records(*one, t, what);
    if (install->parsed() || uninstall->parsed()) return understand_install(install->parsed() ? *install : *uninstall, t, uninstall->parsed());
    return serve->parsed() ? understand_serve(*serve, t) : understand_check(*check, t);
}

config::loaded effective_settings(serve_options const& options) {
    config::loaded out;
    if (options.file) out = config::load(*options.file, {options.backend.has_value(), options.control.has_value()});
    auto& s = out.values;
    if (options.listen) {
        s.listen.address = options.listen->host.value_or(s.listen.address);
        s.listen.port = options.listen->port.value_or(s.listen.port);
    }
    if (options.backend) {
        if (s.backends.empty()) s.backends.push_back(config::default_backend());
        auto& first = s.backends.front();
        first.host = options.backend->host.value_or(first.host);
        first.port = options.backend->port.value_or(first.port);
    }
    if (options.control) s.control = options.control;
    s.state = options.state.value_or(s.state);
    s.workers = options.workers.value_or(s.workers);
    s.log.level = options.log_level.value_or(s.log.level);
    s.log.format = options.log_format.value_or(s.log.format);
    if (!options.file) config::check_whole(s, {}, out.problems);
    return out;
}

} // namespace pgmend::app
