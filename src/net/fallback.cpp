// Rules with `fallback`: what a session gets while its server does not answer, or has been lost.
#include "net/client_session.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/fallback.hpp"
#include "pgmend/session/wish.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace pgmend::net {

/// Nothing: it is to be answered by its server only.
std::optional<client_session::allowed_fallback> client_session::fallback_of(base::byte_view request) {
    auto const sql = session::text_of_whole_request(request);
    if (!sql) return std::nullopt;
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    rules::scanned_text const text{*sql};
    auto const* const found = home_.rules()->fallback(text, {identity_.database, identity_.user, relay_.application_name(), now});
    if (found == nullptr || !session::only_reads(*sql)) return std::nullopt;
    auto const& does = std::get<rules::statement_fallback>(found->does);
    if (does.stale.count() == 0 && !does.replica) return std::nullopt; // `error`
    return allowed_fallback{found->name, does.stale, does.replica};
}

/// Never across users or databases, nor where a session began with other settings: all of that is in its first packet.
std::string client_session::answer_key(base::byte_view request) const {
    std::string key;
    for (base::byte_view const part : {base::byte_view{identity_.database}, base::byte_view{identity_.user}, base::byte_view{startup_packet_}, request}) {
        base::append_u32(key, static_cast<std::uint32_t>(part.size()));
        key.append(part);
    }
    return key;
}

void client_session::begin_recording(base::byte_view request) {
    recording_.reset();
    if (!session::leaves_session_alone(request)) { // search_path, the role, temporary tables: from now on it is a session of its own kind
        keeps_answers_ = false;
        return;
    }
    if (!relay_.idle() || !fallback_of(request)) return;
    recording_ = std::make_unique<recording>(recording{std::string{request}});
    asks_rule_ = true;
}

void client_session::record(base::byte_view to_client) {
    using state = session::answer_recorder::state;
    auto const now = recording_->recorder.add(to_client);
    if (now == state::open) return;
    if (now == state::complete) home_.shared().answers.keep(answer_key(recording_->request), recording_->recorder.take(), base::steady::now());
    recording_.reset();
}

// ------------------------------------------------------------------------------------------- without the server

/// A replica's answer, or the last good one; nothing else is sent to the client. False: nobody may answer, and nothing was sent.
awaitable<bool> client_session::answer_elsewhere(std::string request) {
    if (!keeps_answers_ || (lost_at_ && server_is_back())) co_return false;
    auto const allowed = fallback_of(request);
    if (!allowed) co_return false;
    at_work_elsewhere_ = true;
    bool told = false;
    if (allowed->replica) told = co_await answer_from_replica(request, *allowed);
    if (!told && allowed->stale.count() > 0) {
        auto const remembered = answer_from_memory(request, *allowed);
        told = !remembered.empty();
        if (told) {
            bool const passed_on = co_await client_.write_all(remembered);
            if (!passed_on) close();
        }
    }
    open_server_gate();
    co_return told;
}

void client_session::open_server_gate() {
    at_work_elsewhere_ = false;
    if (!std::exchange(server_at_gate_, false)) return;
    auto go_on = [self = shared_from_this()]() mutable { relay_server(std::move(self)); };
    boost::asio::post(home_.get_executor(), std::move(go_on));
}

/// What the client gets, a NOTICE ahead; empty: there is nothing.
std::string client_session::answer_from_memory(base::byte_view request, allowed_fallback const& by) {
    auto const found = home_.shared().answers.find(answer_key(request), by.stale, base::steady::now());
    if (!found) return {};
    auto const age = std::chrono::duration_cast<std::chrono::milliseconds>(found->age);
    home_.counted().fallbacks_memory.add();
    base::log(base::log_level::warning, "statement.fallback",
              {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"rule", by.rule}, {"source", "memory"}, {"age_ms", age.count()}});
    return wire::notice_response(fmt::format("this answer is {:.1f} s old: {} does not answer", std::chrono::duration<double>(age).count(), where_text(place_->settings)),
                                 fmt::format("pgmend's rule \"{}\" allows answers of up to {:.0f} s.", by.rule, std::chrono::duration<double>(by.stale).count())) +
           *found->answer;
}

/// The server has gone, or goes, while nothing was under way that cannot be answered elsewhere. A client that asks what a rule has a
/// fallback for keeps its session, and hears of the loss when it asks something else, or when there is a server to connect to again. So does
/// one that another server may go on with, which is looked for when it asks something.
bool client_session::may_outlive_server() const {
    bool const nothing_lost = relay_.idle() || (recording_ && recording_->recorder.untouched());
    bool const answered_elsewhere = asks_rule_ && keeps_answers_ && nothing_lost;
    bool const elsewhere = healing_ || asking_ || retried_ || client_writing_ || (refusal_ && !refusal_->between());
    return (answered_elsewhere || may_move()) && !elsewhere && !lost_at_ && !draining_ && !said_goodbye_ && client_.is_open() && !client_ended_ &&
           !relay_.server_said_goodbye() && !relay_.terminated() && relay_.client_at_boundary() && relay_.transaction_status() == 'I';
}

/// It is being shut down, or somebody ends the session, and this session may outlive it. The client is not told yet.
bool client_session::says_goodbye(base::byte_view from_server) {
    if (from_server.front() != 'E' || from_server.size() < wire::header_bytes) return false;
    auto const header = wire::read_header(from_server);
    if (!header.length_is_valid() || header.total_bytes() != from_server.size()) return false;
    auto const fields = wire::read_error(wire::body_of(from_server, header));
    bool const ends = fields && fields->severity == "FATAL" && fields->code == wire::sqlstate::admin_shutdown;
    if (!ends || !may_outlive_server()) return false;
    server_carry_.clear();
    parting_ = from_server;
    return true;
}

/// Somebody has heard from the server since it was lost, or there is another one for this session: the client is to connect again.
bool client_session::server_is_back() const { return heard_since_loss(*place_) || another_may_serve(); }

/// One that is well.
bool client_session::another_may_serve() const {
    auto const& all = settings_->servers;
    std::vector<backend::candidate> candidates;
    for (auto const& server : all) candidates.push_back(candidate_of(*server));
    auto const wish = session::wanted_by(wire::read_startup(startup_version_, startup_packet_), settings_->routing.read_only_to_replica,
                                         *home_.shared().backends->read_only_defaults());
    auto const order = backend::choose(candidates, wish, settings_->routing.most_replay_lag).order;
    return std::ranges::any_of(order, [&](std::size_t i) { return all[i]->state != place_->state && all[i]->state->seems_well(); });
}

awaitable<> client_session::outlive_server(std::shared_ptr<client_session> self) {
    auto& s = *self;
    s.note_lost();
    s.log_lost();
    s.server_.close();
    s.lost_at_ = base::steady::now();
    s.seat_.reset(); // it is no longer a guest there
    if (s.relay_.idle()) s.recording_.reset();
    if (s.memory_ && !s.parting_.empty()) boost::asio::co_spawn(s.home_.get_executor(), watch_parting(self), boost::asio::detached);
    if (s.recording_) { // the request under way; the client's direction may have ended with it
        s.healing_ = true; // its gate
        bool const told = co_await s.answer_elsewhere(s.recording_->request);
        s.healing_ = false;
        if (!told) {
            co_await s.say_goodbye();
            s.close();
            co_return;
        }
        s.recording_.reset();
    }
    if (std::exchange(s.abandoned_, false)) {
        s.client_at_gate_ = s.client_stopped_ = false;
        auto request = std::exchange(s.client_carry_, {});
        co_await refuse(std::move(self), std::move(request));
        co_return;
    }
    if (std::exchange(s.client_at_gate_, false) || std::exchange(s.client_stopped_, false)) relay_client(std::move(self));
}

} // namespace pgmend::net
