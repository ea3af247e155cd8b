// A replica that answers while the session's own server does not.
#include "net/client_session.hpp"

#include "net/login_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/fallback.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <fmt/format.h>

namespace pgmend::net {
namespace {

/// So long no other attempt is made by this session.
constexpr std::chrono::milliseconds pause_after_lost_stand_in{1000};

constexpr std::string_view settings_of_ours = "SET default_transaction_read_only = on"; // should it be promoted

void log_unavailable(std::string const& rule, std::string const& reason) {
    base::log(base::log_level::warning, "statement.fallback_failed", {{"rule", rule}, {"source", "replica"}, {"reason", reason}});
}

} // namespace

void client_session::stand_in::give_up() {
    if (progress) progress->give_up();
    server.close();
}

/// The client's login once more, as far as the server asks no question: pgmend holds no password. No reason: it is ready.
awaitable<client_session::no_stand_in> client_session::log_in_without_client(stand_in& at, login_report& report) {
    using step = session::login_machine::step;
    std::string unused;
    auto& login = *at.login;
    for (;;) {
        while (at.inbox.size() >= wire::header_bytes) {
            auto const header = wire::read_header(at.inbox);
            if (!header.length_is_valid() || header.total_bytes() > worker::scratch_bytes) co_return no_stand_in{"its answer is not the PostgreSQL protocol"};
            if (at.inbox.size() < header.total_bytes()) break;
            if (header.type != 'E') report.answered();
            auto const next = login.on_server(base::byte_view{at.inbox}.substr(0, header.total_bytes()), unused);
            at.inbox.erase(0, header.total_bytes());
            if (next == step::client_answer) co_return no_stand_in{"it asks the user for a password, and pgmend holds none", true};
            if (next == step::failed) {
                auto const whose = backend::fault_of_sqlstate(login.failure_code(), {}, backend::phase::login);
                report.failed(whose, "refuses logins with SQLSTATE " + login.failure_code());
                co_return no_stand_in{fmt::format("login refused with SQLSTATE {}", login.failure_code()), whose == backend::fault::client};
            }
            if (next == step::ready) co_return no_stand_in{};
        }
        bool const more = co_await read_more(at.server, at.inbox);
        if (!more) {
            report.failed(backend::fault::backend, "closed the connection during a login");
            co_return no_stand_in{"it closed the connection"};
        }
    }
}

/// Sends, and passes the answer to the client, `ahead` in front of it; `ahead` empty: nobody hears it. How much has come; 0: it is lost.
awaitable<std::size_t> client_session::ask_stand_in(stand_in& at, std::string request, std::string ahead) {
    bool const quietly = ahead.empty();
    session::answer_end end;
    std::size_t total = 0;
    bool const sent = co_await at.server.write_all(request);
    while (sent) {
        at.inbox.clear();
        bool const more = co_await read_more(at.server, at.inbox);
        if (!more) break;
        auto const size = end.add(at.inbox);
        if (end.broken()) break;
        total += at.inbox.size();
        if (quietly && at.inbox.front() == 'E') break;
        ahead.append(at.inbox, 0, size.value_or(at.inbox.size()));
        if (!quietly) {
            bool const passed_on = co_await client_.write_all(ahead);
            if (!passed_on) {
                close();
                co_return total;
            }
        }
        ahead.clear();
        if (size) co_return total;
    }
    at.server.close();
    if (total > 0 && !quietly) close(); // the client has a part of an answer
    co_return quietly ? 0 : total;
}

/// Connects and logs in with the client's start-up packet; it may be given up from outside. Null: `why` says it.
awaitable<std::unique_ptr<client_session::stand_in>> client_session::log_in_elsewhere(std::shared_ptr<backend_server const> server, no_stand_in& why) {
    auto at = std::make_unique<stand_in>();
    at->place = server;
    if (settings_->limits.any()) {
        auto entered = home_.shared().rooms.enter({server->settings.name, identity_.database, identity_.user}, [] {});
        why = {"limits leave no room there"};
        if (entered.verdict.what != backend::bulkhead::answer::admitted) co_return nullptr;
        at->seat = std::move(entered.place);
    }
    for (auto const attempt : tls_attempts(server->settings)) {
        auto report = login_report::begin(server->state, false, false);
        if (!report) {
            why = {where_text(server->settings) + " is not asked: its circuit breaker is open"};
            co_return nullptr;
        }
        at->login = std::make_unique<session::login_machine>(startup_version_, startup_packet_, session::login_machine::settings{client_.is_tls(), {}});
        at->progress = std::make_shared<connecting>();
        at_stand_in_ = at.get();
        auto link = co_await connect_backend(home_.get_executor(), server, attempt, at->login->server_startup(), at->progress);
        if (!link) {
            at_stand_in_ = nullptr;
            why = {link.error().text};
            if (link.error().code == base::errc::tls) continue;
            report->failed(at->progress->whose, why.reason);
            co_return nullptr;
        }
        at->progress.reset();
        at->server = std::move(link->server);
        at->inbox = std::move(link->received);
        at->endpoint = link->endpoint;
        at->login->connected(at->server.is_tls());
        auto problem = co_await log_in_without_client(*at, *report);
        at_stand_in_ = nullptr;
        if (problem.reason.empty()) co_return at;
        why = {fmt::format("{}: {}", where_text(server->settings), problem.reason), problem.for_good};
        at->server.close();
    }
    co_return nullptr;
}

/// Null: `reason` says why.
awaitable<std::unique_ptr<client_session::stand_in>> client_session::find_stand_in(std::string& reason) {
    auto const& all = settings_->servers;
    std::vector<backend::candidate> candidates;
    for (auto const& server : all) candidates.push_back(candidate_of(*server));
    auto const chosen = backend::choose(candidates, backend::wanted_session::standby, settings_->routing.most_replay_lag);
    reason = all.size() == 1 ? "there is one server only" : chosen.refused;
    if (all.size() == 1) co_return nullptr;
    for (auto const i : chosen.order) {
        auto const& server = all[i];
        if (server == place_ || !server->state->seems_well()) continue;
        no_stand_in why;
        auto at = co_await log_in_elsewhere(server, why);
        reason = why.reason;
        if (!at) continue;
        std::string settings;
        wire::append_query(settings, settings_of_ours);
        at_stand_in_ = at.get();
        auto const set = co_await ask_stand_in(*at, std::move(settings), {});
        at_stand_in_ = nullptr;
        if (set > 0) co_return at;
        reason = fmt::format("{}: the connection was lost", where_text(server->settings));
    }
    co_return nullptr;
}

void client_session::note_replica(std::string const& rule) const {
    home_.counted().fallbacks_replica.add();
    base::log(base::log_level::warning, "statement.fallback",
              {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"rule", rule}, {"source", "replica"}, {"backend", stand_in_->place->settings.name}});
}

/// True: the client has its answer, or its session is over.
awaitable<bool> client_session::answer_from_replica(std::string request, allowed_fallback by) {
    if (!stand_in_) {
        if (base::steady::now() < no_stand_in_until_) co_return false;
        std::string reason;
        stand_in_ = co_await find_stand_in(reason);
        if (!stand_in_) {
            no_stand_in_until_ = base::steady::now() + pause_after_lost_stand_in;
            log_unavailable(by.rule, reason);
            co_return false;
        }
    }
    auto const lag = stand_in_->place->state->lag();
    auto notice = wire::notice_response(
        fmt::format("this answer is a replica's, {}: {} does not answer", where_text(stand_in_->place->settings), where_text(place_->settings)),
        fmt::format("pgmend's rule \"{}\" allows that; the replica {}.", by.rule, lag ? fmt::format("was {} ms behind", lag->count()) : std::string{"does not know how far it is behind"}));
    at_stand_in_ = stand_in_.get();
    auto const come = co_await ask_stand_in(*stand_in_, std::move(request), std::move(notice));
    at_stand_in_ = nullptr;
    if (come > 0) note_replica(by.rule);
    if (come == 0 || !stand_in_->server.is_open()) stand_in_.reset();
    co_return come > 0;
}

} // namespace pgmend::net
