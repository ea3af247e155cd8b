// Sessions of the admin database: logged in by the backend, answered by the console.
#include "net/client_session.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/console_machine.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace pgmend::net {
namespace {

/// How long a client may take to read an answer.
constexpr std::chrono::seconds read_limit{60};

/// The start-up packet with which the backend authenticates a user of the console: another database, no replication, and texts in UTF-8.
std::string authentication_packet(session::startup::proceed const& wanted, std::string const& database) {
    std::string out;
    auto const add = [&out](base::byte_view name, base::byte_view value) {
        out.append(name).push_back('\0');
        out.append(value).push_back('\0');
    };
    for (auto const& [name, value] : wire::read_startup(wanted.version, wanted.packet).parameters)
        if (name != "database" && name != "replication" && name != "client_encoding") add(name, value);
    add("database", database);
    add("client_encoding", "UTF8");
    out.push_back('\0');
    return out;
}

} // namespace

session_figures client_session::figures() const {
    session_figures out;
    out.id = reinterpret_cast<std::uintptr_t>(this);
    out.logged_in = logged_in_;
    out.at_console = at_console_;
    out.user = identity_.user;
    out.database = identity_.database;
    out.application_name = at_console_ ? identity_.application_name : std::string{relay_.application_name()};
    out.client = peer_;
    out.client_tls = client_.is_tls();
    out.connected = std::chrono::system_clock::now() -
                    std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::steady_clock::now() - began_);
    if (identity_.replication && !at_console_) out.replication = identity_.logical ? "logical" : "physical";
    if (at_console_ || !server_.is_open()) return out;
    out.server = server_.peer_text();
    out.server_process = cancel_process_;
    out.server_tls = server_.is_tls();
    return out;
}

bool client_session::wants_console(session::startup::proceed const& wanted) const {
    if (home_.shared().admin == nullptr) return false;
    auto const packet = wire::read_startup(wanted.version, wanted.packet);
    auto const database = packet.find("database");
    return !database.empty() && (database == settings_->admin.database || database == "pgbouncer");
}

/// Whether the user may go on to log in; `wanted` asks for the database that authenticates then.
awaitable<bool> client_session::admit_to_console(session::startup::proceed& wanted) {
    auto const packet = wire::read_startup(wanted.version, wanted.packet);
    identity_.user = packet.find("user");
    identity_.database = packet.find("database");
    auto const& users = settings_->admin.users;
    auto const& lookers = settings_->admin.stats_users;
    bool const known = std::find(users.begin(), users.end(), identity_.user) != users.end() ||
                       std::find(lookers.begin(), lookers.end(), identity_.user) != lookers.end();
    if (!known) {
        co_await reject(wire::error_response(wire::severity::fatal, wire::sqlstate::invalid_authorization,
                                             "user \"" + identity_.user + "\" may not use pgmend's console", {},
                                             "The settings admin.users and admin.stats_users in pgmend's configuration list who may."),
                        "not one of admin.users");
        co_return false;
    }
    wanted.packet = authentication_packet(wanted, settings_->admin.auth_database);
    co_return true;
}

awaitable<session::console_answer> client_session::ask_console(session::console_command command) {
    console_answer_.reset();
    auto answer = [weak = weak_from_this(), where = home_.get_executor()](session::console_answer found) {
        auto arrive = [weak, found = std::move(found)]() mutable {
            auto const self = weak.lock();
            if (!self) return;
            self->console_answer_ = std::move(found);
            self->schema_arrived_.notify();
        };
        boost::asio::post(where, std::move(arrive)); // on any thread; the session may be gone by then
    };
    home_.shared().admin->run(command, identity_.user, std::move(answer));
    while (!console_answer_ && client_.is_open()) co_await schema_arrived_.wait();
    if (!console_answer_) co_return session::console_error{wire::sqlstate::admin_shutdown, "the session has ended", {}};
    co_return std::move(*console_answer_);
}

awaitable<> client_session::serve_console() {
    using step = session::console_machine::step;
    session::console_machine machine{home_.shared().admin->commands()};
    std::string out;
    auto next = machine.on_bytes(std::exchange(client_carry_, {}), out);
    for (;;) {
        if (!out.empty()) {
            begin_time_limit(read_limit);
            bool const sent = co_await client_.write_all(std::exchange(out, {}));
            time_limit_.reset();
            time_over_ = false; // it was not the login that took too long
            if (!sent) break;
        }
        if (next == step::close) {
            co_await linger();
            break;
        }
        if (next == step::run) {
            console_busy_ = true;
            auto answer = co_await ask_console(machine.wanted());
            if (!client_.is_open()) break;
            next = machine.on_answer(std::move(answer), out);
            continue;
        }
        console_busy_ = false;
        if (draining_) {
            terminate();
            break;
        }
        std::string inbox;
        bool const more = co_await read_more(client_, inbox);
        if (!more) break;
        next = machine.on_bytes(inbox, out);
    }
}

} // namespace pgmend::net
