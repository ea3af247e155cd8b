#include "net/client_session.hpp"

#include "net/login_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <exception>

namespace pgmend::net {
namespace {

namespace startup = session::startup;
using base::log_level;

/// Before ReadyForQuery no message is longer (PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH is 65535; errors are texts).
constexpr std::size_t most_login_frame_bytes = 1 << 20;

/// How long a client may take to read an error before the connection is closed on it.
constexpr std::chrono::milliseconds linger_limit{1000};

std::string sqlstate_of(base::byte_view frame) {
    auto const fields = wire::read_error(frame.substr(wire::header_bytes));
    return fields ? std::string{fields->code} : std::string{};
}

/// An ErrorResponse during the login, told to the breakers.
backend::fault note_refused(base::byte_view frame, login_report& report) {
    auto const fields = wire::read_error(frame.substr(wire::header_bytes));
    auto const code = fields ? std::string{fields->code} : std::string{};
    auto const whose = fields ? backend::fault_of_sqlstate(code, fields->routine, backend::phase::login) : backend::fault::backend;
    report.failed(whose, code.empty() ? "refuses logins" : "refuses logins with SQLSTATE " + code);
    return whose;
}

} // namespace

void client_session::start(worker& home, stream connected) {
    auto self = std::make_shared<client_session>(home, std::move(connected));
    boost::asio::co_spawn(home.get_executor(), run(std::move(self)), boost::asio::detached);
}

client_session::client_session(worker& home, stream connected)
    : home_{home}, settings_{home.settings()}, client_{std::move(connected)}, peer_{client_.peer_text()},
      relay_{{false, 0}}, schema_arrived_{home.get_executor()}, kept_arrived_{home.get_executor()} {
    home_.enter(this);
    home_.shared().clients.fetch_add(1, std::memory_order_relaxed);
    home_.counted().clients_accepted.add();
}

client_session::~client_session() {
    if (!cancel_secret_.empty()) home_.shared().cancels.forget(cancel_process_, cancel_secret_);
    if (watching_) home_.shared().schemas->unwatch(identity_.database);
    if (logged_in_ && place_ && !at_console_) place_->state->sessions.fetch_sub(1, std::memory_order_relaxed);
    if (reads_) leave_replica();
    if (logged_in_) {
        auto const lived = std::chrono::steady_clock::now() - began_;
        base::log(log_level::info, "client.disconnected",
                  {{"client", peer_},
                   {"database", identity_.database},
                   {"user", identity_.user},
                   {"application_name", at_console_ ? identity_.application_name : relay_.application_name()},
                   {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(lived).count()}});
    }
    home_.shared().clients.fetch_sub(1, std::memory_order_relaxed);
    home_.leave(this);
}

awaitable<> client_session::run(std::shared_ptr<client_session> self) {
    try {
        self->begin_time_limit(self->settings_->listen.login_timeout);
        auto wanted = co_await self->start_up();
        if (wanted && co_await self->log_in(std::move(*wanted))) {
            self->time_limit_.reset();
            // Bytes may have come behind the login; then both chains go on by themselves.
            auto from_client = std::exchange(self->client_carry_, {});
            auto from_server = std::exchange(self->server_carry_, {});
            co_await relay_client_slowly(self, {}, std::move(from_client));
            co_await relay_server_slowly(self, {}, std::move(from_server));
            co_return;
        }
        if (self->time_over_) {
            self->log_rejected("not logged in within listen.login_timeout");
        }
    } catch (std::exception const& failure) { // memory; everything expected is a value
        self->log_failed(failure.what());
    }
    self->close();
}

void client_session::close() {
    client_.close();
    server_.close();
    if (reads_ && reads_->other) reads_->other->give_up();
    if (reads_) reads_->at_gate.notify();
    schema_arrived_.notify();
    kept_arrived_.notify();
}

void client_session::begin_time_limit(std::chrono::milliseconds limit) {
    time_limit_ = std::make_unique<timer>(home_.get_executor());
    time_limit_->expires_after(limit);
    auto on_time = [weak = weak_from_this()](boost::system::error_code cancelled) {
        auto const self = weak.lock();
        if (cancelled || !self || !self->time_limit_ ||
            self->time_limit_->expiry() > std::chrono::steady_clock::now())
            return; // it was taken away, or set anew, while this handler was already queued
        self->time_over_ = true;
        self->close();
    };
    time_limit_->async_wait(std::move(on_time));
}

awaitable<bool> client_session::read_more(stream& from, std::string& inbox) {
    for (;;) {
        auto const read = from.read_some(home_.scratch(), worker::scratch_bytes);
        if (read.status == io_status::done) {
            inbox.append(home_.scratch(), read.count);
            co_return true;
        }
        if (read.status != io_status::want_read && read.status != io_status::want_write) co_return false;
        co_await from.wait(read.status);
    }
}

/// Its connection and its login: so long the client could do nothing.
void client_session::note_server_wait() {
    auto const waited = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - login_began_);
    home_.counted().server_wait.add(static_cast<std::uint64_t>(waited.count()));
    traffic_->wait_us.add(static_cast<std::uint64_t>(waited.count()));
}

void client_session::log_connected() const {
    base::log(log_level::info, "client.connected",
              {{"client", peer_},
               {"database", identity_.database},
               {"user", identity_.user},
               {"application_name", identity_.application_name},
               {"tls", client_.is_tls()}});
}

void client_session::log_rejected(std::string_view reason) const {
    home_.counted().clients_rejected.add();
    base::log(log_level::warning, "client.rejected",
              {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"reason", reason}});
}

void client_session::log_failed(std::string_view reason) const {
    base::log(log_level::error, "client.failed", {{"client", peer_}, {"reason", reason}});
}

void client_session::log_lost() const {
    home_.counted().servers_lost.add();
    auto const& error = server_.last_error();
    base::log(log_level::warning, "server.lost",
              {{"client", peer_},
               {"database", identity_.database},
               {"user", identity_.user},
               {"reason", given_up_ ? std::string_view{"silent"} : error.empty() ? std::string_view{"closed"} : std::string_view{error}}});
}

// ------------------------------------------------------------------------------------------- start-up

awaitable<> client_session::reject(std::string response, std::string_view reason) {
    log_rejected(reason);
    if (response.empty()) co_return;
    begin_time_limit(linger_limit);
    // Not `if (co_await ...)`: in a coroutine without a local variable g++ 12 puts the condition's value at the front of
    // the frame, where the resume pointer belongs, and `this` is read from the wrong place (in -O0, too).
    bool const told = co_await client_.write_all(response);
    if (told) co_await linger();
    time_limit_.reset();
}

/// Closing with unread bytes would reset the connection, and the client would lose what was said to it last.
awaitable<> client_session::linger() {
    begin_time_limit(linger_limit);
    client_.shutdown_send();
    for (;;) {
        auto const read = client_.read_some(home_.scratch(), worker::scratch_bytes);
        if (read.status == io_status::done) continue;
        if (read.status != io_status::want_read) break;
        co_await client_.wait(read.status);
    }
    time_limit_.reset();
    time_over_ = false;
}

awaitable<std::optional<startup::proceed>> client_session::start_up() {
    auto const tls = settings_->client_tls;
    auto const mode = settings_->listen.tls.mode;
    session::startup_machine machine{{tls != nullptr, mode >= tls_mode::require}};
    std::string inbox;

    // A direct handshake has to be left in the socket for OpenSSL, so the first byte is only looked at.
    for (char first = 0;;) {
        auto const read = client_.peek(&first, 1);
        if (read.status == io_status::want_read) {
            co_await client_.wait(read.status);
            continue;
        }
        if (read.status != io_status::done) co_return std::nullopt;
        if (first == 0x16) inbox.push_back(first);
        break;
    }
    for (;;) {
        auto action = machine.on_bytes(inbox);
        inbox.erase(0, machine.consumed());
        if (std::holds_alternative<startup::need_more>(action)) {
            if (!co_await read_more(client_, inbox)) co_return std::nullopt;
        } else if (auto* const answer = std::get_if<startup::answer>(&action)) {
            if (!co_await client_.write_all({&answer->byte, 1})) co_return std::nullopt;
        } else if (auto* const begin = std::get_if<startup::start_tls>(&action)) {
            bool const direct = begin->direct;
            if (direct) inbox.clear();
            else if (!co_await client_.write_all("S")) co_return std::nullopt;
            auto const shaken = co_await client_.accept_tls(tls.get());
            if (!shaken) {
                co_await reject({}, "TLS: " + shaken.error().text);
                co_return std::nullopt;
            }
            if (direct && client_.negotiated_protocol() != "postgresql") { // as PostgreSQL 17
                co_await reject({}, "direct TLS without ALPN protocol \"postgresql\"");
                co_return std::nullopt;
            }
            machine.tls_started();
        } else if (auto* const cancel = std::get_if<startup::cancel>(&action)) {
            auto const target = home_.shared().cancels.find(cancel->process, cancel->secret);
            if (target) co_await send_cancel(home_.get_executor(), *target);
            co_return std::nullopt;
        } else if (auto* const refused = std::get_if<startup::reject>(&action)) {
            co_await reject(std::move(refused->response), refused->reason);
            co_return std::nullopt;
        } else {
            client_carry_ = std::move(inbox);
            co_return std::get<startup::proceed>(std::move(action));
        }
    }
}

// ------------------------------------------------------------------------------------------- login

awaitable<bool> client_session::read_client_frame(std::string& frame) {
    for (;;) {
        if (client_carry_.size() >= wire::header_bytes) {
            auto const header = wire::read_header(client_carry_);
            if (!header.length_is_valid() || header.total_bytes() > most_login_frame_bytes) {
                frame = std::exchange(client_carry_, {}); // the server shall say what is wrong with it
                co_return true;
            }
            if (client_carry_.size() >= header.total_bytes()) {
                frame = client_carry_.substr(0, header.total_bytes());
                client_carry_.erase(0, header.total_bytes());
                co_return true;
            }
        }
        if (!co_await read_more(client_, client_carry_)) co_return false;
    }
}

awaitable<client_session::login_outcome> client_session::converse(session::login_machine& login, bool another_way, bool another_server,
                                                                         login_report& report) {
    using step = session::login_machine::step;
    auto inbox = std::exchange(server_carry_, {});
    std::string to_client;
    std::string answer;
    bool first = true;
    bool told_client = false; // something: from then on there is no other server for it
    auto next = step::server;
    for (;;) {
        std::size_t at = 0;
        while (next == step::server && inbox.size() - at >= wire::header_bytes) {
            base::byte_view const rest = base::byte_view{inbox}.substr(at);
            auto const header = wire::read_header(rest);
            if (!header.length_is_valid() || header.total_bytes() > most_login_frame_bytes) {
                report.failed(backend::fault::backend, "its answer is not the PostgreSQL protocol");
                co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::protocol_violation,
                                                     "the server's answer is not understood",
                                                     "Is there a PostgreSQL server behind pgmend's backend address?"),
                                "the server's answer is not understood");
                co_return login_outcome::failed;
            }
            if (rest.size() < header.total_bytes()) break;
            auto const frame = rest.substr(0, header.total_bytes());
            if (std::exchange(first, false) && header.type == 'E' && another_way) co_return login_outcome::try_next;
            if (header.type == 'E') {
                auto const whose = note_refused(frame, report);
                if (whose == backend::fault::backend && another_server && !told_client) {
                    unavailable_ = {std::string{frame}, fmt::format("login refused with SQLSTATE {}", sqlstate_of(frame))};
                    co_return login_outcome::elsewhere;
                }
            } else {
                report.answered();
            }
            next = login.on_server(frame, to_client);
            at += header.total_bytes();
        }
        inbox.erase(0, at);
        if (next == step::client_answer) {
            told_client = true;
            if (!co_await client_.write_all(std::exchange(to_client, {}))) co_return login_outcome::failed;
            if (!co_await read_client_frame(answer)) co_return login_outcome::failed;
            next = login.on_client(answer, to_client);
            if (next == step::server && !co_await server_.write_all(answer)) co_return login_outcome::failed;
        }
        if (next == step::failed) {
            co_await reject(std::move(to_client), fmt::format("login refused with SQLSTATE {}", login.failure_code()));
            co_return login_outcome::failed;
        }
        if (next == step::ready && !is_as_expected(login, *place_)) {
            unavailable_ = role_refusal(*place_);
            if (another_server && !told_client) co_return login_outcome::elsewhere;
            co_await reject(unavailable_.response, unavailable_.reason);
            co_return login_outcome::failed;
        }
        // Where there is another server the client hears nothing before it is clear that this one will do.
        bool const wait = another_server && !told_client && next == step::server;
        if (!wait && !to_client.empty()) {
            told_client = true;
            if (!co_await client_.write_all(std::exchange(to_client, {}))) co_return login_outcome::failed;
        }
        if (next == step::ready) {
            server_carry_ = std::move(inbox);
            co_return login_outcome::ready;
        }
        if (next == step::server && !co_await read_more(server_, inbox)) {
            if (time_over_) co_return login_outcome::failed;
            if (first && another_way) co_return login_outcome::try_next;
            if (!client_.is_open()) co_return login_outcome::failed;
            report.failed(backend::fault::backend, "closed the connection during a login");
            if (another_server && !told_client) co_return login_outcome::elsewhere;
            co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::connection_failure,
                                                 "the server closed the connection during the login"),
                            "the server closed the connection during the login");
            co_return login_outcome::failed;
        }
    }
}

awaitable<bool> client_session::log_in(startup::proceed wanted) {
    auto& shared = home_.shared();
    if (shared.clients.load(std::memory_order_relaxed) > settings_->listen.most_clients) {
        co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::too_many_connections,
                                             "sorry, too many clients already", {},
                                             "pgmend's limit is listen.max_clients."),
                        "listen.max_clients is reached");
        co_return false;
    }
    at_console_ = wants_console(wanted);
    if (at_console_) {
        bool const admitted = co_await admit_to_console(wanted);
        if (!admitted) co_return false;
    }
    login_began_ = std::chrono::steady_clock::now();
    auto const secret = cancel_registry::new_secret();
    auto const places = co_await servers_for(wanted);
    unavailable_ = places.why;
    for (std::size_t i = 0; i < places.servers.size(); ++i) {
        bool const another_server = i + 1 < places.servers.size();
        place_ = places.servers[i];
        if (settings_->limits.any() && !at_console_) {
            bool const seated = co_await take_seat(wanted);
            if (!seated) continue;
        }
        auto report = login_report::begin(place_->state, places.servers.size() == 1, at_console_);
        if (!report) {
            if (unavailable_.response.empty()) unavailable_ = breaker_refusal(*place_); // the one that it should have been
            continue;
        }
        probing_ = report->probe();
        auto const outcome = co_await log_in_at(wanted, secret, another_server, *report);
        if (outcome == login_outcome::ready) co_return !at_console_;
        if (outcome == login_outcome::failed) co_return false;
        server_.close();
        server_carry_.clear();
    }
    co_await reject(unavailable_.response, unavailable_.reason);
    co_return false;
}

/// ready: logged in (for the console: and served). elsewhere: unavailable_ says why not here.
awaitable<client_session::login_outcome> client_session::log_in_at(startup::proceed const& wanted, std::string const& secret, bool another_server,
                                                                   login_report& report) {
    auto const attempts = tls_attempts(place_->settings);
    for (std::size_t i = 0; i < attempts.size(); ++i) {
        bool const another_way = i + 1 < attempts.size();
        session::login_machine login{wanted.version, wanted.packet, {client_.is_tls(), secret}};
        identity_ = login.identity();
        if (settings_->listen.tls.mode == tls_mode::verify_full && client_.peer_common_name() != identity_.user) {
            co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::invalid_authorization,
                                                 "the client certificate is not for this user"),
                            "the client certificate is not for this user");
            co_return login_outcome::failed;
        }
        connecting_ = std::make_shared<connecting>();
        auto link = co_await connect_backend(home_.get_executor(), place_, attempts[i], login.server_startup(), connecting_);
        auto const progress = std::exchange(connecting_, nullptr);
        if (!client_.is_open()) co_return login_outcome::failed;
        if (!link) {
            home_.counted().servers_failed.add();
            if (another_way && link.error().code == base::errc::tls) continue;
            auto const& text = link.error().text;
            if (!progress->given_up) report.failed(progress->whose, text);
            unavailable_ = progress->given_up ? breaker_refusal(*place_)
                                              : unavailable{wire::error_response(wire::severity::fatal, wire::sqlstate::cannot_connect_now,
                                                                                 "pgmend cannot connect: " + text),
                                                            text};
            co_return login_outcome::elsewhere;
        }
        server_ = std::move(link->server);
        home_.counted().servers_connected.add();
        server_carry_ = std::move(link->received);
        login.connected(server_.is_tls());
        // A way of connecting that is like this one (TLS was offered, or not) would only fail again.
        bool const worth_trying = another_way && !(attempts[i] == tls_attempt::if_offered && !server_.is_tls());
        auto const outcome = co_await converse(login, worth_trying, another_server, report);
        if (outcome == login_outcome::try_next) {
            server_.close();
            continue;
        }
        if (outcome != login_outcome::ready) co_return outcome;
        if (at_console_) {
            server_.close();
            server_carry_.clear();
            time_limit_.reset();
            logged_in_ = true;
            identity_.database = settings_->admin.database;
            log_connected();
            co_await serve_console();
            co_return login_outcome::ready;
        }
        begin_relay(login, link->endpoint);
        keeps_answers_ = home_.rules()->has_fallbacks() && !identity_.replication;
        begin_memory(login);
        if (keeps_answers_ || memory_) {
            startup_packet_ = wanted.packet;
            startup_version_ = wanted.version;
        }
        begin_replica_reads(wire::read_startup(wanted.version, wanted.packet));
        co_return login_outcome::ready;
    }
    co_return login_outcome::failed;
}

void client_session::begin_relay(session::login_machine const& login, boost::asio::generic::stream_protocol::endpoint const& endpoint) {
    auto& shared = home_.shared();
    identity_ = login.identity();
    cancel_process_ = login.server_process();
    cancel_secret_ = login.client_secret();
    shared.cancels.serve(cancel_process_, cancel_secret_, {place_, endpoint, login.server_process(), login.server_secret()});
    bool const heals = shared.schemas != nullptr && !identity_.replication && settings_->healing.healing_mode != healing::mode::off;
    if (heals) {
        auto time_of_day = [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); };
        check_ = std::make_unique<session::statement_check>(home_.judge_of(identity_.database),
                                                            session::statement_check::identity{identity_.database, identity_.user},
                                                            time_of_day, [] { return std::chrono::steady_clock::now(); });
    }
    traffic_ = &shared.figures.of(home_.counted(), identity_.database);
    relay_.measure({&home_.counted(), traffic_, 0});
    note_server_wait();
    relay_.configure({heals, settings_->healing.most_statement_bytes, settings_->healing.most_batch_bytes}, check_.get());
    relay_.count_in(home_.tally_of(*place_->state));
    relay_.set_parameter("client_encoding", login.client_encoding());
    relay_.set_parameter("standard_conforming_strings", login.standard_conforming_strings() ? "on" : "off");
    relay_.set_parameter("application_name", identity_.application_name);
    if (heals) {
        shared.schemas->watch(identity_.database);
        watching_ = true;
    }
    place_->state->sessions.fetch_add(1, std::memory_order_relaxed);
    logged_in_ = true;
    follow_pause();
    log_connected();
}

} // namespace pgmend::net
