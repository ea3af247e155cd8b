#include "pgmend/config/load.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pgmend;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> messages(config::loaded const& l) {
    std::vector<std::string> out;
    for (auto const& p : l.problems) out.push_back(config::format(p));
    return out;
}

/// What is said about a file that also has one backend and a control connection, in lines after the given ones.
std::vector<std::string> about(std::string text) {
    text += "\nbackends: [{}]\ncontrol: user=pgmend\n";
    return messages(config::load_text(text, "p.yaml", "/nowhere"));
}

std::vector<std::string> about_all_of(std::string const& text) { return messages(config::load_text(text, "p.yaml", "/nowhere")); }

using lines = std::vector<std::string>;

} // namespace

TEST_CASE("a complete file becomes settings") {
    auto const l = config::load_text(R"(
listen: { address: "*", port: 7000, backlog: 5, login_timeout: 1m, max_clients: 20 }
backends:
  - { name: main, host: db.example.org, port: 5433, role: auto, connect_timeout: 250ms, tls: { mode: verify_full } }
control: "user=pgmend password='a b'"
healing: { mode: observe, notice: yes, max_statement_bytes: 1MiB, transaction_guard: off, silent: block_writes,
           policy: { migration: { writes: propose }, similarity: { reads: off, writes: off } } }
log: { format: json, level: warning, statements: normalized, file: p.log }
workers: 3
shutdown_grace: 5m
)", "p.yaml", "/tmp");
    CHECK(messages(l) == lines{});
    auto const& s = l.values;
    CHECK(s.listen.address == "*");
    CHECK(s.listen.port == 7000);
    CHECK(s.listen.backlog == 5);
    CHECK(s.listen.login_timeout == 60s);
    CHECK(s.listen.most_clients == 20);
    REQUIRE(s.backends.size() == 1);
    CHECK(s.backends[0].name == "main");
    CHECK(s.backends[0].host == "db.example.org");
    CHECK(s.backends[0].port == 5433);
    CHECK(s.backends[0].role == backend::configured_role::automatic);
    CHECK(s.backends[0].connect_timeout == 250ms);
    CHECK(s.backends[0].tls.mode == net::tls_mode::verify_full);
    CHECK(s.control == "user=pgmend password='a b'");
    CHECK(s.healing.healing_mode == healing::mode::observe);
    CHECK(s.healing.notice);
    CHECK(s.healing.most_statement_bytes == 1048576);
    CHECK(s.healing.guard == healing::transaction_guard::off);
    CHECK(s.healing.silent == healing::silent_answer::block_writes);
    healing::policy expected;
    CHECK(expected.set_writes(healing::evidence::migration, healing::action::propose));
    expected.set_reads(healing::evidence::similarity, healing::action::off);
    CHECK(expected.set_writes(healing::evidence::similarity, healing::action::off));
    CHECK(s.healing.policy == expected);
    CHECK(s.log.format == config::log_format::json);
    CHECK(s.log.level == base::log_level::warning);
    CHECK(s.log.file == "/tmp/p.log");
    CHECK(s.workers == 3);
    CHECK(s.shutdown_grace == 300s);
}

TEST_CASE("what a file does not say has its default") {
    auto const l = config::load_text("backends: [{}]\ncontrol: ''\nlisten:\nhealing:\n", "p.yaml", {});
    CHECK(messages(l) == lines{});
    config::settings expected;
    expected.backends.push_back(config::default_backend());
    expected.control = "";
    CHECK(l.values == expected);
    CHECK(l.values.backends[0].tls.mode == net::tls_mode::prefer);
}

TEST_CASE("an unknown key is named with its place and what was probably meant") {
    CHECK(about("lisen: {}") == lines{R"(p.yaml:1:1: error: unknown key "lisen"; did you mean "listen"?)"});
    CHECK(about("listen: { prot: 1 }") == lines{R"(p.yaml:1:11: error: unknown key "prot"; did you mean "port"?)"});
    CHECK(about("listen:\n  tls:\n    crt: x") == lines{R"(p.yaml:3:5: error: unknown key "crt"; did you mean "cert"?)"});
    CHECK(about("healing: { policy: { similarty: {} } }").at(0) == R"(p.yaml:1:22: error: unknown key "similarty"; did you mean "similarity"?)");
    CHECK(about_all_of("control: ''\nbackends:\n  - hots: a\n") == lines{R"(p.yaml:3:5: error: unknown key "hots"; did you mean "host"?)"});
}

TEST_CASE("an unknown key that resembles nothing gets no suggestion") {
    CHECK(about("elephant: 1") == lines{R"(p.yaml:1:1: error: unknown key "elephant")"});
}

TEST_CASE("columns count characters, not bytes") {
    CHECK(about("log: { level: \"ü\", formt: x }") ==
          lines{R"(p.yaml:1:15: error: log.level must be debug, info, warning or error, not "ü")",
                R"(p.yaml:1:20: error: unknown key "formt"; did you mean "format"?)"});
}

TEST_CASE("all problems are found at once, in the order of the file") {
    CHECK(about_all_of(R"(listen:
  adress: x
  port: 70000
backends: []
healing: { mode: heel }
workers: many
)") == lines{R"(p.yaml:2:3: error: unknown key "adress"; did you mean "address"?)",
             R"(p.yaml:3:9: error: listen.port must be a whole number from 0 to 65535, not "70000")",
             R"(p.yaml:4:1: error: backends is empty; it needs at least one server)",
             R"(p.yaml:5:18: error: healing.mode must be off, observe or heal, not "heel"; did you mean "heal"?)",
             R"(p.yaml:6:10: error: workers must be a whole number from 0 to 1024, not "many")"});
}

TEST_CASE("a value of the wrong kind is an error where it stands") {
    CHECK(about("listen: 5") == lines{"p.yaml:1:9: error: listen must be a mapping, not text"});
    CHECK(about("listen: [1]") == lines{"p.yaml:1:9: error: listen must be a mapping, not a list"});
    CHECK(about("workers: {}") == lines{"p.yaml:1:10: error: workers must be a single value, not a mapping"});
    CHECK(about("workers:") == lines{"p.yaml:1:1: error: workers has no value"});
    CHECK(about("healing: { notice: maybe }") == lines{R"(p.yaml:1:20: error: healing.notice must be true or false, not "maybe")"});
    CHECK(about("admin: { users: 5 }").at(0) == "p.yaml:1:17: error: admin.users must be a list of texts");
    CHECK(about_all_of("- a\n- b\n") == lines{"p.yaml:1:1: error: the file must be a mapping of keys to values, not a list"});
    CHECK(about_all_of("pgmend\n") == lines{"p.yaml:1:1: error: the file must be a mapping of keys to values, not text"});
}

TEST_CASE("ports out of range are errors") {
    CHECK(about("listen: { port: 0 }") == lines{});
    CHECK(about("listen: { port: 65536 }").size() == 1);
    CHECK(about("listen: { port: -1 }").size() == 1);
    CHECK(about("listen: { port: 99999999999999999999999 }").size() == 1);
    CHECK(about_all_of("control: ''\nbackends: [{port: 0}]") ==
          lines{R"(p.yaml:2:19: error: backends[0].port must be a whole number from 1 to 65535, not "0")"});
}

TEST_CASE("a duplicate key is an error that names the first") {
    CHECK(about("workers: 1\nlog: {}\nworkers: 2") == lines{R"(p.yaml:3:1: error: duplicate key "workers"; it is already in line 1)"});
    CHECK(about("log: { level: info, level: debug }") == lines{R"(p.yaml:1:21: error: duplicate key "level"; it is already in line 1)"});
}

TEST_CASE("a key that is no plain text is an error") {
    CHECK(about("? [a, b]\n: 1") == lines{"p.yaml:1:3: error: a key must be plain text"});
}

TEST_CASE("durations need a unit") {
    CHECK(about("shutdown_grace: 30") ==
          lines{"p.yaml:1:17: error: shutdown_grace has no unit: write 30s if it is seconds (ms, s, m or h)"});
    CHECK(about("shutdown_grace: 5 min") ==
          lines{R"(p.yaml:1:17: error: shutdown_grace must be a duration such as 30s (ms, s, m, h), not "5 min")"});
    CHECK(about("shutdown_grace: 250ms") == lines{R"(p.yaml:1:17: error: shutdown_grace must be whole seconds, not "250ms")"});
    CHECK(about("shutdown_grace: 99999999999999999h") ==
          lines{R"(p.yaml:1:17: error: shutdown_grace must be from 0s to 24h, not "99999999999999999h")"});
    CHECK(about("listen: { login_timeout: 0s }") == lines{R"(p.yaml:1:26: error: listen.login_timeout must be from 1s to 1h, not "0s")"});
    CHECK(about("shutdown_grace: 0s") == lines{});
    CHECK(about("shutdown_grace: 1h") == lines{});
    CHECK(about_all_of("control: ''\nbackends: [{connect_timeout: 5}]") ==
          lines{"p.yaml:2:30: error: backends[0].connect_timeout has no unit: write 5ms if it is milliseconds (ms, s, m or h)"});
}

TEST_CASE("sizes have binary units") {
    CHECK(about("healing: { max_statement_bytes: 65536 }") == lines{});
    CHECK(about("healing: { max_statement_bytes: 1 GiB }") == lines{});
    CHECK(about("healing: { max_statement_bytes: 64KB }") ==
          lines{R"(p.yaml:1:33: error: healing.max_statement_bytes must be a size such as 64KiB (B, KiB, MiB, GiB), not "64KB")"});
    CHECK(about("healing: { max_statement_bytes: 2GiB }") ==
          lines{R"(p.yaml:1:33: error: healing.max_statement_bytes must be from 1B to 1GiB, not "2GiB")"});
}

TEST_CASE("choices are listed, and one is suggested if it is close") {
    CHECK(about("log: { format: jsno }") == lines{R"(p.yaml:1:16: error: log.format must be auto, text or json, not "jsno"; did you mean "json"?)"});
    CHECK(about("log: { level: warn }") == lines{R"(p.yaml:1:15: error: log.level must be debug, info, warning or error, not "warn")"});
    CHECK(about("listen: { tls: { mode: on } }") ==
          lines{R"(p.yaml:1:24: error: listen.tls.mode must be disable, allow, prefer, require, verify-ca or verify-full, not "on")"});
}

TEST_CASE("rules are a directory, a file, a list of them, or a mapping that says more") {
    CHECK(about("rules: none.d") == lines{R"(p.yaml:1:8: error: rules: there is no file or directory "/nowhere/none.d")"});
    CHECK(about("rules: [none.yaml, x]").size() == 2);
    CHECK(about("rules: { path: none.d, watch: true }") == lines{R"(p.yaml:1:16: error: rules.path: there is no file or directory "/nowhere/none.d")"});
    CHECK(about("rules: { watch: true }") == lines{"p.yaml:1:1: error: rules.path is missing; there is nothing to watch"});
    CHECK(about("rules: { pth: x }").front() == R"(p.yaml:1:10: error: unknown key "pth"; did you mean "path"?)");
    CHECK(about("rules: [[a]]") == lines{"p.yaml:1:8: error: rules must be a list of texts"});
    CHECK(about("rules:") == lines{"p.yaml:1:1: error: rules has no value"});
    auto const l = config::load_text("backends: [{}]\ncontrol: ''\nrules: { path: [a.yaml, /b], watch: true }", "p.yaml", "/etc/pgmend");
    CHECK(l.values.rules == config::rule_settings{{"/etc/pgmend/a.yaml", "/b"}, true});
}

TEST_CASE("what is planned is checked, and a warning says that it has no effect") {
    CHECK(about("breaker: { window: 20, failure_rate: 50%, open_for: 5s, half_open_probes: 2 }") ==
          lines{});
    CHECK(about("breaker: { failure_rate: 50 }").at(0) ==
          "p.yaml:1:26: error: breaker.failure_rate has no unit: write 50% if it is a percentage");
    CHECK(about("breaker: { failure_rate: 150% }").at(0) ==
          R"(p.yaml:1:26: error: breaker.failure_rate must be from 0% to 100%, not "150%")");
    CHECK(about("breaker: { open_for: 5 }").at(0).starts_with("p.yaml:1:22: error: breaker.open_for has no unit"));
    CHECK(about("admin: { database: pgmend, users: [postgres], http: '127.0.0.1:9632' }").empty());
    CHECK(about("admin: { http: 'localhost' }") == lines{"p.yaml:1:16: error: admin.http must be an address and a port, like 127.0.0.1:9632, or a port"});
    CHECK(about("admin: { http: 9632, http_read: token }") ==
          lines{"p.yaml:1:22: error: admin.http_token is missing; it is required because admin.http_read is token"});
    CHECK(about("admin: { http: '*:9632', http_token: x }").size() == 2); // everybody may read, and the token passes in clear
    CHECK(about("admin: { http: '*:9632', http_token: x, http_read: token }").size() == 1);
    auto const web = config::load_text("backends: [{}]\ncontrol: ''\nadmin: { http: '[::1]:80', http_token: x, stats_users: [m] }", "p.yaml", "/").values.admin;
    CHECK(web.http.address == "::1");
    CHECK(web.http.port == 80);
    CHECK(web.stats_users == std::vector<std::string>{"m"});
    auto const admin = config::load_text("backends: [{}]\ncontrol: ''\nadmin: { database: proxy, users: [dba, ops], auth_database: template1 }", "p.yaml", "/");
    CHECK(admin.values.admin == net::admin_settings{"proxy", {"dba", "ops"}, "template1", {}, {}});
    CHECK(about("log: { statements: full }") == lines{});
    auto const trusted = config::load_text("backends: [{}]\ncontrol: ''\npatterns: { suspend_below: 20%, minimum_uses: 3, retire_after: 720h }\nhealing: { max_batch_bytes: 4MiB }", "p.yaml", "/").values;
    CHECK(trusted.patterns == learning::book_limits{.lowest_trust = 0.2, .least_trials = 3, .retire_after = 720h});
    CHECK(trusted.healing.most_batch_bytes == 4U << 20);
    CHECK(about("patterns: { retire_after: 90d }") == lines{R"(p.yaml:1:27: error: patterns.retire_after must be a duration such as 2160h (ms, s, m, h), not "90d")"});
    CHECK(about("patterns: { minimum_uses: 0 }") == lines{R"(p.yaml:1:27: error: patterns.minimum_uses must be a whole number from 1 to 1000000, not "0")"});
    CHECK(about("patterns: { suspend_bellow: 5% }") == lines{R"(p.yaml:1:13: error: unknown key "suspend_bellow"; did you mean "suspend_below"?)"});
}

TEST_CASE("replay is said not to be in this version, and a savepoint takes its place") {
    CHECK(about("healing: { transaction_guard: savepoint }") == lines{});
    CHECK(about("healing: { transaction_guard: replay }") ==
          lines{"p.yaml:1:31: warning: healing.transaction_guard: replay is not in this version; savepoint is used instead"});
    auto const l = config::load_text("backends: [{}]\nhealing: { transaction_guard: replay }", "p.yaml", {});
    CHECK(l.values.healing.guard == healing::transaction_guard::savepoint);
}

TEST_CASE("no guess can be set to heal writes") {
    for (std::string const guess : {"hint", "similarity", "advisor"}) {
        CHECK(about("healing: { policy: {\n" + guess + ": { reads: heal } } }") == lines{});
        CHECK(about("healing: { policy: { " + guess + ":\n { reads: heal, writes: heal } } }") ==
              lines{"p.yaml:2:25: error: healing.policy." + guess + ".writes must be off or propose, not \"heal\": a write is healed on proof only"});
    }
    CHECK(about("healing: { policy: { rule: { writes: hael } } }") ==
          lines{R"(p.yaml:1:38: error: healing.policy.rule.writes must be off, propose or heal, not "hael"; did you mean "heal"?)"});
}

TEST_CASE("the policy's keys are in the order of the kinds of evidence") {
    for (auto const name : learning::evidence_names) {
        auto const l = config::load_text("backends: [{}]\nhealing: { policy: { " + std::string{name} + ": { reads: off } } }", "p.yaml", {});
        for (std::size_t i = 0; i < learning::evidence_names.size(); ++i)
            CHECK((l.values.healing.policy.reads(healing::evidence(i)) == healing::action::off) == (learning::evidence_names[i] == name));
    }
}

TEST_CASE("every setting of breakers, health and routing is read") {
    auto const l = config::load_text(R"(
backends: [{}]
control: ''
read_only_to: replica
max_replay_lag: 3s
lost_sessions: end
health: { every: 200ms, timeout: 500ms, give_up_after: 0s }
breaker: { mode: observe, window: 10s, minimum_calls: 3, failure_rate: 25%, consecutive_failures: 0, slow_call: 100ms, slow_rate: 80%,
           open_for: 1s, max_open_for: 10s, jitter: 0%, half_open_probes: 1 }
limits: { per_backend: 50, per_database: 40, per_user: 30, waiting: 7, wait: 2s }
)", "p.yaml", {});
    CHECK(messages(l) == lines{});
    CHECK(l.values.routing == net::routing_settings{true, 3s, false});
    CHECK(l.values.health == net::health_settings{200ms, 500ms, 0ms});
    backend::breaker_settings expected;
    expected.mode = backend::breaker_mode::observe;
    expected.window_time = 10s;
    expected.minimum_calls = 3;
    expected.failure_rate = 0.25;
    expected.consecutive_failures = 0;
    expected.slow_call = 100ms;
    expected.slow_rate = 0.8;
    expected.open_for = 1s;
    expected.most_open_for = 10s;
    expected.jitter = 0;
    expected.half_open_probes = 1;
    CHECK(l.values.breaker == expected);
    CHECK(l.values.limits == backend::bulkhead_limits{50, 40, 30, 7, 2s});
    CHECK(config::load_text("backends: [{}]\ncontrol: ''\nbreaker: { window: 50 }", "p.yaml", {}).values.breaker.window_calls == 50);
}

TEST_CASE("which of several servers is the primary must be clear or found out, and by somebody") {
    CHECK(about_all_of("control: ''\nbackends:\n  - { name: a }\n  - { name: b }\n") ==
          lines{R"(p.yaml:4:5: error: both "a" and "b" are the primary: give one of them role: replica, or both role: auto)"});
    CHECK(about_all_of("control: ''\nbackends:\n  - { name: a }\n  - { name: b, role: replica }\n").empty());
    CHECK(about_all_of("control: ''\nbackends:\n  - { name: a, role: auto }\n  - { name: b, role: auto }\n").empty());
    CHECK(about_all_of("healing: { mode: off }\nbackends:\n  - { name: a, role: auto }\n  - { name: b, role: auto }\n") ==
          lines{"p.yaml:4:5: error: several backends need control: pgmend has to see that they are one cluster, and which of them is the primary"});
}

TEST_CASE("a list of hosts is as many servers") {
    auto const l = config::load_text("backends: [{ name: db, host: \"a.example,10.0.0.2,/run/x\", role: auto, port: 5433 }]\ncontrol: ''\n", "p.yaml", {});
    CHECK(messages(l) == lines{});
    REQUIRE(l.values.backends.size() == 3);
    CHECK(l.values.backends[0].name == "db.1");
    CHECK(l.values.backends[0].host == "a.example");
    CHECK(l.values.backends[2].name == "db.3");
    CHECK(l.values.backends[2].host == "/run/x");
    CHECK(l.values.backends[1].port == 5433);
    CHECK(about_all_of("control: ''\nbackends:\n  - { host: \"a,b\" }\n") ==
          lines{"p.yaml:3:5: error: \"primary\" has several hosts, which cannot all be the primary: give it role: auto"});
    for (auto const* bad : {"a,", ",a", "a,,b", "a,b:1"})
        CHECK(about_all_of("control: ''\nbackends:\n  - { role: auto, host: \"" + std::string{bad} + "\" }\n").size() == 1);
}

TEST_CASE("backends are required and have names of their own") {
    CHECK(about_all_of("# a comment\ncontrol: ''\n") == lines{"p.yaml:2:1: error: backends is missing; it needs at least one server"});
    CHECK(about_all_of("control: ''\nbackends:\n") == lines{"p.yaml:2:1: error: backends is empty; it needs at least one server"});
    CHECK(about_all_of("control: ''\nbackends: {host: a}\n") ==
          lines{R"(p.yaml:2:11: error: backends must be a list (begin each server with "- "), not a mapping)"});
    CHECK(about_all_of("control: ''\nbackends: [a]\n") == lines{"p.yaml:2:12: error: backends[0] must be a mapping, not text"});
    CHECK(about_all_of("control: ''\nbackends:\n  - { name: a, role: auto }\n  - { name: a, role: auto }\n") ==
          lines{R"(p.yaml:4:13: error: duplicate backend name "a"; it is already in line 3)"});
    CHECK(config::load_text("workers: 1", "p.yaml", {}, {.backend = true, .control = true}).problems.empty());
    CHECK(config::load_text("backends: [{name: a}, {name: b}]", "p.yaml", {}).values.backends.size() == 2);
}

TEST_CASE("a backend has circuit breakers of its own") {
    auto const named = [](std::string const& name) { return about_all_of("control: ''\nbackends:\n  - { role: auto }\n  - { role: auto, name: " + name + " }\n"); };
    CHECK(named("other").empty());
    CHECK(named("State").empty());
    CHECK(named("state") == lines{R"(p.yaml:4:25: error: backend name "state": its circuit breaker "state" would also be the store's; give it another name)"});
    CHECK(named("catalog") == lines{R"(p.yaml:4:25: error: backend name "catalog": its circuit breaker "catalog" would also be the catalog watcher's; give it another name)"});
    CHECK(named("primary.statements") ==
          lines{R"(p.yaml:4:25: error: backend name "primary.statements": names that end in .statements are those of circuit breakers for statements; give it another one)"});
    CHECK(about_all_of("control: ''\nbackends:\n  - { role: auto, name: db, host: \"a,b\" }\n  - { role: auto, name: db.2 }\n") ==
          lines{R"(p.yaml:4:25: error: backend name "db.2": its circuit breaker "db.2" would also be that of backend "db"; give it another name)",
                R"(p.yaml:4:25: error: backend name "db.2": its circuit breaker "db.2.statements" would also be that of backend "db"; give it another name)"});
    CHECK(about_all_of("control: ''\nbackends: [{ name: state }]\n").size() == 1);
}

TEST_CASE("hosts are names, addresses or directories") {
    auto const host = [](std::string const& h) { return about_all_of("control: ''\nbackends: [{host: \"" + h + "\"}]\n"); };
    for (auto const* good : {"localhost", "db-1.example.org", "10.0.0.1", "::1", "fe80::1%eth0", "/var/run/postgresql", "db_1"}) CHECK(host(good) == lines{});
    CHECK(host("a b") == lines{R"(p.yaml:2:19: error: backends[0].host must be a host name, an IP address or the directory of a Unix socket, not "a b")"});
    CHECK(host("db:5432") == lines{R"(p.yaml:2:19: error: backends[0].host must be without the port, which has a key of its own: not "db:5432")"});
    CHECK(host("10.0.0.300").size() == 1);
    CHECK(host("").size() == 1);
}

TEST_CASE("pgmend listens on addresses, not on names") {
    for (auto const* good : {"\"*\"", "0.0.0.0", "\"::\"", "localhost", "192.168.1.2"}) CHECK(about("listen: { address: " + std::string{good} + " }") == lines{});
    CHECK(about("listen: { address: example.org }") ==
          lines{R"(p.yaml:1:20: error: listen.address must be an IP address, * or localhost, not "example.org")"});
}

TEST_CASE("without control nothing can be healed, and a warning says so") {
    CHECK(about_all_of("backends: [{}]\n") ==
          lines{"p.yaml: warning: no control connection, so nothing can be healed: set control, or healing.mode to off"});
    CHECK(about_all_of("backends: [{}]\nhealing: { mode: off }\n") == lines{});
    CHECK(config::load_text("backends: [{}]\n", "p.yaml", {}, {.backend = false, .control = true}).problems.empty());
}

TEST_CASE("a control connection is checked without showing it") {
    auto const control = [](std::string const& c) { return about_all_of("backends: [{}]\ncontrol: \"" + c + "\"\n"); };
    CHECK(control("user=pgmend pasword=hunter2") == lines{R"(p.yaml:2:10: error: control: keyword 2 is not one of libpq's; did you mean "password"?)"});
    CHECK(control("user=pgmend password=my hunter2") ==
          lines{R"(p.yaml:2:10: error: control: keyword 3 has no "=" after it (a value with blanks needs single quotes))"});
    CHECK(control("user=pgmend password='hunter2") == lines{"p.yaml:2:10: error: control: the quote in the value of password is never closed"});
    CHECK(control("postgresql://pgmend:hunter2@/shop") == lines{});
    CHECK(control("mysql://pgmend:hunter2@/shop") == lines{"p.yaml:2:10: error: control: unknown scheme; a URI begins with postgresql://"});
    CHECK(about_all_of("backends: [{}]\ncontrol: { user: pgmend, password: hunter2 }\n") ==
          lines{"p.yaml:2:10: error: control must be a single value, not a mapping"});
}

TEST_CASE("a password never shows, whatever else is wrong") {
    for (std::string const text : {"control \"password=hunter2\"", "log: { level: \"password=hunter2\" }", "\"password=hunter2\": 1",
                                   "backends: [{host: \"password = 'hunter2'\"}]", "listen: [\"postgresql://u:hunter2@h\"",
                                   "listen: { address: \"postgresql://u:hunter2@h\" }", "control: \"password=hun\\qter2\"",
                                   "control: &a *hunter2"}) {
        auto const all = config::format(config::load_text(text, "p.yaml", {}).problems);
        INFO(all);
        CHECK(all.find("error") != std::string::npos);
        CHECK(all.find("unter2") == std::string::npos);
    }
}

TEST_CASE("a problem without a place names the file only") {
    CHECK(config::format(config::problem{"a.yaml", 0, 0, config::severity::error, "m"}) == "a.yaml: error: m");
    CHECK(config::format(config::problem{"", 0, 0, config::severity::warning, "m"}) == "warning: m");
    CHECK(config::format(std::vector{config::problem{"a", 1, 2, config::severity::error, "m"}}) == "a:1:2: error: m\n");
}
