// Which server a client gets, and what it is told where it gets none.
#include "net/client_session.hpp"

#include "net/login_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/use_tuple.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/wish.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace pgmend::net {
namespace {

using std::chrono::milliseconds;

/// How often it is looked whether the servers have told their roles, which they do within a few milliseconds of the start.
constexpr milliseconds roles_pause{10};

double in_seconds(base::duration d) { return std::chrono::duration<double>(d).count(); }

std::string time_text(std::chrono::system_clock::time_point t) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", std::chrono::floor<milliseconds>(t));
}

std::string refusal(std::string_view message, std::string_view detail, std::string_view hint, wire::severity how = wire::severity::fatal) {
    return wire::error_response(how, wire::sqlstate::cannot_connect_now, message, detail, hint);
}

} // namespace

/// Why a server is not asked: since when, why, and when it is asked again.
client_session::unavailable client_session::breaker_refusal(backend_server const& server, wire::severity how) {
    auto const now = base::steady::now();
    auto view = server.state->connecting.describe(now);
    if (view.state == backend::breaker_state::closed) view = server.state->statements.describe(now);
    auto const opened = std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(view.since);
    auto const message = fmt::format("{} is not asked: its circuit breaker is {}", where_text(server.settings),
                                     view.state == backend::breaker_state::half_open ? "half open" : "open");
    auto const detail = fmt::format("Breaker \"{}\" opened at {}, {:.1f} s ago: {}.", view.name, time_text(opened), in_seconds(view.since),
                                    view.reason.empty() ? backend::name_of(view.cause) : view.reason);
    std::string hint;
    if (view.tripped) hint = fmt::format("Somebody tripped it; RESET BREAKER {} on pgmend's console closes it.", view.name);
    else if (view.next_probe && view.next_probe->count() > 0) hint = fmt::format("The next connection is tried in {:.1f} s.", in_seconds(*view.next_probe));
    else hint = "A few connections are being tried just now.";
    return {refusal(message, detail, hint, how), message};
}

/// In the order to try them. Empty: `why` says why.
awaitable<client_session::servers_to_try> client_session::servers_for(session::startup::proceed wanted) {
    auto const& all = settings_->servers;
    if (at_console_) { // any server of the cluster knows who they are
        servers_to_try known;
        for (auto const& server : all)
            if (all.size() == 1 || server->state->same_cluster.load(std::memory_order_relaxed)) known.servers.push_back(server);
        if (known.servers.empty()) known.servers.push_back(all.front());
        co_return known;
    }
    auto const packet = wire::read_startup(wanted.version, wanted.packet);
    auto const patience = base::steady::now() + all.front()->settings.connect_timeout;
    servers_to_try out;
    for (;;) {
        auto const defaults = home_.shared().backends->read_only_defaults(); // known as soon as a role is
        auto const wish = session::wanted_by(packet, settings_->routing.read_only_to_replica, *defaults);
        std::vector<backend::candidate> candidates;
        for (auto const& server : all) candidates.push_back(candidate_of(*server));
        auto const chosen = backend::choose(candidates, wish, settings_->routing.most_replay_lag);
        for (auto const place : chosen.order) out.servers.push_back(all[place]);
        if (!out.servers.empty()) co_return out;
        if (home_.shared().backends->all_asked() || base::steady::now() > patience || !client_.is_open()) {
            auto const message = fmt::format("no backend may serve this session: {}", chosen.refused);
            out.why = {refusal(message, fmt::format("It asks for a session of the kind \"{}\".", backend::name_of(wish)), {}), message};
            co_return out;
        }
        timer pause{home_.get_executor()};
        pause.expires_after(roles_pause);
        co_await pause.async_wait(use_tuple);
    }
}

/// Waits, where the limits say so. False: unavailable_ says which limit.
awaitable<bool> client_session::take_seat(session::startup::proceed const& wanted) {
    auto const packet = wire::read_startup(wanted.version, wanted.packet);
    std::string const user{packet.find("user")};
    std::string const database{packet.find("database").empty() ? packet.find("user") : packet.find("database")};
    seat_.reset();
    auto const limits = settings_->limits;
    auto called = [weak = weak_from_this(), where = home_.get_executor(), number = ++seats_asked_for_] {
        auto arrive = [weak, number] {
            auto const self = weak.lock();
            if (self && self->seat_wait_ && self->seats_asked_for_ == number) self->seat_wait_.reset(); // ends its wait
        };
        boost::asio::post(where, arrive); // on any thread
    };
    seat_wait_ = std::make_unique<timer>(home_.get_executor()); // it may be called before this returns
    auto entered = home_.shared().rooms.enter({place_->settings.name, database, user}, called);
    using answer = backend::bulkhead::answer;
    if (entered.verdict.what == answer::admitted) {
        seat_wait_.reset();
        seat_ = std::move(entered.place);
        co_return true;
    }
    if (entered.verdict.what == answer::queued) {
        seat_wait_->expires_after(limits.wait);
        co_await seat_wait_->async_wait(use_tuple);
        bool const its_turn = seat_wait_ == nullptr;
        seat_wait_.reset();
        if (its_turn && client_.is_open()) {
            seat_ = std::move(entered.place);
            co_return true;
        }
    }
    seat_wait_.reset();
    auto const& met = *entered.verdict.met;
    auto const message = fmt::format("too many connections for {} \"{}\": pgmend's {} is {}", met.what, met.name, met.setting, met.limit);
    auto const detail = entered.verdict.what == answer::refused
        ? fmt::format("{} clients wait for it already, as many as limits.waiting allows.", met.waiting)
        : fmt::format("Waited for {} ms (limits.wait) in vain.", limits.wait.count());
    unavailable_ = {wire::error_response(wire::severity::fatal, wire::sqlstate::too_many_connections, message, detail), message};
    co_return false;
}

/// Whether the server that has just let the client in is what the client was to get; only where there are several.
bool client_session::is_as_expected(session::login_machine const& login, backend_server const& server) const {
    if (settings_->servers.size() == 1 || at_console_ || !login.in_hot_standby()) return true;
    auto const now = *login.in_hot_standby() ? backend::server_role::replica : backend::server_role::primary;
    auto const before = server.state->role.exchange(now, std::memory_order_relaxed);
    return before == now;
}

client_session::unavailable client_session::role_refusal(backend_server const& server) {
    auto const message = fmt::format("{} is a {} now", where_text(server.settings),
                                     backend::name_of(server.state->role.load(std::memory_order_relaxed)));
    return {refusal(message, "Its role has changed just now.", "Connect again."), message};
}

/// Another thread has seen the breaker open: what waits for the same server need not wait for its own timeout.
void client_session::breaker_opened(backend::shared_breaker const& which) {
    if (!connecting_ || !place_ || probing_) return;
    if (&place_->state->connecting == &which || &place_->state->statements == &which) connecting_->give_up();
}

/// The relay has seen an error that may tell of the server's health.
void client_session::note_trouble(session::server_trouble const& trouble) {
    if (!place_) return;
    auto const when = trouble.idle ? backend::phase::idle : backend::phase::statement;
    if (backend::fault_of_sqlstate(trouble.code, trouble.routine, when, trouble.nested) != backend::fault::backend) return;
    place_->state->statements.failed_meanwhile("SQLSTATE " + trouble.code, base::steady::now());
}

/// The connection has gone without a word.
void client_session::note_lost() {
    if (!place_ || draining_ || client_ended_ || given_up_) return;
    auto const& error = server_.last_error();
    auto reason = !parting_.empty() ? "ended a session" : error.empty() ? "closed the connection without a word" : "lost a connection: " + error;
    place_->state->statements.failed_meanwhile(std::move(reason), base::steady::now());
}

/// Requests of an idle session while its server does not answer anybody.
awaitable<> client_session::refuse(std::shared_ptr<client_session> self, std::string bytes) {
    auto& s = *self;
    bool const between = !s.refusal_ || s.refusal_->between();
    if (between && !s.lost_at_ && !s.place_->state->silent.load(std::memory_order_relaxed)) { // it has spoken again meanwhile
        s.refusal_.reset();
        co_await relay_client_slowly(self, {}, std::move(bytes));
        co_return;
    }
    if (s.lost_at_ && s.memory_) {
        if (bytes.front() == 'X') { // nothing is to be said to it
            s.close();
            co_return;
        }
        bool const begun = bytes.size() < wire::header_bytes;
        auto const first = begun ? wire::frame_header{} : wire::read_header(bytes);
        bool const more = wire::is_client_type(bytes.front()) &&
                          (begun || (first.length_is_valid() && first.total_bytes() <= session::relay_machine::most_waited_for_bytes && bytes.size() < first.total_bytes()));
        if (more) {
            s.client_carry_ = std::move(bytes);
            relay_client(std::move(self));
            co_return;
        }
    }
    if (between && !s.lost_at_ && s.may_move() && s.another_may_serve()) {
        s.abandoned_ = s.given_up_ = true;
        s.client_carry_ = std::move(bytes);
        s.server_.close(); // then relay_server, at its end, comes back to this
        co_return;
    }
    if (between && s.keeps_answers_) {
        bool const told = co_await s.answer_elsewhere(bytes);
        if (told) {
            relay_client(std::move(self));
            co_return;
        }
    }
    if (s.lost_at_) {
        bool const moved = s.memory_ && co_await s.move(bytes);
        if (moved) {
            boost::asio::co_spawn(s.home_.get_executor(), relay_server_slowly(self, {}, std::exchange(s.server_carry_, {})), boost::asio::detached);
            co_await relay_client_slowly(self, {}, std::move(bytes));
            co_return;
        }
        co_await s.say_goodbye();
        s.close();
        co_return;
    }
    if (!s.refusal_) s.refusal_ = std::make_unique<session::refusal_machine>();
    std::string reply;
    auto const error = breaker_refusal(*s.place_, wire::severity::error).response;
    auto const step = s.refusal_->on_client(bytes, error, reply);
    bool const alive = co_await s.client_.write_all(reply);
    if (!alive) {
        s.close();
        co_return;
    }
    bytes.erase(0, step.consumed);
    bool const over = s.refusal_->between() && (step.close || !s.place_->state->silent.load(std::memory_order_relaxed));
    if (over) s.refusal_.reset();
    if (step.close) {
        co_await relay_client_slowly(self, {}, std::move(bytes));
        co_return;
    }
    s.client_carry_ = std::move(bytes); // less than a header
    relay_client(std::move(self));
}

bool client_session::wait_in_silence() {
    if (!logged_in_ || !place_ || at_console_) return false;
    auto const now = base::steady::now();
    auto const patience = settings_->health.give_up_after;
    auto const given_up_on = [&](server_state const& it) {
        return it.silent.load(std::memory_order_relaxed) && patience.count() > 0 && it.unheard_for(now) >= patience;
    };
    bool const silent = place_->state->silent.load(std::memory_order_relaxed);
    bool const waits = !std::exchange(heard_, false) && (relay_.busy() || crossing_) && !lost_at_;
    if (waits && given_up_on(*place_->state) && !std::exchange(given_up_, true)) server_.close(); // then relay_server says good-bye
    if (at_stand_in_ != nullptr && given_up_on(*at_stand_in_->place->state)) at_stand_in_->server.close();
    if (at_stand_in_ == nullptr && !silent && !lost_at_ && !at_work_elsewhere_) stand_in_.reset();
    return silent;
}

} // namespace pgmend::net
