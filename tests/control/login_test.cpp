#include "pgmend/control/login.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;

namespace {

control::watcher_settings settings(std::string connection) {
    control::watcher_settings s;
    s.connection = std::move(connection);
    s.backend.host = "db.example";
    s.backend.port = 5433;
    s.backend.tls = {net::tls_mode::verify_full, "client.crt", "client.key", "root.crt"};
    return s;
}

} // namespace

TEST_CASE("host, port and database are the backend's, whatever the connection string says") {
    for (auto const* text : {"user=pgmend password=p host=elsewhere port=1 dbname=x hostaddr=127.0.0.9",
                             "postgresql://pgmend:p@elsewhere:1/x"}) {
        auto const p = control::login_parameters(settings(text), "shop").value();
        CHECK(p.at("host") == "db.example");
        CHECK(p.at("port") == "5433");
        CHECK(p.at("dbname") == "shop");
        CHECK(p.at("user") == "pgmend");
        CHECK(p.at("password") == "p");
        CHECK(p.at("application_name") == "pgmend control");
        CHECK_FALSE(p.contains("hostaddr"));
    }
}

TEST_CASE("TLS is as the backend's settings say unless the connection string names it") {
    auto const theirs = control::login_parameters(settings("user=pgmend"), "shop").value();
    CHECK(theirs.at("sslmode") == "verify-full");
    CHECK(theirs.at("sslrootcert") == "root.crt");
    CHECK(theirs.at("sslcert") == "client.crt");
    CHECK(theirs.at("sslkey") == "client.key");
    auto const own = control::login_parameters(settings("user=pgmend sslmode=require sslrootcert=own.crt"), "shop").value();
    CHECK(own.at("sslmode") == "require");
    CHECK(own.at("sslrootcert") == "own.crt");
    CHECK(own.at("sslcert") == "client.crt");
}

TEST_CASE("the list of databases is looked for in the named database, postgres and the user's own") {
    using names = std::vector<std::string>;
    CHECK(control::control_databases(settings("user=pgmend dbname=main")).value() == names{"main", "postgres", "pgmend"});
    CHECK(control::control_databases(settings("user=pgmend")).value() == names{"postgres", "pgmend"});
    CHECK(control::control_databases(settings("dbname=postgres user=postgres")).value() == names{"postgres"});
}

TEST_CASE("what is wrong with a connection string is said without quoting it") {
    for (auto const* text : {"user=pgmend password=se cret", "sesame", "user=pgmend sesame=1", "user='sesame"}) {
        auto const refused = control::login_parameters(settings(text), "shop");
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == base::errc::invalid_input);
        CHECK(refused.error().text.find("sesame") == std::string::npos);
        CHECK(refused.error().text.find("cret") == std::string::npos);
        CHECK_FALSE(control::control_databases(settings(text)).has_value());
    }
}
