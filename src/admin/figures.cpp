// What PgBouncer's console shows, too: its columns, and only what pgmend knows in them.
#include "admin/commands.hpp"

#include <fmt/format.h>

#include <concepts>
#include <map>
#include <set>
#include <utility>

namespace pgmend::admin {
namespace {

using session::console_row;
using rows = std::vector<console_row>;
using sessions = std::vector<net::session_figures>;

/// `address:port` apart; PgBouncer says "unix" and a port, where we have none.
std::pair<std::string, std::optional<std::string>> split_address(std::string const& text) {
    auto const colon = text.rfind(':');
    if (colon == std::string::npos) return {text, std::nullopt};
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return {host, text.substr(colon + 1)};
}

console_row connection_row(net::session_figures const& s, bool server) {
    auto const [address, port] = split_address(server ? s.server : s.client);
    auto const own = fmt::format("{:#x}", s.id);
    // One server connection for each client, from its login to its end: nobody waits, and both are active.
    return {server ? "S" : "C", s.user, s.database, s.logged_in ? "active" : "login", address, port, std::nullopt, std::nullopt,
            server ? std::nullopt : std::optional{time_text(s.connected)}, std::nullopt, "0", "0", "0", own + (server ? "s" : "c"),
            s.server.empty() ? "" : own + (server ? "c" : "s"), server ? text_of(s.server_process) : "0",
            (server ? s.server_tls : s.client_tls) ? "on" : "", s.application_name, std::string{s.replication}};
}

} // namespace

void show_clients(request r) {
    r.from->sessions([answer = std::move(r.answer)](sessions const& all) {
        rows out;
        for (auto const& s : all) out.push_back(connection_row(s, false));
        answer(std::move(out));
    });
}

void show_servers(request r) {
    r.from->sessions([answer = std::move(r.answer)](sessions const& all) {
        rows out;
        for (auto const& s : all)
            if (!s.server.empty()) out.push_back(connection_row(s, true));
        answer(std::move(out));
    });
}

void show_pools(request r) {
    r.from->sessions([answer = std::move(r.answer)](sessions const& all) {
        struct pool {
            std::size_t clients{0};
            std::size_t servers{0};
            std::size_t logging_in{0};
        };
        std::map<std::pair<std::string, std::string>, pool> pools;
        for (auto const& s : all) {
            if (s.database.empty()) continue; // has not said yet
            auto& p = pools[{s.database, s.user}];
            if (s.logged_in) ++p.clients;
            if (s.server.empty()) continue;
            ++(s.logged_in ? p.servers : p.logging_in);
        }
        rows out;
        for (auto const& [name, p] : pools)
            out.push_back({name.first, name.second, text_of(p.clients), "0", "0", "0", text_of(p.servers), "0", "0", "0", "0", "0",
                           text_of(p.logging_in), "0", "0", "session"});
        answer(std::move(out));
    });
}

void show_users(request r) {
    auto const most = r.from->services->settings.get()->limits.per_user;
    r.from->sessions([most, answer = std::move(r.answer)](sessions const& all) {
        std::map<std::string, std::size_t> servers;
        for (auto const& s : all) {
            if (s.database.empty()) continue; // has not said yet
            auto& count = servers[s.user];
            if (!s.server.empty()) ++count;
        }
        rows out;
        for (auto const& [name, count] : servers) out.push_back({name, "session", text_of(most), text_of(count)});
        answer(std::move(out));
    });
}

void show_state(request r) {
    auto const text = [](bool yes) { return std::string{yes ? "yes" : "no"}; };
    bool const paused = r.from->is_paused && r.from->is_paused({}); // of all databases; SHOW DATABASES tells of each
    r.answer(rows{{"active", text(!paused)},
                  {"paused", text(paused)},
                  {"suspended", "no"}, // PgBouncer's SUSPEND
                  {"stopping", text(r.from->services->draining.load(std::memory_order_relaxed))}});
}

void show_lists(request r) {
    r.from->sessions([answer = std::move(r.answer)](sessions const& all) {
        std::set<std::string> databases;
        std::set<std::string> users;
        std::set<std::pair<std::string, std::string>> pools;
        std::size_t logged_in = 0;
        std::size_t servers = 0;
        for (auto const& s : all) {
            if (s.logged_in) ++logged_in;
            if (!s.server.empty()) ++servers;
            if (s.database.empty()) continue;
            databases.insert(s.database);
            users.insert(s.user);
            pools.emplace(s.database, s.user);
        }
        answer(rows{{"databases", text_of(databases.size())},
                    {"users", text_of(users.size())},
                    {"pools", text_of(pools.size())},
                    {"free_clients", "0"},
                    {"used_clients", text_of(logged_in)},
                    {"login_clients", text_of(all.size() - logged_in)},
                    {"free_servers", "0"},
                    {"used_servers", text_of(servers)},
                    {"dns_names", "0"},
                    {"dns_zones", "0"},
                    {"dns_queries", "0"},
                    {"dns_pending", "0"}});
    });
}

void show_databases(request r) {
    auto const* const from = r.from;
    from->sessions([from, answer = std::move(r.answer)](sessions const& all) {
        std::map<std::string, std::size_t> connections;
        for (auto const& s : all)
            if (!s.server.empty()) ++connections[s.database];
        auto tell = [from, answer, connections](std::vector<control::watched_database> const& watched) mutable {
            for (auto const& d : watched) connections.try_emplace(d.name, 0);
            auto const backend = from->services->settings.get()->servers.front()->settings;
            rows out;
            for (auto const& [name, count] : connections) // no pool: no sizes, no limits
                out.push_back({name, backend.host, text_of(backend.port), name, std::nullopt, "0", "0", "0", "session", "0", text_of(count),
                               from->is_paused && from->is_paused(name) ? "1" : "0", "0"});
            answer(std::move(out));
        };
        if (from->watcher != nullptr) from->watcher->describe(std::move(tell));
        else tell({});
    });
}

} // namespace pgmend::admin
