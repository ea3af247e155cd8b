#include "pgmend/control/login.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace pgmend::control {

namespace {

char const* ssl_mode(net::tls_mode mode) {
    switch (mode) {
    case net::tls_mode::disable: return "disable";
    case net::tls_mode::allow: return "allow";
    case net::tls_mode::prefer: return "prefer";
    case net::tls_mode::require: return "require";
    case net::tls_mode::verify_ca: return "verify-ca";
    case net::tls_mode::verify_full: return "verify-full";
    }
    return "prefer";
}

/// Where distributions keep the certificates that everyone trusts; libpq before version 16 wants to be told. Empty: nowhere.
std::string system_certificates() {
    static constexpr std::array bundles{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/cert.pem"};
    for (auto const* bundle : bundles) {
        std::error_code ignored;
        if (std::filesystem::exists(bundle, ignored)) return bundle;
    }
    return {};
}

} // namespace

base::result<pg::parameters> login_parameters(watcher_settings const& settings, std::string const& database) {
    auto const parsed = pg::parse_connection_string(settings.connection);
    if (!parsed) return base::fail(parsed.error().code, "control: " + parsed.error().text);
    auto p = *parsed;
    for (auto const* ours : {"host", "hostaddr", "port", "dbname"}) p.erase(ours);
    p["host"] = settings.backend.host;
    p["port"] = std::to_string(settings.backend.port);
    p["dbname"] = database;
    p.emplace("application_name", "pgmend control");
    p.emplace("gssencmode", "disable"); // asking for a ticket may block
    auto const& tls = settings.backend.tls;
    p.emplace("sslmode", ssl_mode(tls.mode));
    bool const verifies = tls.mode == net::tls_mode::verify_ca || tls.mode == net::tls_mode::verify_full;
    auto const roots = tls.ca.empty() && verifies ? system_certificates() : tls.ca;
    if (!roots.empty()) p.emplace("sslrootcert", roots);
    if (!tls.cert.empty()) p.emplace("sslcert", tls.cert);
    if (!tls.key.empty()) p.emplace("sslkey", tls.key);
    return p;
}

base::result<std::vector<std::string>> control_databases(watcher_settings const& settings) {
    auto const parsed = pg::parse_connection_string(settings.connection);
    if (!parsed) return base::fail(parsed.error().code, "control: " + parsed.error().text);
    std::vector<std::string> names;
    auto const add = [&](std::string const& name) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    if (auto const own = parsed->find("dbname"); own != parsed->end()) add(own->second);
    add("postgres");
    if (auto const user = parsed->find("user"); user != parsed->end()) add(user->second);
    return names;
}

} // namespace pgmend::control
