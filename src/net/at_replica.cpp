// A session at the primary whose transactions that begin read-only run at a replica.
#include "net/client_session.hpp"

#include "net/login_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/use_tuple.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/wish.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::net {
namespace {

using std::chrono::milliseconds;

/// So long a client waits at most until the replica has what the session has seen at the primary.
constexpr milliseconds most_wait_for_replay{100};
/// The same where the primary has not written that to its disk yet, and so cannot have sent it: with synchronous_commit = off that may take long.
constexpr milliseconds most_wait_for_unwritten{10};
constexpr milliseconds replay_pause{1};

/// A replica that has answered before and does not any more.
constexpr milliseconds most_wait_for_replica{1000};

/// So long it is not tried again: after what may pass, and after what is for good.
constexpr milliseconds pause_after_failure{1000};
constexpr milliseconds pause_for_good{60000};

/// A replica's functions are looked at again behind requests to the primary.
constexpr milliseconds look_again_after{10000};

/// A connection to a replica is kept so long without use.
constexpr milliseconds most_idle{60000};

/// A message of a client's that is waited for at a replica, since nobody else can tell what it leaves behind.
constexpr std::size_t most_message_bytes = worker::scratch_bytes - 32 * 1024;

constexpr std::string_view too_long = "a message too long to be looked at";

} // namespace

/// Those that have said where they want to be are left there.
void client_session::begin_replica_reads(wire::startup_packet const& packet) {
    bool const may = memory_ && settings_->routing.read_only_to_replica && !session::says_where(packet);
    if (may) reads_ = std::make_unique<replica_reads>(home_.get_executor());
}

/// Before each read of the client's is passed on.
bool client_session::may_concern_replica(base::byte_view from_client) const {
    return reads_->away || !reads_->unnamed.empty() || (session::may_begin_read_only(from_client, *memory_) && relay_.idle());
}

/// Why, for people who wonder; not again and again.
void client_session::stay_at_primary(std::string reason, milliseconds for_so_long) {
    reads_->not_before = base::steady::now() + for_so_long;
    if (reads_->reason == reason) return;
    base::log(base::log_level::info, "transaction.at_primary", {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"reason", reason}});
    reads_->reason = std::move(reason);
}

/// The connection that does not serve ends.
void client_session::leave_replica() {
    auto& other = reads_->other;
    if (!other) return;
    other->place->state->sessions.fetch_sub(1, std::memory_order_relaxed);
    other.reset();
    reads_->at_replica = {};
}

void client_session::leave_idle_replica(base::time_point now) {
    bool const idle = reads_ && reads_->other && !reads_->away && !crossing_ && now - reads_->used > most_idle;
    if (idle) leave_replica();
}

/// Whether the connection that there is may be used for another transaction.
bool client_session::replica_will_do(live_settings const& live) {
    auto& it = *reads_->other;
    if (!it.server.is_open() || it.server.read_some(home_.scratch(), worker::scratch_bytes).status != io_status::want_read) return false;
    std::vector<backend::candidate> candidates;
    for (auto const& server : live.servers) candidates.push_back(candidate_of(*server));
    auto const order = backend::choose(candidates, backend::wanted_session::standby, live.routing.most_replay_lag).order;
    return std::ranges::any_of(order, [&](std::size_t i) { return live.servers[i] == it.place && it.place->state->seems_well(); });
}

/// Both connections are between two requests.
void client_session::change_places(cancel_registry::target now_served_by) {
    auto& other = *reads_->other;
    std::swap(server_, other.server);
    std::swap(server_carry_, other.inbox);
    std::swap(place_, other.place);
    std::swap(seat_, other.seat);
    auto& cancels = home_.shared().cancels;
    cancels.forget(cancel_process_, cancel_secret_);
    cancels.serve(cancel_process_, cancel_secret_, std::move(now_served_by));
    relay_.count_in(home_.tally_of(*place_->state));
}

/// False: it is lost, or has answered by an error.
awaitable<bool> client_session::ask_other(std::string question, session::own_answer& answer) {
    auto& at = *reads_->other;
    at_stand_in_ = &at;
    auto listen = [&answer](base::byte_view frame, std::string&) { return answer.add(frame); };
    bool const answered = co_await exchange_with(at.server, at.inbox, std::move(question), listen);
    at_stand_in_ = nullptr;
    co_return answered && answer.sqlstate.empty();
}

// ------------------------------------------------------------------------------------------- to a replica

/// Until the server's direction is at the gate, so that nobody else reads from it. False: the session has no server any more.
awaitable<bool> client_session::stop_server() {
    at_work_elsewhere_ = true;
    server_.wake();
    while (!server_at_gate_ && server_.is_open() && client_.is_open() && !lost_at_) co_await reads_->at_gate.wait();
    co_return server_at_gate_ && server_.is_open() && client_.is_open() && !lost_at_;
}

/// The client's direction waits for it. True: what the client sends goes to a replica from now on.
awaitable<bool> client_session::go_to_replica(session::departure how) {
    auto& r = *reads_;
    auto const lost = memory_->obstacle();
    bool const may = base::steady::now() >= r.not_before && !draining_ && !paused_ && !lost_at_ && !client_writing_ &&
                     place_->state->role.load(std::memory_order_relaxed) == backend::server_role::primary;
    if (!may) co_return false;
    if (!lost.empty()) {
        stay_at_primary(fmt::format("it has used {}", lost), milliseconds{0});
        co_return false;
    }
    crossing_ = true;
    bool ready = co_await stop_server();
    if (ready) {
        auto const why = co_await prepare_replica();
        ready = why.empty();
        // The next one may find it otherwise; what is for good has set the time itself.
        if (!ready && base::steady::now() >= r.not_before) stay_at_primary(why, milliseconds{0});
        ready = ready && !draining_ && client_.is_open() && server_.is_open() && server_at_gate_;
    }
    if (ready) {
        if (r.at_home.version != memory_->version()) r.at_home = memory_->whole();
        auto& cancels = home_.shared().cancels;
        auto const now = cancels.find(cancel_process_, cancel_secret_);
        if (now) r.at_home_cancels = *now;
        auto const& login = *r.other->login;
        change_places({r.other->place, r.other->endpoint, login.server_process(), login.server_secret()});
        r.away = true;
        r.begin = std::move(how.begin);
        r.unnamed_there = false;
        home_.counted().reads_at_replica.add();
    }
    crossing_ = false;
    open_server_gate();
    co_return ready;
}

/// Empty: the connection to the replica is what the session is, and knows all that the session has seen. Else why not.
awaitable<std::string> client_session::prepare_replica() {
    auto& r = *reads_;
    auto const live = home_.settings();
    if (!live->routing.read_only_to_replica) co_return "read_only_to is primary now";
    if (r.other && !replica_will_do(*live)) leave_replica();
    bool const is_new = !r.other;
    bool const asks = is_new || r.requests != memory_->requests() || r.at_replica.version != memory_->version();
    std::string position;
    auto patience = std::min(most_wait_for_replay, live->routing.most_replay_lag);
    if (asks) {
        session::own_answer answer;
        auto listen = [&answer](base::byte_view frame, std::string&) { return answer.add(frame); };
        bool const answered = co_await exchange(session::position_question(), listen);
        bool const complete = answered && answer.sqlstate.empty() && answer.columns.size() == 3;
        if (!complete) co_return "its server does not say how far a replica has to be";
        position = answer.columns[0];
        r.isolation = answer.columns[1];
        if (answer.columns[2] != "t") patience = most_wait_for_unwritten;
        if (r.isolation == "serializable") co_return "its transactions are SERIALIZABLE";
    }
    timer limit{home_.get_executor()};
    limit_stand_in(limit, is_new ? place_->settings.connect_timeout : most_wait_for_replica);
    if (is_new) {
        auto why = co_await connect_replica(live);
        if (!why.empty()) co_return why;
    }
    if (asks) { // before its functions are looked at, and statements prepared
        auto why = co_await wait_for_replay(position, patience);
        if (!why.empty()) co_return why;
    }
    bool const behind_calls = is_new || r.calls != memory_->calls() || (asks && base::steady::now() - r.looked > look_again_after);
    bool const behind = r.at_replica.version != memory_->version();
    if (behind_calls || behind) {
        auto why = co_await bring_up_to_date(behind_calls);
        if (!why.empty()) co_return why;
    }
    if (behind) { // its isolation level, now
        auto why = co_await wait_for_replay(std::move(position), patience);
        if (!why.empty()) co_return why;
    }
    co_return std::string{};
}

awaitable<std::string> client_session::connect_replica(std::shared_ptr<live_settings const> live) {
    std::vector<backend::candidate> candidates;
    for (auto const& server : live->servers) candidates.push_back(candidate_of(*server));
    auto const chosen = backend::choose(candidates, backend::wanted_session::standby, live->routing.most_replay_lag);
    std::string reason = chosen.refused;
    bool for_good = false;
    for (auto const i : chosen.order) {
        auto const server = live->servers[i];
        if (server->state == place_->state || !server->state->seems_well()) continue;
        no_stand_in why;
        auto at = co_await log_in_elsewhere(server, why);
        reason = why.reason;
        for_good = why.for_good;
        if (!at) continue;
        if (!is_as_expected(*at->login, *server)) {
            reason = role_refusal(*server).reason;
            continue;
        }
        for (auto const& it : wire::read_parameter_frames(at->login->reported())) reads_->at_replica.reported[std::string{it.name}] = it.value;
        server->state->sessions.fetch_add(1, std::memory_order_relaxed);
        home_.counted().servers_connected.add();
        reads_->other = std::move(at);
        co_return std::string{};
    }
    if (reason.empty()) reason = "no replica is well";
    stay_at_primary(reason, for_good ? pause_for_good : pause_after_failure);
    co_return reason;
}

/// Settings and prepared statements.
awaitable<std::string> client_session::bring_up_to_date(bool look) {
    auto& r = *reads_;
    auto const calls = memory_->calls();
    auto before = r.at_replica;
    session::restore_machine machine{*memory_, before, look};
    no_stand_in why;
    at_stand_in_ = r.other.get();
    bool const restored = co_await restore_with(machine, *r.other, why);
    at_stand_in_ = nullptr;
    if (!restored) {
        leave_replica();
        stay_at_primary(why.reason, why.for_good ? pause_for_good : pause_after_failure);
        co_return why.reason;
    }
    r.at_replica = memory_->whole();
    if (look) {
        r.calls = calls;
        r.looked = base::steady::now();
    }
    co_return std::string{};
}

/// The level of its transactions is looked at where its settings are the session's.
awaitable<std::string> client_session::wait_for_replay(std::string position, milliseconds at_most) {
    auto& r = *reads_;
    auto const patience = base::steady::now() + at_most;
    for (;;) {
        session::own_answer answer;
        bool const answered = co_await ask_other(session::replay_question(position), answer);
        if (!answered || answer.columns.size() != 3 || answer.columns[0] != "t") {
            leave_replica();
            co_return "the replica does not answer as one";
        }
        bool const another = answer.columns[2] != r.isolation && r.at_replica.version == memory_->version();
        if (another) co_return "its default_transaction_isolation is another one";
        if (answer.columns[1] == "t") co_return std::string{};
        if (base::steady::now() >= patience || !client_.is_open() || draining_) co_return "the replica has not replayed yet what the session knows";
        timer pause{home_.get_executor()};
        pause.expires_after(replay_pause);
        co_await pause.async_wait(use_tuple);
    }
}

// ------------------------------------------------------------------------------------------- at the replica

/// The client's direction. At a replica one request goes at a time, since the next one may be the primary's.
awaitable<> client_session::relay_with_replica(std::shared_ptr<client_session> self, std::string bytes) {
    auto& s = *self;
    auto& r = *s.reads_;
    next_part next{bytes.size(), false};
    if (r.away) {
        if (s.relay_.client_remaining() == 0 && session::extent_of_request(bytes).bytes == 0 && bytes.size() < most_message_bytes) {
            s.client_carry_ = std::move(bytes);
            relay_client(std::move(self));
            co_return;
        }
        next = co_await s.next_at_replica(bytes);
    } else {
        s.give_unnamed(bytes);
        auto leaves = s.relay_.idle() ? session::departure_of(bytes, *s.memory_) : std::nullopt;
        bool gone = false;
        if (leaves) {
            next = {leaves->bytes, true};
            gone = co_await s.go_to_replica(std::move(*leaves));
        }
        if (!gone) next = {bytes.size(), false};
        if (!gone && s.lost_at_) {
            co_await refuse(std::move(self), std::move(bytes));
            co_return;
        }
        if (!gone && s.client_.is_open() && !s.server_.is_open() && s.relay_.idle()) { // lost meanwhile: another one is looked for
            s.abandoned_ = true;
            s.client_carry_ = std::move(bytes);
            co_return;
        }
    }
    auto part = bytes.substr(0, next.bytes);
    if (r.away) {
        auto const unnamed = session::unnamed_use_of(part);
        if (unnamed.replaced) r.unnamed = unnamed.left;
        r.unnamed_there = !unnamed.left.empty() || (r.unnamed_there && !unnamed.replaced);
        r.held_back = bytes.substr(next.bytes);
        r.readies = s.relay_.readies();
        s.crossing_ = next.whole;
    }
    co_await relay_client_slowly(self, {}, std::move(part));
}

/// How much of it goes on at once.
awaitable<client_session::next_part> client_session::next_at_replica(base::byte_view bytes) {
    auto& r = *reads_;
    if (auto const rest = relay_.client_remaining(); rest > 0) co_return next_part{static_cast<std::size_t>(std::min<std::uint64_t>(rest, bytes.size())), false};
    auto const extent = session::extent_of_request(bytes);
    next_part next{extent.bytes, extent.whole};
    bool unnamed = r.unnamed_there;
    if (next.bytes == 0) next = {bytes.size(), bytes.front() == 'Q' || bytes.front() == 'F'}; // a long message, which goes on as it comes
    auto verdict = session::request_at_replica(bytes.substr(0, next.bytes), *memory_, unnamed);
    bool const has_text = bytes.front() == 'Q' || bytes.front() == 'P';
    if (extent.bytes == 0 && has_text) verdict = {session::at_replica::never, too_long, 0, false, false};
    bool const back = verdict.what != session::at_replica::same && !r.begin.empty() && relay_.between_requests() && co_await begin_at_primary();
    if (back) {
        give_unnamed(bytes);
        co_return next_part{bytes.size(), false};
    }
    if (verdict.what == session::at_replica::never)
        relay_.block(verdict.behind, wire::error_response(wire::severity::error, wire::sqlstate::feature_not_supported,
                                                          fmt::format("this transaction runs at a replica, where it cannot use {}", verdict.why),
                                                          "It has begun read-only, and pgmend's setting read_only_to is replica.",
                                                          "Make that the first statement of the transaction, or begin it without READ ONLY."));
    r.begin.clear();
    co_return next;
}

/// In front of what the client sends to the primary: a statement without a name that it has prepared at the replica.
void client_session::give_unnamed(base::byte_view from_client) {
    auto& parse = reads_->unnamed;
    if (parse.empty()) return;
    auto const use = session::unnamed_use_of(from_client);
    if (use.used) relay_.prepare_ahead(parse);
    if (use.used || use.replaced) parse.clear();
}

/// The transaction has only begun, and goes on at the primary. False: it stays.
awaitable<bool> client_session::begin_at_primary() {
    auto& r = *reads_;
    bool const begun = co_await begin_there();
    if (begun) {
        change_places(r.at_home_cancels);
        r.away = false;
        if (r.at_replica.version != memory_->version()) r.at_replica = memory_->whole();
        session::own_answer rolled_back;
        std::string rollback;
        wire::append_query(rollback, "ROLLBACK");
        bool const over = co_await ask_other(std::move(rollback), rolled_back);
        if (!over) leave_replica();
        r.used = base::steady::now();
    }
    crossing_ = false;
    open_server_gate();
    co_return begun;
}

awaitable<bool> client_session::begin_there() {
    auto& r = *reads_;
    crossing_ = true;
    bool const stopped = co_await stop_server();
    if (!stopped) co_return false;
    if (r.at_home.version != memory_->version()) { // the statement that begins transactions, perhaps
        auto const before = r.at_home;
        session::restore_machine machine{*memory_, before, false};
        no_stand_in why;
        bool const restored = co_await restore_with(machine, *r.other, why);
        if (!restored) co_return false;
        r.at_home = memory_->whole();
    }
    session::own_answer begun;
    std::string question;
    wire::append_query(question, r.begin);
    bool const answered = co_await ask_other(std::move(question), begun);
    co_return answered && begun.status == 'T';
}

// ------------------------------------------------------------------------------------------- back to the primary

bool client_session::answered_at_replica() const {
    return reads_ && reads_->away && reads_->readies != relay_.readies() && relay_.between_requests() && !client_writing_;
}

/// The server's direction, behind the ReadyForQuery of the request under way. False: it is gone on with later.
bool client_session::after_answer_at_replica(std::shared_ptr<client_session> self) {
    auto& s = *self;
    auto const& r = *s.reads_;
    if (s.relay_.idle()) {
        bool const changed = r.at_home.version != s.memory_->version() || !s.memory_->obstacle().empty();
        if (changed) {
            auto& home = s.home_;
            boost::asio::co_spawn(home.get_executor(), return_to_primary(std::move(self)), boost::asio::detached);
            return false;
        }
        s.arrive_at_primary();
    }
    s.crossing_ = false;
    resume_client(std::move(self));
    return true;
}

/// What was set and prepared at the replica has to be there, too.
awaitable<> client_session::return_to_primary(std::shared_ptr<client_session> self) {
    auto& s = *self;
    auto& r = *s.reads_;
    no_stand_in why;
    if (auto const lost = s.memory_->obstacle(); !lost.empty()) {
        why = {fmt::format("it has used {}", lost), true};
    } else {
        session::restore_machine machine{*s.memory_, r.at_home, false};
        s.at_stand_in_ = r.other.get();
        bool const restored = co_await s.restore_with(machine, *r.other, why);
        s.at_stand_in_ = nullptr;
        if (restored) why = {};
    }
    bool const refused = !why.reason.empty() && r.other->server.is_open();
    s.arrive_at_primary(); // where that is lost, this will be found out
    s.crossing_ = false;
    if (refused) {
        s.parting_ = wire::error_response(wire::severity::fatal, wire::sqlstate::connection_failure, "pgmend cannot give the session back to the primary after a transaction at a replica",
                                          fmt::format("{}. No transaction was under way.", why.reason));
        co_await s.say_goodbye();
        s.close();
        co_return;
    }
    resume_client(self);
    relay_server(std::move(self));
}

void client_session::arrive_at_primary() {
    auto& r = *reads_;
    change_places(r.at_home_cancels);
    r.away = false;
    r.begin.clear();
    r.requests = memory_->requests();
    if (r.at_replica.version != memory_->version()) r.at_replica = memory_->whole();
    r.used = base::steady::now();
    if (settings_->limits.any() || !r.other->inbox.empty()) leave_replica(); // others wait for its place, perhaps
}

/// The client's direction, where it waits at the gate. Where it does not, it will see for itself.
void client_session::resume_client(std::shared_ptr<client_session> self) {
    auto& s = *self;
    if (s.healing_ || s.crossing_ || (s.paused_ && s.relay_.idle()) || !std::exchange(s.client_at_gate_, false)) return;
    if (!s.reads_ || s.reads_->held_back.empty()) {
        bool const left = s.reads_ && s.reads_->away && !s.client_carry_.empty();
        if (!left) return relay_client(std::move(self));
    }
    auto bytes = std::exchange(s.client_carry_, {}) + std::exchange(s.reads_->held_back, {});
    auto& home = s.home_;
    boost::asio::co_spawn(home.get_executor(), relay_with_replica(std::move(self), std::move(bytes)), boost::asio::detached);
}

} // namespace pgmend::net
