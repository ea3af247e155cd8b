// A session that has lost its server outside a transaction, and goes on at another one.
#include "net/client_session.hpp"

#include "net/login_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/use_tuple.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/restore_machine.hpp"
#include "pgmend/session/wish.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <fmt/format.h>

namespace pgmend::net {
namespace {

using std::chrono::milliseconds;

/// How often it is looked whether a server may serve, while none does.
constexpr milliseconds look_pause{50};

/// A server that ends its sessions one after the other may still answer another one for so long.
constexpr milliseconds last_words{100};

awaitable<> sleep(executor where, milliseconds how_long) {
    timer pause{where};
    pause.expires_after(how_long);
    co_await pause.async_wait(use_tuple);
}

} // namespace

/// Only a session that was let in without a question can be let in elsewhere: pgmend holds no password.
void client_session::begin_memory(session::login_machine const& login) {
    bool const may = settings_->servers.size() > 1 && settings_->routing.moves_sessions && !identity_.replication && !login.asked_client();
    if (!may) return;
    memory_ = std::make_unique<session::session_memory>(login.reported(), &home_.effects());
    relay_.remember_in(memory_.get());
}

/// For the client. Empty: nobody would expect it.
std::string client_session::why_it_stays() const {
    if (!stays_because_.empty()) return stays_because_;
    if (settings_->servers.size() == 1 || !settings_->routing.moves_sessions || identity_.replication || draining_) return {};
    if (relay_.busy() || relay_.transaction_status() != 'I') return {};
    if (!memory_) return "its login has asked for a password, and pgmend holds none";
    auto const lost = memory_->obstacle();
    return lost.empty() ? std::string{} : fmt::format("it has used {}", lost);
}

bool client_session::heard_since_loss(backend_server const& server) const {
    return server.state->heard_at.load(std::memory_order_relaxed) > (*lost_at_ + last_words).time_since_epoch().count();
}

/// True: the session has a server again, which has not got the request yet. False: it has to end, stays_because_ says why.
awaitable<bool> client_session::move(std::string request) {
    auto const began = std::chrono::steady_clock::now();
    stays_because_ = why_it_stays();
    bool const may = may_move() && !draining_;
    if (!may) co_return false;
    if (auto const needs = session::needs_old_server(request); !needs.empty()) {
        stays_because_ = needs;
        co_return false;
    }
    auto const from = where_text(place_->settings);
    at_work_elsewhere_ = true;
    auto successor = co_await find_successor();
    at_work_elsewhere_ = false;
    auto const took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    if (!client_.is_open()) co_return false;
    if (!successor) {
        base::log(base::log_level::warning, "session.not_moved",
                  {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"reason", stays_because_}, {"duration_us", took.count()}});
        co_return false;
    }
    auto ahead = wire::notice_response(fmt::format("pgmend has moved this session to {}: {} was lost", where_text(successor->place->settings), from),
                                       "Settings and prepared statements are as they were; no transaction was under way.");
    ahead += successor->news;
    adopt(*successor);
    home_.counted().sessions_moved.add();
    base::log(base::log_level::warning, "session.moved",
              {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"backend", place_->settings.name}, {"before", from}, {"duration_us", took.count()}});
    bool const told = co_await client_.write_all(ahead);
    if (!told) close();
    co_return told;
}

/// Waits, as long as connecting may take, until a server may serve the session. Null: stays_because_ says why.
awaitable<std::unique_ptr<client_session::stand_in>> client_session::find_successor() {
    auto const patience = base::steady::now() + place_->settings.connect_timeout;
    for (;;) {
        auto const live = home_.settings(); // the newest
        auto const& all = live->servers;
        std::vector<backend::candidate> candidates;
        for (auto const& server : all) candidates.push_back(candidate_of(*server));
        auto const wish = session::wanted_by(wire::read_startup(startup_version_, startup_packet_), live->routing.read_only_to_replica,
                                             *home_.shared().backends->read_only_defaults());
        auto const chosen = backend::choose(candidates, wish, live->routing.most_replay_lag);
        stays_because_ = all.size() == 1 ? "there is one server only" : chosen.refused;
        if (all.size() == 1) co_return nullptr;
        for (auto const i : chosen.order) {
            auto const server = all[i];
            bool const same = server->state == place_->state;
            bool const heard = heard_since_loss(*server);
            if (same && heard && !parting_.empty()) { // it lives, and has ended this session on purpose
                stays_because_ = "its server has ended it";
                co_return nullptr;
            }
            stays_because_ = where_text(server->settings) + " does not answer";
            if ((same && !heard) || !server->state->seems_well()) continue;
            no_stand_in why;
            auto at = co_await try_successor(server, why);
            stays_because_ = why.reason;
            if (at || why.for_good || !client_.is_open() || draining_) co_return at;
        }
        if (base::steady::now() > patience || !client_.is_open() || draining_) co_return nullptr;
        co_await sleep(home_.get_executor(), look_pause);
    }
}

/// While `limit` lives: another server that is being asked when the time is over is given up.
void client_session::limit_stand_in(timer& limit, milliseconds patience) {
    limit.expires_after(patience);
    auto on_time = [weak = weak_from_this()](boost::system::error_code cancelled) {
        auto const self = weak.lock();
        if (!cancelled && self && self->at_stand_in_ != nullptr) self->at_stand_in_->give_up();
    };
    limit.async_wait(std::move(on_time));
}

/// Within the time that connecting may take.
awaitable<std::unique_ptr<client_session::stand_in>> client_session::try_successor(std::shared_ptr<backend_server const> server, no_stand_in& why) {
    timer limit{home_.get_executor()};
    limit_stand_in(limit, server->settings.connect_timeout);
    auto at = co_await log_in_elsewhere(server, why);
    if (!at) co_return nullptr;
    if (!is_as_expected(*at->login, *server)) {
        why = {role_refusal(*server).reason};
        co_return nullptr;
    }
    at_stand_in_ = at.get();
    bool const restored = co_await restore_at(*at, why);
    at_stand_in_ = nullptr;
    if (!restored) co_return nullptr;
    co_return at;
}

awaitable<bool> client_session::restore_at(stand_in& at, no_stand_in& why) {
    session::restore_machine machine{*memory_, at.login->reported()};
    bool const restored = co_await restore_with(machine, at, why);
    at.reported_since = machine.reported_since();
    at.news = machine.news();
    co_return restored;
}

/// Where the connection is lost its stream is closed.
awaitable<bool> client_session::restore_with(session::restore_machine& machine, stand_in& at, no_stand_in& why) {
    using step = session::restore_machine::step;
    auto to_server = machine.begin();
    if (to_server.empty()) { // nothing has changed, or what has cannot be restored
        why = {machine.reason(), true};
        co_return machine.reason().empty();
    }
    for (;;) {
        bool const sent = to_server.empty() || co_await at.server.write_all(std::exchange(to_server, {}));
        bool const more = sent && co_await read_more(at.server, at.inbox);
        if (!more) {
            why = {where_text(at.place->settings) + ": the connection was lost"};
            at.server.close();
            co_return false;
        }
        auto next = step::more;
        std::size_t done = 0;
        while (next == step::more && at.inbox.size() - done >= wire::header_bytes) {
            auto const rest = base::byte_view{at.inbox}.substr(done);
            auto const header = wire::read_header(rest);
            if (!header.length_is_valid() || header.total_bytes() > worker::scratch_bytes) {
                why = {"its answer is not the PostgreSQL protocol"};
                co_return false;
            }
            if (rest.size() < header.total_bytes()) break;
            done += header.total_bytes();
            next = machine.on_server(rest.substr(0, header.total_bytes()), to_server);
        }
        at.inbox.erase(0, done);
        if (next == step::failed) {
            why = {fmt::format("{}: {}", where_text(at.place->settings), machine.reason()), true};
            co_return false;
        }
        if (next == step::ready) co_return true;
    }
}

/// The client keeps its cancel key, which means the new session now.
void client_session::adopt(stand_in& successor) {
    auto const& login = *successor.login;
    place_->state->sessions.fetch_sub(1, std::memory_order_relaxed);
    place_ = successor.place;
    place_->state->sessions.fetch_add(1, std::memory_order_relaxed);
    server_ = std::move(successor.server);
    server_carry_ = std::move(successor.inbox);
    seat_ = std::move(successor.seat);
    home_.counted().servers_connected.add();
    auto& cancels = home_.shared().cancels;
    cancels.forget(cancel_process_, cancel_secret_);
    cancels.serve(cancel_process_, cancel_secret_, {place_, successor.endpoint, login.server_process(), login.server_secret()});
    relay_.count_in(home_.tally_of(*place_->state));
    if (reads_) leave_replica();
    memory_->moved(login.reported(), successor.reported_since);
    for (auto const& it : memory_->parameters()) relay_.set_parameter(it.name, it.now);
    if (check_) { // what names mean there is asked anew
        check_->passed_unseen();
        check_->settled('I');
        check_->set_parameters(relay_.client_encoding(), relay_.standard_conforming_strings(), relay_.application_name());
    }
    lost_at_.reset();
    parting_.clear();
    stays_because_.clear();
    recording_.reset();
    refusal_.reset();
    stand_in_.reset();
    given_up_ = false;
}

/// A server that is heard again after it has ended this session did not go away: somebody wanted the session to end, and the client is told then.
awaitable<> client_session::watch_parting(std::weak_ptr<client_session> session) {
    for (;;) {
        std::shared_ptr<client_session> self = session.lock();
        if (!self || !self->lost_at_ || self->parting_.empty() || !self->client_.is_open()) co_return;
        auto const where = self->home_.get_executor();
        auto const& s = *self;
        bool const over = base::steady::now() > *s.lost_at_ + s.place_->settings.connect_timeout;
        if (over) co_return; // it will be found out at the next request
        if (!s.at_work_elsewhere_ && s.heard_since_loss(*s.place_) && s.place_->state->role.load(std::memory_order_relaxed) != backend::server_role::unknown) {
            co_await self->say_goodbye();
            self->close();
            co_return;
        }
        self.reset();
        co_await sleep(where, look_pause);
    }
}

} // namespace pgmend::net
