#include "pgmend/config/load.hpp"
#include "pgmend/config/rule_files.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace pgmend;
namespace fs = std::filesystem;

namespace {

struct directory {
    directory() {
        std::string pattern = (fs::temp_directory_path() / "pgmend-config-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path = pattern;
    }
    ~directory() { fs::remove_all(path); }
    fs::path put(std::string const& name, std::string const& text) const {
        std::ofstream{path / name, std::ios::binary} << text;
        return path / name;
    }
    fs::path path;
};

std::string all(config::loaded const& l) { return config::format(l.problems); }

fs::path example() { return fs::path{PGMEND_TEST_DATA}.parent_path() / "conf" / "pgmend.yaml"; }

std::string content(fs::path const& file) {
    std::ostringstream out;
    out << std::ifstream{file, std::ios::binary}.rdbuf();
    return out.str();
}

} // namespace

TEST_CASE("the example rules have no problems") {
    auto const l = config::load_rule_files({{(example().parent_path() / "rules.d").string()}, false}, std::chrono::sys_days{std::chrono::year{2026} / 1 / 1});
    CHECK(config::format(l.problems).empty());
    CHECK(l.rules.size() == 10);
}

TEST_CASE("the example configuration has no problems, also with everything uncommented") {
    CHECK(all(config::load(example())).empty());
    CHECK(config::load(example()).values.healing.notice);

    std::string text = content(example());
    for (std::string const key : {"max_clients: 10000", "login_timeout", "backlog", "role", "connect_timeout", "max_statement_bytes", "max_batch_bytes", "statements",
                                  "workers", "shutdown_grace"}) {
        auto const at = text.find("# " + key);
        INFO(key);
        REQUIRE(at != std::string::npos);
        text.erase(at, 2);
    }
    auto const l = config::load_text(text, "p.yaml", {});
    CHECK(all(l).empty());
    auto plain = config::load(example()).values;
    CHECK(l.values == plain); // what is commented out shows the default
}

TEST_CASE("a file that cannot be read is an error that says why") {
    directory const d;
    auto const missing = (d.path / "no.yaml").string();
    CHECK(all(config::load(missing)) == missing + ": error: cannot be read: No such file or directory\n");
    CHECK(all(config::load(d.path)) == d.path.string() + ": error: cannot be read: it is a directory\n");
    auto const secret = d.put("secret.yaml", "backends: [{}]\n");
    fs::permissions(secret, fs::perms::none);
    if (geteuid() != 0) CHECK(all(config::load(secret)) == secret.string() + ": error: cannot be read: Permission denied\n");
}

TEST_CASE("a file larger than a MiB is refused") {
    directory const d;
    auto const file = d.put("large.yaml", "backends: [{}]\n#" + std::string(config::most_file_bytes, 'x'));
    CHECK(all(config::load(file)) == file.string() + ": error: larger than 1MiB; this cannot be a configuration\n");
    CHECK_FALSE(config::load("/dev/zero").ok());
}

TEST_CASE("an empty file says what is needed at least") {
    for (std::string const text : {"", "# only a comment\n", "\n\n", "---\n", "\xef\xbb\xbf"}) {
        INFO(text);
        auto const l = config::load_text(text, "p.yaml", {});
        CHECK_FALSE(l.ok());
        CHECK(l.problems.size() == 1);
    }
    CHECK(all(config::load_text("", "p.yaml", {})) == "p.yaml: error: the file is empty; it needs at least backends\n");
}

TEST_CASE("a byte order mark is accepted and counts for no column") {
    CHECK(all(config::load_text("\xef\xbb\xbflisen: {}\nbackends: [{}]\ncontrol: ''\n", "p.yaml", {})) ==
          "p.yaml:1:1: error: unknown key \"lisen\"; did you mean \"listen\"?\n");
}

TEST_CASE("a file with carriage returns has the same lines and columns") {
    CHECK(all(config::load_text("control: ''\r\nbackends: [{}]\r\nlisten:\r\n  prot: 1\r\n", "p.yaml", {})) ==
          "p.yaml:4:3: error: unknown key \"prot\"; did you mean \"port\"?\n");
}

TEST_CASE("bytes that are not UTF-8 and control characters are errors with their place") {
    CHECK(all(config::load_text("control: ''\nlog: {\xfc}\n", "p.yaml", {})) == "p.yaml:2:7: error: not UTF-8 (byte 0xfc)\n");
    CHECK(all(config::load_text(std::string("a: \0b", 5), "p.yaml", {})) == "p.yaml:1:4: error: a control character (0x00)\n");
    CHECK(all(config::load_text("control: ''\n\x04\nlisen: 1", "p.yaml", {})) == "p.yaml:2:1: error: a control character (0x04)\n");
    CHECK(all(config::load_text("\xff\xfe" "b\0", "p.yaml", {})) == "p.yaml:1:1: error: not UTF-8 (byte 0xff)\n");
}

TEST_CASE("a YAML syntax error has its place") {
    CHECK(all(config::load_text("listen:\n  port: 1\n backlog: 2\n", "p.yaml", {})) == "p.yaml:3:2: error: not valid YAML: end of map not found\n");
    CHECK(all(config::load_text("backends: [{]\n", "p.yaml", {})).starts_with("p.yaml:1:1"));
    CHECK(all(config::load_text("listen:\n\tport: 1\n", "p.yaml", {})).starts_with("p.yaml:2:"));
}

TEST_CASE("a second document is an error") {
    CHECK(all(config::load_text("backends: [{}]\ncontrol: ''\n---\nlisten: {}\n", "p.yaml", {})) ==
          "p.yaml:4:1: error: a second document; the file must have one\n");
    CHECK(config::load_text("---\nbackends: [{}]\ncontrol: ''\n...\n", "p.yaml", {}).problems.empty());
}

TEST_CASE("aliases work, and are bounded") {
    CHECK(all(config::load_text("backends: [{tls: &t {mode: require}}, {name: b, role: replica, tls: *t}]\ncontrol: ''\n", "p.yaml", {})) == "");
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 30; ++i) {
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", *a" : "*a") + std::to_string(i - 1);
        bomb += "]\n";
    }
    CHECK(all(config::load_text(bomb, "p.yaml", {})) == "p.yaml:4:55: error: more than 10000 values, aliases written out\n");
    CHECK(all(config::load_text("a: &a [*a]\n", "p.yaml", {})) == "p.yaml:1:8: error: an alias inside of what it stands for\n");
    CHECK(all(config::load_text("a: *b\n", "p.yaml", {})).starts_with("p.yaml:1:"));
}

TEST_CASE("a text that is too deep is an error, not a crash") {
    CHECK(all(config::load_text("a: " + std::string(100, '[') + std::string(100, ']'), "p.yaml", {})) == "p.yaml:1:35: error: more than 32 levels deep\n");
    CHECK_FALSE(config::load_text(std::string(500000, '['), "p.yaml", {}).ok());
    CHECK_FALSE(config::load_text(std::string(500000, '{'), "p.yaml", {}).ok());
    std::string dashes;
    for (int i = 0; i < 200000; ++i) dashes += "- ";
    CHECK_FALSE(config::load_text(dashes, "p.yaml", {}).ok());
}

TEST_CASE("certificates are looked for beside the file, and must be readable") {
    directory const d;
    d.put("server.crt", "x");
    auto const file = d.put("p.yaml", "listen:\n  tls:\n    mode: prefer\n    cert: server.crt\n    key: no.key\nbackends: [{}]\ncontrol: ''\n");
    auto const l = config::load(file);
    CHECK(all(l) == file.string() + ":5:5: error: listen.tls.key: cannot read \"" + (d.path / "no.key").string() + "\": No such file or directory\n");
    CHECK(l.values.listen.tls.cert == (d.path / "server.crt").string());

    auto const is_directory = d.put("q.yaml", "listen: { tls: { mode: prefer, cert: ., key: server.crt } }\nbackends: [{}]\ncontrol: ''\n");
    CHECK(all(config::load(is_directory)).find(":1:32: error: listen.tls.cert: cannot read") != std::string::npos);
}

TEST_CASE("TLS needs its files unless it is disabled") {
    auto const about = [](std::string const& listen) { return all(config::load_text("backends: [{}]\ncontrol: ''\n" + listen, "p.yaml", {})); };
    CHECK(about("listen: { tls: { mode: require } }") ==
          "p.yaml:3:18: error: listen.tls.cert is missing; it is required because listen.tls.mode is not disable\n"
          "p.yaml:3:18: error: listen.tls.key is missing; it is required because listen.tls.mode is not disable\n");
    CHECK(about("listen: { tls: { mode: disable, cert: no.crt } }").empty());
    CHECK(about("listen: { tls: { cert: no.crt } }") ==
          "p.yaml:3:18: warning: listen.tls.cert has no effect: listen.tls.mode is disable unless it is given\n");
    CHECK(about("listen: { tls: { mode: verify-ca, cert: /dev/null, key: /dev/null } }") ==
          "p.yaml:3:18: error: listen.tls.ca is missing; it is required because listen.tls.mode verifies the certificates of clients\n");
    CHECK(all(config::load_text("control: ''\nbackends:\n  - tls:\n      cert: /dev/null\n", "p.yaml", {})) ==
          "p.yaml:4:7: error: backends[0].tls.key is missing; it is required because backends[0].tls.cert is given\n");
}

TEST_CASE("a log file needs a directory that exists") {
    directory const d;
    auto const file = d.put("p.yaml", "backends: [{}]\ncontrol: ''\nlog: { file: no/p.log }\n");
    CHECK(all(config::load(file)) == file.string() + ":3:8: error: log.file: there is no directory \"" + (d.path / "no").string() + "\"\n");
}

TEST_CASE("no mutation of the example crashes or throws") {
    auto const text = content(example());
    REQUIRE(text.size() > 1000);
    std::mt19937 random{20260102}; // NOLINT: the same mutations each time
    auto const below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>{0, n - 1}(random); };
    static constexpr std::string_view pieces[] = {"\n", "  ", ": ", "- ", "[", "]", "{", "}", "&a ", "*a", "!!str ", "? ", "|\n", ">", "'", "\"", "\t", "#", "%", "---\n", "\\", "@", "\xff", "<<", "\xc3\xa4"};
    for (int round = 0; round < 3000; ++round) {
        auto mutated = text;
        for (std::size_t changes = 1 + below(6); changes > 0; --changes) {
            auto const at = below(mutated.size());
            switch (below(5)) {
                case 0: mutated[at] = static_cast<char>(below(256)); break;
                case 1: mutated.erase(at, 1 + below(40)); break;
                case 2: mutated.insert(at, pieces[below(std::size(pieces))]); break;
                case 3: mutated.insert(at, text, below(text.size()), below(60)); break;
                default: mutated.replace(at, 1, pieces[below(std::size(pieces))]); break;
            }
            if (mutated.empty()) mutated = text;
        }
        auto const l = config::load_text(mutated, "p.yaml", "/nowhere");
        for (auto const& p : l.problems) {
            REQUIRE_FALSE(p.message.empty());
            REQUIRE((p.line == 0) == (p.column == 0));
        }
        (void)config::summary(l.values);
    }
}
