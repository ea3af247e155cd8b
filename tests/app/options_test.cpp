#include "pgmend/app/options.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace pgmend;
namespace fs = std::filesystem;

namespace {

/// PGMEND_CONTROL for the length of a test; nothing: not set.
class environment {
  public:
    explicit environment(char const* control = nullptr) {
        if (control != nullptr) ::setenv("PGMEND_CONTROL", control, 1);
        else ::unsetenv("PGMEND_CONTROL");
    }
    ~environment() { ::unsetenv("PGMEND_CONTROL"); }
    environment(environment const&) = delete;
    environment& operator=(environment const&) = delete;
};

app::command parse(std::vector<char const*> words) {
    words.insert(words.begin(), "/usr/bin/pgmend");
    return app::parse_options(static_cast<int>(words.size()), words.data());
}

app::serve_options serve(std::vector<char const*> words) {
    words.insert(words.begin(), "serve");
    auto const c = parse(words);
    if (auto const* e = std::get_if<app::exit_now>(&c)) FAIL(e->out_text + e->err_text);
    return std::get<app::serve_options>(c);
}

/// The first line of a usage error.
std::string mistake(std::vector<char const*> words) {
    auto const c = parse(std::move(words));
    auto const* e = std::get_if<app::exit_now>(&c);
    if (e == nullptr) return "no mistake";
    CHECK(e->status == 2);
    CHECK(e->out_text.empty());
    return e->err_text.substr(0, e->err_text.find('\n'));
}

app::endpoint at(std::optional<std::string> host, std::optional<std::uint16_t> port) { return {std::move(host), port}; }

struct file {
    explicit file(std::string const& text) {
        std::string pattern = (fs::temp_directory_path() / "pgmend-options-XXXXXX").string();
        int const descriptor = mkstemp(pattern.data());
        if (descriptor < 0) throw std::runtime_error("mkstemp");
        ::close(descriptor);
        path = pattern;
        std::ofstream{path} << text;
    }
    ~file() { fs::remove(path); }
    std::string path;
};

} // namespace

TEST_CASE("serve understands all its flags") {
    environment const none;
    auto const o = serve({"-c", "p.yaml", "--listen", "0.0.0.0:7000", "--backend=db:5433", "--control", "user=pgmend", "--workers", "4", "--log-level", "debug",
                          "--log-format", "json"});
    CHECK(o.file == fs::path{"p.yaml"});
    CHECK(o.listen == at("0.0.0.0", 7000));
    CHECK(o.backend == at("db", 5433));
    CHECK(o.control == "user=pgmend");
    CHECK(o.workers == 4U);
    CHECK(o.log_level == base::log_level::debug);
    CHECK(o.log_format == config::log_format::json);
}

TEST_CASE("HOST:PORT may be written in every sensible way") {
    environment const none;
    auto const backend = [](char const* text) { return *serve({"--backend", text}).backend; };
    CHECK(backend("db:5433") == at("db", 5433));
    CHECK(backend("db") == at("db", std::nullopt));
    CHECK(backend("5433") == at(std::nullopt, 5433));
    CHECK(backend(":5433") == at(std::nullopt, 5433));
    CHECK(backend("[::1]:5433") == at("::1", 5433));
    CHECK(backend("[::1]") == at("::1", std::nullopt));
    CHECK(backend("::1") == at("::1", std::nullopt));
    CHECK(backend("/var/run/postgresql") == at("/var/run/postgresql", std::nullopt));
    CHECK(backend("/var/run/postgresql:5433") == at("/var/run/postgresql", 5433));
    CHECK(*serve({"--backend", "db", "--listen", "*:7000"}).listen == at("*", 7000));
    CHECK(*serve({"--backend", "db", "--listen", "127.0.0.1:0"}).listen == at("127.0.0.1", 0));
}

TEST_CASE("a wrong HOST:PORT is a usage error that says what is wrong") {
    environment const none;
    auto const backend = [](char const* text) { return mistake({"serve", "--backend", text}); };
    CHECK(backend("db:70000") == R"(pgmend: --backend must have a port from 1 to 65535, not "db:70000")");
    CHECK(backend("db:0") == R"(pgmend: --backend must have a port from 1 to 65535, not "db:0")");
    CHECK(backend("db:") == R"(pgmend: --backend must have a port from 1 to 65535, not "db:")");
    CHECK(backend("d b") == R"(pgmend: --backend must begin with a host name, an IP address or the directory of a Unix socket, not "d b")");
    CHECK(backend("[::1") != "no mistake");
    CHECK(backend("[::1]x") != "no mistake");
    CHECK(backend("1:2:3:4") != "no mistake");
    CHECK(backend("") == R"(pgmend: --backend must be HOST:PORT, not "")");
    CHECK(backend("postgresql://u:hunter2@db/x").find("hunter2") == std::string::npos);
    CHECK(mistake({"serve", "--backend", "db", "--listen", "example.org:1"}) ==
          R"(pgmend: --listen must begin with an IP address, * or localhost, not "example.org:1")");
}

TEST_CASE("help and version go to standard output with status 0") {
    environment const none;
    CHECK(std::get<app::exit_now>(parse({"--version"})) == app::exit_now{0, "pgmend " PGMEND_VERSION "\n", ""});
    auto const help = std::get<app::exit_now>(parse({"--help"}));
    CHECK(help.status == 0);
    CHECK(help.err_text.empty());
    CHECK(help.out_text.find("serve") != std::string::npos);
    CHECK(help.out_text.find("check") != std::string::npos);
    auto const serve_help = std::get<app::exit_now>(parse({"serve", "--help"})).out_text;
    CHECK(serve_help.find("--backend HOST:PORT") != std::string::npos);
    CHECK(serve_help.find("PGMEND_CONTROL") != std::string::npos);
    auto const check_help = std::get<app::exit_now>(parse({"check", "--help"})).out_text;
    CHECK(check_help.find("healing.mode") != std::string::npos);
}

TEST_CASE("no command shows the help on standard error with status 2") {
    auto const e = std::get<app::exit_now>(parse({}));
    CHECK(e.status == 2);
    CHECK(e.out_text.empty());
    CHECK(e.err_text.find("serve") != std::string::npos);
}

TEST_CASE("an unknown command or option gets a suggestion") {
    environment const none;
    CHECK(mistake({"sreve", "--backend", "x"}) == R"(pgmend: unknown command "sreve"; did you mean "serve"?)");
    CHECK(mistake({"elephant"}) == R"(pgmend: unknown command "elephant")");
    CHECK(mistake({"--verison"}) == R"(pgmend: unknown option "--verison"; did you mean "--version"?)");
    CHECK(mistake({"serve", "--listn", "1"}) == R"(pgmend: unknown option "--listn"; did you mean "--listen"?)");
    CHECK(mistake({"serve", "--bakend=db:1"}) == R"(pgmend: unknown option "--bakend"; did you mean "--backend"?)");
    CHECK(mistake({"serve", "--backend", "db", "more"}) == R"(pgmend: unexpected argument "more")");
    CHECK(mistake({"serve", "--backend", "db", "check"}) != "no mistake");
    CHECK(mistake({"check", "a.yaml", "b.yaml"}) == R"(pgmend: unexpected argument "b.yaml")");
}

TEST_CASE("a usage error ends with where help is") {
    auto const e = std::get<app::exit_now>(parse({"serve", "--x"}));
    CHECK(e.err_text == "pgmend: unknown option \"--x\"\nTry \"pgmend serve --help\".\n");
}

TEST_CASE("a flag's value is checked as the file's is") {
    environment const none;
    CHECK(mistake({"serve", "--backend", "db", "--workers", "many"}) == R"(pgmend: --workers must be a whole number from 0 to 1024, not "many")");
    CHECK(mistake({"serve", "--backend", "db", "--log-level", "inof"}) ==
          R"(pgmend: --log-level must be debug, info, warning or error, not "inof"; did you mean "info"?)");
    CHECK(mistake({"serve", "--backend", "db", "--log-format", "xml"}) == R"(pgmend: --log-format must be auto, text or json, not "xml")");
    CHECK(mistake({"serve", "--backend", "db", "--control", "user"}).starts_with(R"(pgmend: --control: keyword 1 has no "=")"));
    CHECK(mistake({"serve", "--backend"}) != "no mistake");
    CHECK(mistake({"serve", "--backend", "a", "--backend", "b"}) != "no mistake");
}

TEST_CASE("serve needs a server or a file, check needs a file") {
    environment const none;
    CHECK(mistake({"serve"}) == "pgmend: serve needs a server: --backend HOST:PORT, or a file with -c FILE");
    CHECK(mistake({"check"}) == "pgmend: check needs a file: pgmend check -c FILE");
    CHECK(std::get<app::check_options>(parse({"check", "p.yaml"})).file == "p.yaml");
    CHECK(std::get<app::check_options>(parse({"check", "--config", "p.yaml"})).file == "p.yaml");
}

TEST_CASE("a password on the command line shows in no message") {
    environment const none;
    for (auto const& words : std::vector<std::vector<char const*>>{{"serve", "--control", "user=u", "password=hunter2"},
                                                                   {"serve", "--contrl=password=hunter2"},
                                                                   {"serve", "--contrl", "password=hunter2"},
                                                                   {"password=hunter2"},
                                                                   {"serve", "--control", "password='hunter2", "--backend", "x"},
                                                                   {"serve", "--control", "password=hunter2", "--control", "password=hunter2"}}) {
        auto const c = parse(words);
        auto const& e = std::get<app::exit_now>(c);
        CHECK(e.status == 2);
        CHECK(e.err_text.find("hunter2") == std::string::npos);
    }
}

TEST_CASE("the environment gives the control connection unless a flag does") {
    environment const set{"user=env"};
    CHECK(serve({"--backend", "db"}).control == "user=env");
    CHECK(serve({"--backend", "db", "--control", "user=flag"}).control == "user=flag");
    CHECK(std::get<app::check_options>(parse({"check", "p.yaml"})).control == "user=env");
    environment const wrong{"user=env pasword=hunter2"};
    CHECK(mistake({"serve", "--backend", "db"}) == R"(pgmend: PGMEND_CONTROL: keyword 2 is not one of libpq's; did you mean "password"?)");
}

TEST_CASE("without a file the flags and the defaults are all there is") {
    app::serve_options o;
    o.backend = at("db", std::nullopt);
    o.listen = at(std::nullopt, 7000);
    auto const l = app::effective_settings(o);
    CHECK(l.ok());
    CHECK(config::format(l.problems) == "warning: no control connection, so nothing can be healed: set control, or healing.mode to off\n");
    CHECK(l.values.listen.address == "127.0.0.1");
    CHECK(l.values.listen.port == 7000);
    REQUIRE(l.values.backends.size() == 1);
    CHECK(l.values.backends[0].host == "db");
    CHECK(l.values.backends[0].port == 5432);
}

TEST_CASE("flags win over the file, part by part") {
    file const f{"listen: { port: 1234, max_clients: 7 }\nbackends: [{ name: main, host: a, port: 5433 }]\ncontrol: user=file\nlog: { level: error, format: json }\nworkers: 2\n"};
    app::serve_options o;
    o.file = f.path;
    CHECK(config::format(app::effective_settings(o).problems).empty());
    o.listen = at("*", std::nullopt);
    o.backend = at("b", std::nullopt);
    o.control = "user=flag";
    o.workers = 0;
    o.log_level = base::log_level::debug;
    o.log_format = config::log_format::text;
    auto const l = app::effective_settings(o);
    CHECK(l.problems.empty());
    CHECK(l.values.listen.address == "*");
    CHECK(l.values.listen.port == 1234);
    CHECK(l.values.listen.most_clients == 7);
    CHECK(l.values.backends[0].name == "main");
    CHECK(l.values.backends[0].host == "b");
    CHECK(l.values.backends[0].port == 5433);
    CHECK(l.values.control == "user=flag");
    CHECK(l.values.workers == 0);
    CHECK(l.values.log.level == base::log_level::debug);
    CHECK(l.values.log.format == config::log_format::text);
}

TEST_CASE("a file without a server is good enough when a flag names one") {
    file const f{"workers: 2\n"};
    app::serve_options o;
    o.file = f.path;
    CHECK_FALSE(app::effective_settings(o).ok());
    o.backend = at("db", 5432);
    o.control = "";
    auto const l = app::effective_settings(o);
    CHECK(config::format(l.problems).empty());
    CHECK(l.values.backends.size() == 1);
}

TEST_CASE("check shows a summary of a good file and all problems of a bad one") {
    std::ostringstream out;
    std::ostringstream err;
    file const good{"backends: [{}]\ncontrol: user=u password=hunter2\nhealing: { transaction_guard: replay }\n"};
    CHECK(app::check({good.path, std::nullopt}, out, err) == 0);
    CHECK(out.str().starts_with(good.path + ": ok, 1 warning\nlisten    127.0.0.1:6432"));
    CHECK(out.str().find("hunter2") == std::string::npos);
    CHECK(err.str() == good.path + ":3:31: warning: healing.transaction_guard: replay is not in this version; savepoint is used instead\n");

    out.str("");
    err.str("");
    file const bad{"lisen: 1\nworkers: x\n"};
    CHECK(app::check({bad.path, std::nullopt}, out, err) == 1);
    CHECK(out.str().empty());
    CHECK(err.str() == bad.path + ":1:1: error: unknown key \"lisen\"; did you mean \"listen\"?\n" + bad.path +
                           ":1:1: error: backends is missing; it needs at least one server\n" + bad.path +
                           ":2:10: error: workers must be a whole number from 0 to 1024, not \"x\"\n");
}

TEST_CASE("check takes the control connection from the environment") {
    std::ostringstream out;
    std::ostringstream err;
    file const f{"backends: [{}]\n"};
    CHECK(app::check({f.path, "user=env password=hunter2"}, out, err) == 0);
    CHECK(err.str().empty());
    CHECK(out.str().find("control   user=env password=***\n") != std::string::npos);
}
