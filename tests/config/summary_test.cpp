#include "pgmend/config/connection_string.hpp"
#include "pgmend/config/load.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;

TEST_CASE("the summary shows each topic and no password") {
    config::settings s;
    s.backends.push_back(config::default_backend());
    s.backends[0].host = "::1";
    s.control = "user=pgmend password=hunter2";
    CHECK(config::summary(s) == "listen    127.0.0.1:6432, tls disable, at most 10000 clients\n"
                                "backend   primary (primary) [::1]:5432, tls prefer\n"
                                "control   user=pgmend password=***\n"
                                "watch     poll every 250 ms, verify every 5000 ms, notifications on, 64 versions\n"
                                "state     none\n"
                                "breaker   enforce, window 20 calls, at 50% failures of at least 10 or 5 in a row, open for 5000 to 60000 ms, 2 probes\n"
                                "health    every 1000 ms, within 2000 ms, silent requests end after 15000 ms\n"
                                "healing   heal, notice off, guard savepoint, silent report, statements up to 65536 bytes, batches up to 1048576\n"
                                "policy    rule heal, approved heal, lineage heal, migration heal, hint propose, similarity propose, advisor propose\n"
                                "patterns  suspended below 50% after 5 uses, retired after 7776000 s\n"
                                "console   database pgmend, users postgres\n"
                                "log       auto to standard error, level info, statements normalized\n"
                                "workers   one per core\n"
                                "shutdown  grace 30s\n");
}

TEST_CASE("only where pgmend listens and how many workers it has need a restart") {
    config::settings before;
    auto after = before;
    CHECK(config::restart_needed(before, after).empty());
    after.control = "user=x";
    after.healing.healing_mode = healing::mode::off;
    after.log.format = config::log_format::json;
    after.backends.push_back(config::default_backend());
    after.listen.tls.mode = net::tls_mode::prefer;
    CHECK(config::restart_needed(before, after).empty());
    after.listen.address = "*";
    after.listen.port = 1;
    after.workers = 9;
    after.state = "x.db";
    CHECK(config::restart_needed(before, after) == std::vector<std::string>{"listen.address", "listen.port", "workers", "state"});
}

TEST_CASE("passwords are masked in every way to write them") {
    CHECK(config::mask_passwords("user=a password=b dbname=c") == "user=a password=*** dbname=c");
    CHECK(config::mask_passwords("password = 'b c' user = d") == "password = *** user = d");
    CHECK(config::mask_passwords("password=b\\ c user=d") == "password=*** user=d");
    CHECK(config::mask_passwords("password='it\\'s b' user=d") == "password=*** user=d");
    CHECK(config::mask_passwords("password='b c") == "password=***");
    CHECK(config::mask_passwords("pasword=b") == "pasword=***");
    CHECK(config::mask_passwords("sslpassword=b sslkey=c") == "sslpassword=*** sslkey=c");
    CHECK(config::mask_passwords("postgresql://a:b@h:1/d?sslmode=require&password=c&user=e") ==
          "postgresql://a:***@h:1/d?sslmode=require&password=***&user=e");
    CHECK(config::mask_passwords("postgres://a:b@c@h/d") == "postgres://a:***@h/d");
    CHECK(config::mask_passwords("postgres://h:1/d") == "postgres://h:1/d");
    CHECK(config::mask_passwords("nothing here") == "nothing here");
    CHECK(config::mask_passwords("") == "");
    CHECK(config::mask_passwords("=") == "=***");
}

TEST_CASE("the documentation of the keys has those that work, with defaults") {
    auto const text = config::describe_keys();
    CHECK(text.find("  listen.port                      0: any free port [6432]\n") != std::string::npos);
    CHECK(text.find("backends[].tls.mode") != std::string::npos);
    CHECK(text.find("off | observe | heal [heal]") != std::string::npos);
    CHECK(text.find("breaker.open_for") != std::string::npos);
}
