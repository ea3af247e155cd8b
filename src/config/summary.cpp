#include "keys.hpp"

#include "pgmend/config/connection_string.hpp"
#include "pgmend/config/load.hpp"
#include "pgmend/config/settings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pgmend::config {
namespace {

/// A choice as it is written in YAML; the table lists choices in the order of their enumerations.
std::string_view choice_name(std::string_view group, std::string_view name, auto value) {
    return find_key(group, name)->choices[static_cast<std::size_t>(value)];
}

std::string endpoint_text(std::string_view host, std::uint16_t port) {
    bool const brackets = host.find(':') != std::string_view::npos && !host.starts_with('/');
    return brackets ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string tls_text(net::tls_settings const& tls) {
    std::string out = fmt::format("tls {}", choice_name("tls", "mode", tls.mode));
    if (!tls.cert.empty()) out += fmt::format(", cert {}", tls.cert);
    if (!tls.ca.empty()) out += fmt::format(", ca {}", tls.ca);
    return out;
}

/// `rule heal, …, hint propose/off`: reads, and writes where they differ.
std::string policy_text(healing::policy const& policy) {
    std::string out;
    auto const names = names_in("policy");
    for (std::size_t i = 0; i < names.size(); ++i) {
        auto const kind = static_cast<healing::evidence>(i);
        out += fmt::format("{}{} {}", i > 0 ? ", " : "", names[i], choice_name("proof", "reads", policy.reads(kind)));
        if (policy.writes(kind) != policy.reads(kind)) out += fmt::format("/{}", choice_name("proof", "writes", policy.writes(kind)));
    }
    return out;
}

void describe_group(std::string_view group, std::string const& path, std::string& out) {
    for (auto const& k : all_keys()) {
        if (k.group != group || k.apply == nullptr) continue;
        std::string const shown = path + std::string{k.name};
        std::string text;
        for (auto const& choice : k.choices) text.append(text.empty() ? "" : " | ").append(choice);
        if (!text.empty() && !k.help.empty()) text += "; ";
        text += k.help;
        if (!k.usual.empty()) text += fmt::format("{}[{}]", text.empty() ? "" : " ", k.usual);
        out += fmt::format("  {:<32} {}\n", shown, text);
        if (k.type == key_type::mapping || k.type == key_type::paths_or_mapping) describe_group(k.children, shown + ".", out);
        if (k.type == key_type::list_of_mappings) describe_group(k.children, shown + "[].", out);
    }
}

} // namespace

net::backend_settings default_backend() {
    net::backend_settings out;
    out.tls.mode = net::tls_mode::prefer;
    return out;
}

std::string summary(settings const& s) {
    std::string out;
    for (auto const& [topic, text] : summary_lines(s)) out += fmt::format("{:<9} {}\n", topic, text);
    return out;
}

std::vector<std::pair<std::string, std::string>> summary_lines(settings const& s) {
    std::vector<std::pair<std::string, std::string>> out;
    auto const line = [&](std::string_view topic, std::string text) { out.emplace_back(topic, std::move(text)); };
    line("listen", fmt::format("{}, {}, at most {} clients", endpoint_text(s.listen.address, s.listen.port), tls_text(s.listen.tls), s.listen.most_clients));
    for (auto const& b : s.backends) line("backend", fmt::format("{} ({}) {}, {}", b.name, choice_name("backend", "role", b.role), endpoint_text(b.host, b.port), tls_text(b.tls)));
    line("control", s.control ? mask_passwords(*s.control) : "none");
    auto const every = [](std::chrono::milliseconds pause) { return pause.count() == 0 ? std::string{"never"} : fmt::format("every {} ms", pause.count()); };
    line("watch", fmt::format("poll {}, verify {}, notifications {}", every(s.watch.poll), every(s.watch.verify), s.watch.notifications ? "on" : "off") +
                      fmt::format(", {} versions{}", s.watch.keep_versions,
                                  s.watch.keep_for.count() == 0 ? "" : fmt::format(" for {} s", s.watch.keep_for.count() / 1000)));
    line("state", s.state.empty() ? "none" : mask_passwords(s.state));
    auto const& k = s.breaker;
    line("breaker", fmt::format("{}, window {}, at {:.0f}% failures of at least {} or {} in a row, open for {} to {} ms, {} probes", backend::name_of(k.mode),
                                k.window_time.count() > 0 ? fmt::format("{} ms", k.window_time.count()) : fmt::format("{} calls", k.window_calls),
                                k.failure_rate * 100, k.minimum_calls, k.consecutive_failures, k.open_for.count(), k.most_open_for.count(), k.half_open_probes));
    if (auto const& m = s.limits; m.any())
        line("limits", fmt::format("{} for each backend, {} database, {} user (0: none), {} wait up to {} ms", m.per_backend, m.per_database, m.per_user, m.waiting, m.wait.count()));
    line("health", fmt::format("{}, within {} ms, silent requests end after {} ms", every(s.health.every), s.health.timeout.count(), s.health.give_up_after.count()));
    line("healing", fmt::format("{}, notice {}, guard {}, silent {}, statements up to {} bytes, batches up to {}", choice_name("healing", "mode", s.healing.healing_mode),
                                s.healing.notice ? "on" : "off", choice_name("healing", "transaction_guard", s.healing.guard),
                                choice_name("healing", "silent", s.healing.silent), s.healing.most_statement_bytes, s.healing.most_batch_bytes));
    line("policy", policy_text(s.healing.policy));
    line("patterns", fmt::format("suspended below {:.0f}% after {} uses, retired after {} s", s.patterns.lowest_trust * 100, s.patterns.least_trials, s.patterns.retire_after.count() / 1000));
    if (!s.rules.paths.empty()) line("rules", fmt::format("{}{}", fmt::join(s.rules.paths, ", "), s.rules.watch ? ", watched" : ""));
    line("console", fmt::format("database {}, users {}", s.admin.database, s.admin.users.empty() ? "none" : fmt::format("{}", fmt::join(s.admin.users, ", "))));
    if (!s.admin.stats_users.empty()) line("stats_users", fmt::format("{}", fmt::join(s.admin.stats_users, ", ")));
    if (auto const& http = s.admin.http; !http.address.empty())
        line("http", fmt::format("{}, {}, reading {}, deciding {}", endpoint_text(http.address, http.port), http.cert.empty() ? "in clear" : "tls",
                                 http.read_needs_token ? "by token" : "open", http.token.empty() ? "off" : "by token"));
    line("log", fmt::format("{} to {}, level {}, statements {}", choice_name("log", "format", s.log.format),
                            s.log.file.empty() ? "standard error" : s.log.file, choice_name("log", "level", s.log.level),
                            choice_name("log", "statements", s.log.statements)));
    line("workers", s.workers == 0 ? "one per core" : fmt::format("{}", s.workers));
    line("shutdown", fmt::format("grace {}s", s.shutdown_grace.count()));
    return out;
}

std::vector<std::string> restart_needed(settings const& before, settings const& after) {
    std::vector<std::string> names;
    if (before.listen.address != after.listen.address) names.emplace_back("listen.address");
    if (before.listen.port != after.listen.port) names.emplace_back("listen.port");
    if (before.workers != after.workers) names.emplace_back("workers");
    if (before.admin.http != after.admin.http) names.emplace_back("admin.http");
    if (before.state != after.state) names.emplace_back("state");
    return names;
}

std::string describe_keys() {
    std::string out;
    describe_group("", "", out);
    return out;
}

} // namespace pgmend::config
