// The steady state of a session: bytes from the client to the server and back.
#include "net/client_session.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/telemetry/counted_times.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <utility>

namespace pgmend::net {
namespace {

/// More of a frame that is waited for does not go through the worker's buffer.
constexpr std::size_t most_carried_bytes = worker::scratch_bytes / 2;

/// So many reads in a row, then other sessions get their turn.
constexpr unsigned most_rounds = 16;

/// For what is measured; nothing else looks at it.
std::uint64_t now_us() {
    std::chrono::steady_clock::duration since{};
    for (int i = 0; i < telemetry::counted_times; ++i) since = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

void count(telemetry::counter& where, std::size_t bytes) {
    for (int i = 0; i < telemetry::counted_times; ++i) where.add(bytes);
}

/// An exception is a lack of memory or a broken invariant: the session ends with its coroutine, the process goes on.
void spawn(worker& home, awaitable<> coroutine) {
    boost::asio::co_spawn(home.get_executor(), std::move(coroutine), [](std::exception_ptr failure) {
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (std::exception const& reason) {
            base::log(base::log_level::error, "client.failed", {{"reason", reason.what()}});
        }
    });
}

} // namespace

client_session::written client_session::write_now(stream& to, base::byte_view bytes) {
    while (!bytes.empty()) {
        auto const result = to.write_some(bytes);
        if (result.status == io_status::done) bytes.remove_prefix(result.count);
        else return {bytes, result.status == io_status::want_write || result.status == io_status::want_read};
    }
    return {};
}

// ------------------------------------------------------------------------------------------- from the client

void client_session::await_client(std::shared_ptr<client_session> self) {
    auto& client = self->client_;
    client.when_readable([self = std::move(self)](boost::system::error_code) mutable { relay_client(std::move(self)); });
}

/// heal() and follow_pause() go on with it.
bool client_session::stops_at_gate() {
    bool const stops = healing_ || crossing_ || relay_.client_must_wait() || (paused_ && relay_.idle());
    if (stops) client_at_gate_ = true;
    return stops;
}

/// More of a text that is looked at as a whole, though it does not fit into the worker's buffer. Whether it is waited for to its end the machine says each time.
awaitable<> client_session::receive_long_text(std::shared_ptr<client_session> self) {
    auto& s = *self;
    auto const total = wire::read_header(s.client_carry_).total_bytes();
    auto const before = s.client_carry_.size();
    if (before < total) {
        bool const more = co_await s.read_more(s.client_, s.client_carry_);
        if (!more) {
            s.client_ended_ = true;
            s.server_.shutdown_send();
            co_return;
        }
        count(s.traffic_->received_bytes, s.client_carry_.size() - before);
    }
    if (!s.stops_at_gate()) co_await relay_client_slowly(self, {}, std::exchange(s.client_carry_, {}));
}

void client_session::relay_client(std::shared_ptr<client_session> self) {
    auto& s = *self;
    for (unsigned round = 0; round < most_rounds; ++round) {
        if (!s.client_.is_open()) return;
        if (s.stops_at_gate()) return;
        if (s.client_carry_.size() > most_carried_bytes) [[unlikely]] {
            bool const replica = s.reads_ && s.may_concern_replica(s.client_carry_); // it has a way of its own with long texts
            if (!replica || s.client_carry_.size() >= worker::scratch_bytes) return spawn(s.home_, receive_long_text(std::move(self)));
        }
        char* const buffer = s.home_.scratch();
        std::size_t const carried = s.client_carry_.size();
        std::memcpy(buffer, s.client_carry_.data(), carried);
        auto const read = s.client_.read_some(buffer + carried, worker::scratch_bytes - carried);
        if (read.status == io_status::want_read) return await_client(std::move(self));
        if (read.status == io_status::want_write) return spawn(s.home_, relay_client_slowly(std::move(self), {}, {}));
        if (read.status != io_status::done) {
            s.client_ended_ = true;
            if (read.status == io_status::failed) s.close();
            else s.server_.shutdown_send(); // the server ends the session in its own time, as without pgmend
            return;
        }
        base::byte_view const input{buffer, carried + read.count};
        if (s.refusing()) [[unlikely]] {
            s.client_carry_.clear();
            return spawn(s.home_, refuse(std::move(self), std::string{input}));
        }
        if (s.keeps_answers_) s.begin_recording(input);
        s.home_.follow_configuration();
        s.relay_.set_now(now_us());
        count(s.traffic_->received_bytes, read.count);
        if (s.reads_ && s.may_concern_replica(input)) [[unlikely]] {
            s.client_carry_.clear();
            return spawn(s.home_, relay_with_replica(std::move(self), std::string{input}));
        }
        auto const step = s.relay_.on_client(input);
        auto const done = write_now(s.server_, step.forward);
        if (!done.ok) { // what the server has said before it left is still to be read
            s.client_stopped_ = true;
            return;
        }
        if (s.check_ && s.check_->has_remarks()) s.log_remarks();
        if (!done.rest.empty() || step.again) { // others use the worker's buffer while this waits: it needs a copy
            s.client_carry_.clear();
            std::string pending{done.rest};
            std::string left{input.substr(step.consumed)};
            return spawn(s.home_, relay_client_slowly(std::move(self), std::move(pending), std::move(left)));
        }
        if (carried > 0 || step.consumed < input.size()) s.client_carry_.assign(input.substr(step.consumed));
        if (s.relay_.asking()) return s.begin_asking();
        bool const may_listen = s.relay_.premise_pending() && s.client_carry_.empty(); // most clients wait now, too
        if (s.relay_.client_must_wait() && !may_listen) {
            s.client_at_gate_ = true;
            if (s.relay_.holding()) s.server_.wake(); // the server's direction answers
            return;
        }
        // A read that was not filled has seen all there was. TLS may hold more than the socket shows.
        if (!s.client_.is_tls() && read.count < worker::scratch_bytes - carried) {
            s.trust_edge();
            return await_client(std::move(self));
        }
    }
    auto const where = s.home_.get_executor(); // others get their turn
    boost::asio::post(where, [self = std::move(self)]() mutable { relay_client(std::move(self)); });
}

/// The long way: `pending` has to wait until the server takes it, `left` is to be looked at behind it.
awaitable<> client_session::relay_client_slowly(std::shared_ptr<client_session> self, std::string pending, std::string left) {
    auto& s = *self;
    s.client_writing_ = true;
    bool alive = co_await s.server_.write_all(pending);
    base::byte_view rest = left;
    for (bool again = true; alive && again && !rest.empty();) {
        s.relay_.set_now(now_us());
        auto const step = s.relay_.on_client(rest);
        rest.remove_prefix(step.consumed);
        again = step.again;
        bool const waits = s.relay_.client_must_wait();
        alive = co_await s.server_.write_all(step.forward);
        again = again || (waits && !s.relay_.client_must_wait() && !s.healing_); // it was answered meanwhile
    }
    s.client_writing_ = false;
    s.client_carry_.assign(rest);
    if (s.check_ && s.check_->has_remarks()) s.log_remarks();
    if (alive && s.relay_.holding() && !s.healing_) s.server_.wake();
    bool const more = s.reads_ && !s.crossing_ && !s.reads_->held_back.empty();
    if (alive && s.relay_.asking()) s.begin_asking();
    else if (alive && more) co_await relay_with_replica(self, std::exchange(s.client_carry_, {}) + std::exchange(s.reads_->held_back, {}));
    else if (alive) relay_client(std::move(self));
    else s.client_stopped_ = true;
}

// ------------------------------------------------------------------------------------------- from the server

void client_session::await_server(std::shared_ptr<client_session> self) {
    if (self->may_ask_now()) {
        auto& home = self->home_;
        return spawn(home, ask_and_go_on(std::move(self)));
    }
    auto& server = self->server_;
    server.when_readable([self = std::move(self)](boost::system::error_code) mutable { relay_server(std::move(self)); });
}

void client_session::relay_server(std::shared_ptr<client_session> self) {
    auto& s = *self;
    if (s.at_work_elsewhere_) [[unlikely]] { // answer_elsewhere() goes on with this
        s.server_at_gate_ = true;
        if (s.reads_) s.reads_->at_gate.notify();
        return;
    }
    if (s.relay_.holding()) return spawn(s.home_, relay_server_slowly(std::move(self), {}, std::exchange(s.server_carry_, {})));
    for (unsigned round = 0; round < most_rounds; ++round) {
        char* const buffer = s.home_.scratch();
        std::size_t const carried = s.server_carry_.size();
        std::memcpy(buffer, s.server_carry_.data(), carried);
        auto const read = s.server_.read_some(buffer + carried, worker::scratch_bytes - carried);
        if (read.status == io_status::want_read) return await_server(std::move(self));
        if (read.status == io_status::want_write) return spawn(s.home_, relay_server_slowly(std::move(self), {}, {}));
        if (read.status != io_status::done) return spawn(s.home_, finish(std::move(self)));

        // The common case: everything but a part of a frame at the end is passed on at once.
        s.heard_ = true;
        base::byte_view const input{buffer, carried + read.count};
        if ((s.asks_rule_ || s.memory_) && s.says_goodbye(input)) [[unlikely]] return spawn(s.home_, outlive_server(std::move(self)));
        s.relay_.set_now(now_us());
        count(s.traffic_->sent_bytes, read.count);
        auto const step = s.relay_.on_server(input);
        auto const done = write_now(s.client_, step.forward);
        if (!done.ok) return spawn(s.home_, finish(std::move(self)));
        if (s.recording_) s.record(step.forward);
        if (s.relay_.take_news()) s.note_news();
        if (!done.rest.empty() || step.again || s.retried_ || s.relay_.server_broken()) {
            s.server_carry_.clear();
            std::string pending{done.rest};
            std::string left{input.substr(step.consumed)};
            return spawn(s.home_, relay_server_slowly(std::move(self), std::move(pending), std::move(left)));
        }
        if (carried > 0 || step.consumed < input.size()) s.server_carry_.assign(input.substr(step.consumed));
        if (s.draining_ && s.relay_.idle()) return spawn(s.home_, finish(std::move(self)));
        if (s.crossing_ && s.answered_at_replica()) [[unlikely]] {
            if (!after_answer_at_replica(self)) return;
            break; // it may be another server now, and the session on its way to the next transaction
        }
        if (!s.server_.is_tls() && read.count < worker::scratch_bytes - carried) {
            s.trust_edge();
            return await_server(std::move(self));
        }
    }
    auto const where = s.home_.get_executor();
    boost::asio::post(where, [self = std::move(self)]() mutable { relay_server(std::move(self)); });
}

/// The long way: `pending` has to wait until the client takes it, `left` is to be looked at behind it.
awaitable<> client_session::relay_server_slowly(std::shared_ptr<client_session> self, std::string pending, std::string left) {
    auto& s = *self;
    s.recording_.reset();
    bool alive = co_await s.client_.write_all(pending);
    if (alive && s.retried_) s.note_retry();
    if (alive && s.relay_.holding()) {
        alive = co_await s.heal();
        left += std::exchange(s.server_carry_, {}); // received during the heal, behind what was here
    }
    alive = alive && co_await s.deliver(std::move(left));
    if (!alive || (s.draining_ && s.relay_.idle())) co_await finish(std::move(self));
    else if (!s.crossing_ || !s.answered_at_replica() || after_answer_at_replica(self)) relay_server(std::move(self));
}

/// Passes on what was received, waiting for the client and for heals; a part of a frame at the end is carried.
/// False: the session is over.
awaitable<bool> client_session::deliver(std::string bytes) {
    base::byte_view rest = bytes;
    for (bool again = true; again;) {
        relay_.set_now(now_us());
        auto const step = relay_.on_server(rest);
        rest.remove_prefix(step.consumed);
        again = step.again;
        if (!co_await client_.write_all(step.forward)) co_return false;
        if (relay_.take_news()) note_news();
        if (relay_.server_broken()) {
            said_goodbye_ = true;
            co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::protocol_violation,
                                                 "the server sent what is not the PostgreSQL protocol"),
                            "the server sent what is not the PostgreSQL protocol");
            co_return false;
        }
        if (retried_) note_retry();
        if (relay_.holding()) { // for the first time, or again: then the schema has moved on
            if (!co_await heal()) co_return false;
            std::string joined{rest};
            joined += std::exchange(server_carry_, {}); // received during the heal, behind what is here
            bytes = std::move(joined);
            rest = bytes;
        }
        if (rest.empty()) break;
    }
    server_carry_.assign(rest);
    co_return true;
}

awaitable<> client_session::finish(std::shared_ptr<client_session> self) {
    if (self->reads_) self->reads_->at_gate.notify();
    bool const goes_on = self->may_outlive_server();
    if (goes_on) {
        co_await outlive_server(std::move(self));
        co_return;
    }
    co_await self->say_goodbye();
    self->close();
}

/// What has become of the client's transaction, now that the server has gone.
std::string_view client_session::fate() const {
    if (reads_ && reads_->away) return "The transaction under way only read, at a replica.";
    if (lost_at_ && !recording_) return "No transaction was under way.";
    if (!relay_.busy() && relay_.transaction_status() == 'I') return "No transaction was under way.";
    if (!relay_.busy()) return "The transaction under way was not committed: its COMMIT had not been sent.";
    return "Whether the transaction under way was committed is not known.";
}

/// The server has gone, or has to go. A client that has not been told why is told, if that can be put into its stream.
awaitable<> client_session::say_goodbye() {
    if (!relay_.server_said_goodbye() && !relay_.terminated() && !lost_at_) note_lost();
    if (!client_.is_open() || client_ended_ || said_goodbye_) co_return;
    if (relay_.terminated() || relay_.server_said_goodbye() || (!relay_.client_at_boundary() && !lost_at_)) co_return;
    said_goodbye_ = true;
    bool const on_purpose = draining_ && relay_.idle();
    auto const why = why_it_stays();
    auto const detail = why.empty() ? std::string{fate()} : fmt::format("{} pgmend has not moved the session to another server: {}.", fate(), why);
    auto const text = !parting_.empty() ? parting_ : on_purpose
        ? wire::error_response(wire::severity::fatal, wire::sqlstate::admin_shutdown,
                               "terminating connection due to administrator command", {}, "pgmend is shutting down.")
        : wire::error_response(wire::severity::fatal, wire::sqlstate::connection_failure,
                               given_up_ ? "the server does not answer any more" : "the server closed the connection unexpectedly", detail);
    if (!on_purpose && !lost_at_) log_lost();
    begin_time_limit(std::chrono::milliseconds{1000});
    if (co_await client_.write_all(text)) co_await linger();
}

/// A read that got less than it had room for has seen all bytes, but perhaps not the end of the stream behind them.
void client_session::trust_edge() {
    unsure_ = true;
    home_.look_again_later();
}

void client_session::look_again() {
    if (!std::exchange(unsure_, false)) return;
    client_.look_again();
    server_.look_again();
}

void client_session::follow_pause() {
    if (!logged_in_ || at_console_ || identity_.replication) return; // a stream would never come to its end
    paused_ = home_.is_paused(identity_.database);
    if (paused_ || healing_ || crossing_ || !client_at_gate_) return;
    auto go_on = [self = shared_from_this()]() mutable { resume_client(std::move(self)); };
    boost::asio::post(home_.get_executor(), std::move(go_on));
}

void client_session::drain() {
    draining_ = true;
    if (!logged_in_) return close();
    if (at_console_ && console_busy_) return; // serve_console looks again after the answer
    if (at_console_ || lost_at_) return terminate();
    if (!relay_.idle()) return; // relay_server looks again after each answer
    server_.shutdown_send();    // it answers by closing, and relay_server says good-bye
}

void client_session::terminate(std::string_view hint) {
    if (logged_in_ && relay_.client_at_boundary())
        (void)client_.write_some(wire::error_response(wire::severity::fatal, wire::sqlstate::admin_shutdown,
                                                      "terminating connection due to administrator command", {},
                                                      hint));
    client_.shutdown_send();
    close();
}

} // namespace pgmend::net
