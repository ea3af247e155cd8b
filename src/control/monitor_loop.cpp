#include "monitor_loop.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/control/login.hpp"
#include "pgmend/net/io_context.hpp"

#include <boost/asio/co_spawn.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <utility>

namespace pgmend::control {

namespace asio = boost::asio;
using backend::server_role;

namespace {

/// After so many checks without an answer it is not known any more what the server is.
constexpr unsigned most_unanswered = 2;

constexpr auto the_question =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'),"
    " (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END"
    " OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn";

constexpr auto the_defaults =
    "; SELECT r.rolname, d.datname, pg_catalog.split_part(c, '=', 2) FROM pg_catalog.pg_db_role_setting AS s LEFT JOIN pg_catalog.pg_roles AS r"
    " ON r.oid OPERATOR(pg_catalog.=) s.setrole LEFT JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase,"
    " pg_catalog.unnest(s.setconfig) AS c WHERE pg_catalog.split_part(c, '=', 1) OPERATOR(pg_catalog.=) 'default_transaction_read_only'";

/// libpq does not say which errno it met, so this is found out before it is asked.
bool descriptors_left() {
    int const descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return false;
    (void)::close(descriptor);
    return true;
}

net::backend_set::defaults defaults_of(pg::rows const& rows) {
    net::backend_set::defaults out;
    for (std::size_t i = 0; i < rows.size(); ++i) out.push_back({std::string{rows.text(i, 0)}, std::string{rows.text(i, 1)}, session::is_yes(rows.text(i, 2))});
    return out;
}

// Plain functions: see base::log about braces in coroutines.
void log_role(std::string const& name, server_role before, server_role now, std::string_view problem) {
    base::log(now == server_role::unknown ? base::log_level::warning : base::log_level::info, "backend.role",
              {{"backend", name}, {"role", backend::name_of(now)}, {"before", backend::name_of(before)}, {"reason", problem}});
}

} // namespace

monitor_loop::monitor_loop(asio::io_context& io, monitor_settings settings, std::shared_ptr<net::backend_set> backends, backend_monitor::callbacks tells)
    : io_{io}, settings_{std::move(settings)}, backends_{std::move(backends)}, tells_{std::move(tells)} {}

void monitor_loop::start() {
    for (auto const& server : settings_.servers) {
        auto w = std::make_shared<watched>(io_, server);
        servers_.push_back(w);
        auto on_end = [name = server->settings.name](std::exception_ptr broken) {
            if (broken) base::log(base::log_level::error, "backend.unwatched", {{"backend", name}, {"reason", "out of memory"}});
        };
        asio::co_spawn(io_.get_executor(), watch(std::move(w)), on_end);
    }
}

void monitor_loop::reconfigure(monitor_settings settings) {
    for (auto const& w : servers_) {
        w->over = true;
        w->pause.cancel();
    }
    servers_.clear();
    settings_ = std::move(settings);
    start();
}

void monitor_loop::look_now() {
    for (auto const& w : servers_) w->pause.cancel();
}

pg::task<void> monitor_loop::sleep(std::shared_ptr<watched> w, base::duration time) {
    w->pause.expires_after(time);
    co_await w->pause.async_wait(net::use_io_tuple);
}

pg::task<void> monitor_loop::watch(std::shared_ptr<watched> w) {
    auto& breaker = w->server->state->statements;
    while (!w->over) {
        // Also while it is open: one question a time is no storm, and finds out earlier than a client's probe would.
        auto const call = breaker.admit(base::steady::now()).value_or(backend::breaker::call{});
        auto const began = base::steady::now();
        auto const found = co_await check(w);
        if (w->over) {
            breaker.abandoned(call);
            break;
        }
        auto const now = base::steady::now();
        if (found) {
            breaker.succeeded(call, now - began, settings_.servers.size() == 1, now);
            breaker.looks_healthy(now);
            accept(*w, *found);
        } else {
            auto const& problem = found.error();
            auto const whose = w->local_lack || problem.code == base::errc::invalid_input ? backend::fault::local
                               : problem.sqlstate.empty() ? backend::fault::backend
                                                          : backend::fault_of_sqlstate(problem.sqlstate, {}, backend::phase::login);
            if (whose == backend::fault::backend) breaker.failed(call, problem.text, now);
            else breaker.abandoned(call);
            on_failed(*w, problem);
        }
        note_asked(*w);
        // A first failure may be the connection's alone.
        if (!found && w->unanswered == 1) continue;
        co_await sleep(w, settings_.health.every);
    }
}

pg::task<pg::result<void>> monitor_loop::open(std::shared_ptr<watched> w, base::time_point deadline) {
    watcher_settings as_watcher;
    as_watcher.connection = settings_.connection;
    as_watcher.backend = w->server->settings;
    auto const names = control_databases(as_watcher);
    pg::error problem{base::errc::invalid_input, {}, "the control connection cannot be read"};
    if (!names || names->empty()) co_return problem;
    auto login = login_parameters(as_watcher, (*names)[w->database % names->size()]);
    if (!login) co_return problem;
    (*login)["application_name"] = "pgmend monitor";
    w->local_lack = !descriptors_left();
    if (w->local_lack) {
        problem = {base::errc::system, {}, "no descriptor left"};
        co_return problem;
    }
    auto opened = co_await w->connection.open(*login, deadline);
    if (opened) w->server->state->connecting.looks_healthy(base::steady::now());
    if (!opened && (opened.error().sqlstate == "3D000" || opened.error().sqlstate == "42501")) ++w->database; // another one will do
    co_return opened;
}

pg::task<pg::result<monitor_loop::findings>> monitor_loop::check(std::shared_ptr<watched> w) {
    auto const deadline = base::steady::now() + settings_.health.timeout;
    w->local_lack = false;
    if (!w->connection.is_open()) {
        auto const opened = co_await open(w, deadline);
        if (!opened) co_return opened.error();
    }
    std::string question = the_question;
    if (settings_.reads_defaults) question += the_defaults;
    auto const answer = co_await w->connection.query(std::move(question), deadline);
    if (!answer) co_return answer.error();
    auto const& rows = answer->front();
    findings found;
    found.in_recovery = rows.text(0, 0) == "t";
    found.read_only = rows.text(0, 1) == "on";
    found.cluster = rows.text(0, 2);
    auto const position = rows.text(0, 3);
    (void)std::from_chars(position.data(), position.data() + position.size(), found.position);
    if (answer->size() > 1) found.read_only_defaults = defaults_of((*answer)[1]);
    co_return found;
}

void monitor_loop::note_asked(watched& w) {
    if (std::exchange(w.asked, true) || !all_asked()) return;
    cluster_settled_ = !cluster_.empty();
    look_for_primary();
    backends_->set_all_asked(true);
}

bool monitor_loop::all_asked() const {
    return std::ranges::all_of(servers_, [](auto const& each) { return each->asked; });
}

/// Until all of them were asked once, and nobody is served, the first in the file that answers says which cluster is meant. A single
/// server always does: it may have been upgraded or restored.
void monitor_loop::note_cluster(watched& w, std::string const& cluster) {
    w.cluster = cluster;
    if (cluster_settled_ && servers_.size() > 1) return;
    auto const answering = std::ranges::find_if(servers_, [](auto const& each) { return !each->cluster.empty(); });
    cluster_ = (*answering)->cluster;
    for (auto const& each : servers_)
        if (!each->cluster.empty()) judge_cluster(*each);
}

void monitor_loop::judge_cluster(watched& w) {
    bool const same = w.cluster == cluster_;
    w.server->state->same_cluster.store(same, std::memory_order_relaxed);
    if (same) {
        w.foreign = false;
        return;
    }
    if (!std::exchange(w.foreign, true))
        base::log(base::log_level::error, "backend.foreign",
                  {{"backend", w.server->state->name}, {"system_identifier", w.cluster}, {"expected", cluster_}});
    set_role(w, server_role::unknown);
}

void monitor_loop::set_role(watched& w, server_role role) {
    auto const before = w.server->state->role.exchange(role, std::memory_order_relaxed);
    if (before != role && settings_.servers.size() > 1) log_role(w.server->settings.name, before, role, {});
}

void monitor_loop::accept(watched& w, findings const& found) {
    auto& state = *w.server->state;
    auto const now = base::steady::now();
    w.unanswered = 0;
    w.told_at = now;
    state.heard(now);
    note_cluster(w, found.cluster);
    judge_cluster(w);
    if (w.foreign) return;
    state.read_only.store(found.read_only, std::memory_order_relaxed);
    if (found.read_only_defaults && !found.in_recovery) backends_->set_read_only_defaults(*found.read_only_defaults);
    if (found.in_recovery) {
        auto const behind = lag_.of(found.position, now);
        state.lag_ms.store(behind ? behind->count() : -1, std::memory_order_relaxed);
    } else {
        lag_.primary_is_at(found.position, now);
        state.lag_ms.store(-1, std::memory_order_relaxed);
    }
    set_role(w, found.in_recovery ? server_role::replica : server_role::primary);
    look_for_primary();
}

void monitor_loop::on_failed(watched& w, pg::error const& problem) {
    auto& state = *w.server->state;
    if (!problem.sqlstate.empty() || w.local_lack || problem.code == base::errc::invalid_input) { // it answers, or nobody was asked
        w.unanswered = 0;
        return;
    }
    if (++w.unanswered < most_unanswered) return;
    auto const before = state.role.exchange(server_role::unknown, std::memory_order_relaxed);
    state.lag_ms.store(-1, std::memory_order_relaxed);
    if (before != server_role::unknown && settings_.servers.size() > 1) log_role(state.name, before, server_role::unknown, problem.text);
    look_for_primary();
    // Where clients cannot connect either, that need not be found out by health checks alone.
    bool const open = !state.statements.closed() || !state.connecting.closed();
    bool const refusing = open && state.statements.describe(base::steady::now()).mode == backend::breaker_mode::enforce;
    if (refusing && !state.silent.exchange(true, std::memory_order_relaxed) && tells_.silence_began) tells_.silence_began();
}

/// Two primaries are reported; a new one is told to whoever follows the primary.
void monitor_loop::look_for_primary() {
    if (settings_.servers.size() == 1 || !all_asked()) return;
    std::vector<std::shared_ptr<net::backend_server const>> primaries;
    for (auto const& w : servers_)
        if (w->server->state->role.load(std::memory_order_relaxed) == server_role::primary) primaries.push_back(w->server);
    if (primaries.size() > 1) {
        if (conflict_) return;
        if (suspected_at_ == base::time_point{}) { // what one of them said may be of before its end
            suspected_at_ = base::steady::now();
            look_now();
        }
        for (auto const& w : servers_)
            if (w->server->state->role.load(std::memory_order_relaxed) == server_role::primary && w->told_at <= suspected_at_) return;
        conflict_ = true;
        base::log(base::log_level::error, "backend.conflict",
                      {{"backend", primaries[0]->settings.name}, {"other", primaries[1]->settings.name}, {"reason", "both say that they are the primary; neither gets new clients"}});
        return;
    }
    suspected_at_ = {};
    if (std::exchange(conflict_, false)) base::log(base::log_level::info, "backend.agreed", {{"backend", primaries.empty() ? "" : primaries[0]->settings.name}});
    if (primaries.empty() || primaries.front()->settings.name == primary_) return;
    if (!primary_.empty()) lag_.forget(); // its positions were another one's
    primary_ = primaries.front()->settings.name;
    if (tells_.primary_found) tells_.primary_found(primaries.front());
}

} // namespace pgmend::control
