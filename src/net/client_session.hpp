// One client and its server connection, from the first byte to the last.
#pragma once

#include "pgmend/base/log.hpp"
#include "pgmend/net/backend_link.hpp"
#include "pgmend/net/event.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/net/session_figures.hpp"
#include "pgmend/net/stream.hpp"
#include "pgmend/session/fallback.hpp"
#include "pgmend/session/heal_machine.hpp"
#include "pgmend/session/login_machine.hpp"
#include "pgmend/session/read_only_transaction.hpp"
#include "pgmend/session/refusal_machine.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/session/restore_machine.hpp"
#include "pgmend/session/session_memory.hpp"
#include "pgmend/session/split_machine.hpp"
#include "pgmend/session/startup_machine.hpp"
#include "pgmend/session/statement_check.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::net {

class worker;
class login_report;

/// Drives the machines: reads, writes, waits. A coroutine logs the client in; then two chains of handlers share the
/// session, one for each direction, and keep it alive. A healthy exchange is a plain call for each direction, without a
/// coroutine: read, decide, write, wait. What has to wait for something else takes the long way, in a coroutine.
/// The session ends when the direction from the server has ended.
///
///   start_up ──> log_in ──> relay_server  (and relay_client beside it)
///       └─ CancelRequest       └─ an error is held ──> heal, while relay_client waits at the gate
///
/// Born, used and destroyed on one worker's thread.
class client_session : public std::enable_shared_from_this<client_session> {
  public:
    static void start(worker& home, stream connected);

    client_session(worker& home, stream connected);
    ~client_session();
    client_session(client_session const&) = delete;
    client_session& operator=(client_session const&) = delete;

    void drain();     ///< ends after the transaction under way
    /// Ends now, with 57P01 where that can be said.
    void terminate(std::string_view hint = "pgmend is shutting down.");
    [[nodiscard]] session_figures figures() const;
    void breaker_opened(backend::shared_breaker const& which);
    /// Some time has passed; whether the server is silent.
    bool wait_in_silence();
    /// A connection to a replica that has not been used for long ends.
    void leave_idle_replica(base::time_point now);
    void follow_pause(); ///< what the worker says of this database
    [[nodiscard]] bool is_paused() const { return paused_; }
    [[nodiscard]] bool is_replicating() const { return logged_in_ && identity_.replication; }
    [[nodiscard]] bool is_idle() const { return lost_at_ || relay_.idle(); }
    [[nodiscard]] std::string const& database() const { return identity_.database; }
    [[nodiscard]] bool is_logged_in() const { return logged_in_; }
    [[nodiscard]] bool has_server() const { return server_.is_open(); }
    [[nodiscard]] bool has_lost_server() const { return lost_at_.has_value(); } ///< and goes on without
    void look_again(); ///< whether a peer has closed right behind its last bytes

  private:
    enum class login_outcome : std::uint8_t { ready, failed, try_next, elsewhere };

    /// What a client gets that no server serves.
    struct unavailable {
        std::string response; ///< an ErrorResponse
        std::string reason;   ///< for the log
    };
    struct servers_to_try {
        std::vector<std::shared_ptr<backend_server const>> servers;
        unavailable why; ///< where there are none
    };

    /// One heal, from the held error to the answer of its retry.
    struct healing_under_way {
        healing_under_way(session::failed_request failed, healing::session_view view)
            : request{std::move(failed)}, machine{request, std::move(view)} {}

        session::failed_request request;
        session::heal_machine machine;
        healing::plan plan;
        std::string reason;    ///< why not
        bool counted{false}; ///< the refusal is, by its kind
        bool recovered{false}; ///< the server is out of its error state
        bool planned{false};
        bool drifted{false};   ///< the schema has to do with it
        bool is_drift{true};   ///< the error is of that kind; else a row's values may be to blame, and nobody hears of it where not
        std::optional<session::batch> batch; ///< then: what may be split
        bool pipelined{false};               ///< it is one of several that the request executes
        std::vector<std::uint32_t> left_out; ///< of its messages
        std::string nothing;                 ///< what is executed in their place
        std::vector<healing::bound_value> values; ///< what parameters are bound with instead
        std::optional<std::uint32_t> in_place; ///< the message in whose place the good rows of one statement are bound
        std::string notice;    ///< a frame; empty: the usual one
        std::shared_ptr<healing::healed_text const> text; ///< what was sent
        std::optional<session::retry_request> sent; ///< with the verification
        bool schema_asked{false}; ///< the catalog is being read
        bool whole_schema{false}; ///< all of it has to be
        bool unprobed{false};     ///< the session's view is taken to be what it was
        std::string proposed;  ///< the pattern of `plan`, where that waits for approval
        bool may_run_again{false}; ///< what ran before the failed statement
        std::chrono::steady_clock::time_point began{std::chrono::steady_clock::now()};
    };

    static awaitable<> run(std::shared_ptr<client_session> self);

    // client_session.cpp: from the first byte to the first ReadyForQuery
    awaitable<std::optional<session::startup::proceed>> start_up();
    awaitable<bool> log_in(session::startup::proceed wanted);
    awaitable<login_outcome> log_in_at(session::startup::proceed const& wanted, std::string const& secret, bool another_server, login_report& report);
    awaitable<login_outcome> converse(session::login_machine& login, bool another_way, bool another_server, login_report& report);
    void begin_relay(session::login_machine const& login, boost::asio::generic::stream_protocol::endpoint const& endpoint);
    awaitable<bool> read_more(stream& from, std::string& inbox);
    awaitable<bool> read_client_frame(std::string& frame);
    awaitable<> reject(std::string response, std::string_view reason);
    awaitable<> linger();
    void begin_time_limit(std::chrono::milliseconds limit);
    void note_server_wait();
    void log_connected() const;
    void log_rejected(std::string_view reason) const;
    void log_failed(std::string_view reason) const;
    void log_lost() const;
    void close();

    // backend_login.cpp: which server
    awaitable<servers_to_try> servers_for(session::startup::proceed wanted);
    awaitable<bool> take_seat(session::startup::proceed const& wanted);
    static unavailable breaker_refusal(backend_server const& server, wire::severity how = wire::severity::fatal);
    static unavailable role_refusal(backend_server const& server);
    [[nodiscard]] bool is_as_expected(session::login_machine const& login, backend_server const& server) const;
    void note_trouble(session::server_trouble const& trouble);
    void note_lost();
    /// The server does not answer anybody, so nothing more is sent to it.
    [[nodiscard]] bool refusing() const {
        return refusal_ != nullptr || lost_at_ || (place_->state->silent.load(std::memory_order_relaxed) && relay_.idle());
    }
    static awaitable<> refuse(std::shared_ptr<client_session> self, std::string bytes);

    // fallback.cpp: answers from elsewhere while the server is silent, or lost
    struct recording {
        std::string request;
        session::answer_recorder recorder{kept_answers::most_bytes_of_one};
    };
    struct allowed_fallback {
        std::string rule;
        std::chrono::milliseconds stale{0}; ///< 0: no old answer
        bool replica{false};
    };
    void begin_recording(base::byte_view request);
    void record(base::byte_view to_client);
    [[nodiscard]] std::optional<allowed_fallback> fallback_of(base::byte_view request);
    [[nodiscard]] std::string answer_key(base::byte_view request) const;
    awaitable<bool> answer_elsewhere(std::string request);
    void open_server_gate();
    [[nodiscard]] std::string answer_from_memory(base::byte_view request, allowed_fallback const& by);
    [[nodiscard]] bool may_outlive_server() const;
    [[nodiscard]] bool says_goodbye(base::byte_view from_server);
    [[nodiscard]] bool server_is_back() const;
    [[nodiscard]] bool another_may_serve() const;
    static awaitable<> outlive_server(std::shared_ptr<client_session> self);

    // stand_in.cpp: another server, at which the user is let in without a question
    struct stand_in {
        std::shared_ptr<backend_server const> place;
        stream server;
        std::string inbox;
        std::unique_ptr<waiting_room::seat> seat;
        boost::asio::generic::stream_protocol::endpoint endpoint;
        std::unique_ptr<session::login_machine> login;
        std::shared_ptr<connecting> progress;
        std::string reported_since; ///< behind the login: ParameterStatus
        std::string news;           ///< those that the client has to hear

        void give_up();
    };
    struct no_stand_in {
        std::string reason;
        bool for_good{false}; ///< the same would be said a moment later
    };
    awaitable<bool> answer_from_replica(std::string request, allowed_fallback by);
    awaitable<std::unique_ptr<stand_in>> find_stand_in(std::string& reason);
    awaitable<std::unique_ptr<stand_in>> log_in_elsewhere(std::shared_ptr<backend_server const> server, no_stand_in& why);
    awaitable<no_stand_in> log_in_without_client(stand_in& at, login_report& report);
    awaitable<std::size_t> ask_stand_in(stand_in& at, std::string request, std::string ahead);
    void note_replica(std::string const& rule) const;

    // move.cpp: a session that has lost its server goes on at another one
    void begin_memory(session::login_machine const& login);
    [[nodiscard]] std::string why_it_stays() const;
    [[nodiscard]] bool may_move() const { return memory_ && relay_.idle() && memory_->obstacle().empty(); }
    [[nodiscard]] bool heard_since_loss(backend_server const& server) const;
    awaitable<bool> move(std::string request);
    awaitable<std::unique_ptr<stand_in>> find_successor();
    awaitable<std::unique_ptr<stand_in>> try_successor(std::shared_ptr<backend_server const> server, no_stand_in& why);
    void limit_stand_in(timer& limit, std::chrono::milliseconds patience);
    awaitable<bool> restore_at(stand_in& at, no_stand_in& why);
    awaitable<bool> restore_with(session::restore_machine& machine, stand_in& at, no_stand_in& why);
    void adopt(stand_in& successor);
    static awaitable<> watch_parting(std::weak_ptr<client_session> session);

    // at_replica.cpp: transactions that begin read-only, at a replica
    struct replica_reads {
        explicit replica_reads(executor where) : at_gate{where} {}

        std::unique_ptr<stand_in> other; ///< the connection that does not serve now: the replica's, or the primary's while `away`; or null
        cancel_registry::target at_home_cancels;
        session::session_memory::contents at_replica; ///< what the replica has of the session
        session::session_memory::contents at_home;    ///< the primary, while `away`
        std::string isolation;     ///< the primary's default
        std::string begin;         ///< what the transaction was begun with, while nothing else was done there
        std::string held_back;     ///< the client's: behind the request under way
        std::string unnamed;       ///< a Parse: this statement without a name is the client's, and the server that serves does not have it
        bool unnamed_there{false}; ///< while away: the replica has it
        event at_gate;             ///< the server's direction is there
        std::uint64_t readies{0};  ///< of the relay, when the request under way was sent
        std::uint64_t requests{0}; ///< of the memory, at the last return: what came behind it was asked of the primary
        std::uint64_t calls{0};    ///< likewise, when the replica's functions were looked at
        base::time_point looked{};
        base::time_point used{};
        base::time_point not_before{}; ///< so long it is not tried
        std::string reason;        ///< why a transaction stayed at the primary, as it was told last
        bool away{false};
    };
    void begin_replica_reads(wire::startup_packet const& packet);
    [[nodiscard]] bool may_concern_replica(base::byte_view from_client) const;
    static awaitable<> relay_with_replica(std::shared_ptr<client_session> self, std::string bytes);
    struct next_part {
        std::size_t bytes{0};
        bool whole{false}; ///< a request ends with it
    };
    awaitable<next_part> next_at_replica(base::byte_view bytes);
    awaitable<bool> go_to_replica(session::departure how);
    awaitable<bool> stop_server();
    awaitable<std::string> prepare_replica();
    awaitable<std::string> connect_replica(std::shared_ptr<live_settings const> live);
    awaitable<std::string> bring_up_to_date(bool look);
    awaitable<std::string> wait_for_replay(std::string position, std::chrono::milliseconds at_most);
    awaitable<bool> ask_other(std::string question, session::own_answer& answer);
    [[nodiscard]] bool replica_will_do(live_settings const& live);
    void leave_replica();
    void change_places(cancel_registry::target now_served_by);
    void stay_at_primary(std::string reason, std::chrono::milliseconds for_so_long);
    awaitable<bool> begin_at_primary();
    awaitable<bool> begin_there();
    [[nodiscard]] bool answered_at_replica() const;
    static bool after_answer_at_replica(std::shared_ptr<client_session> self);
    static awaitable<> return_to_primary(std::shared_ptr<client_session> self);
    void arrive_at_primary();
    static void resume_client(std::shared_ptr<client_session> self);
    void give_unnamed(base::byte_view from_client);

    // console_session.cpp: instead of a backend
    [[nodiscard]] bool wants_console(session::startup::proceed const& wanted) const;
    awaitable<bool> admit_to_console(session::startup::proceed& wanted);
    awaitable<session::console_answer> ask_console(session::console_command command);
    awaitable<> serve_console();

    // relay.cpp: the steady state
    struct written {
        base::byte_view rest;
        bool ok{true};
    };
    static written write_now(stream& to, base::byte_view bytes);
    void trust_edge();
    static void await_client(std::shared_ptr<client_session> self);
    static void relay_client(std::shared_ptr<client_session> self);
    static awaitable<> relay_client_slowly(std::shared_ptr<client_session> self, std::string pending, std::string left);
    static awaitable<> receive_long_text(std::shared_ptr<client_session> self);
    bool stops_at_gate();
    static void await_server(std::shared_ptr<client_session> self);
    static void relay_server(std::shared_ptr<client_session> self);
    static awaitable<> relay_server_slowly(std::shared_ptr<client_session> self, std::string pending, std::string left);
    static awaitable<> finish(std::shared_ptr<client_session> self);
    awaitable<bool> deliver(std::string bytes);
    awaitable<> say_goodbye();
    [[nodiscard]] std::string_view fate() const;

    // heal.cpp: between a held error and its retry
    awaitable<bool> heal();
    awaitable<bool> go_on_without_premise(session::heal_machine& machine);
    [[nodiscard]] std::shared_ptr<session::prepare_again const> prepared_by_client(session::heal_machine const& machine);
    awaitable<bool> send_as_it_was(session::heal_machine& machine, std::vector<session::heal_machine::prepared_anew> const& anew, bool heals_again);
    void let_client_go_on();
    awaitable<bool> try_heal(healing_under_way& heal);
    awaitable<std::shared_ptr<catalog::history const>> glimpse(session::heal_machine& machine);
    awaitable<bool> plan_and_verify(healing_under_way& heal);
    void take_refusal(healing_under_way& heal, healing::refusal const& refused);
    awaitable<bool> plan_values(healing_under_way& heal, catalog::history const& schema);
    awaitable<std::optional<std::string>> keep_losses(healing_under_way& heal);
    awaitable<std::optional<std::string>> keep_durably(std::vector<state::change> changes);

    // split.cpp: batches of which a rule keeps the good rows
    [[nodiscard]] rules::rule const* batch_rule(session::batch const& of, std::string_view schema) const;
    void look_for_batch(healing_under_way& heal) const;
    awaitable<bool> split(healing_under_way& heal);
    awaitable<bool> try_rows(session::split_machine& machine);
    awaitable<bool> give_up(healing_under_way& heal);
    [[nodiscard]] healing::knowledge knowledge_of(catalog::history const& schema) const;
    /// Sends, and offers each frame that comes to `listener` until it has had enough (true). False: the server is lost.
    using frame_listener = std::function<bool(base::byte_view frame, std::string& to_client)>;
    awaitable<bool> exchange(std::string bytes, frame_listener listener);
    awaitable<bool> exchange_with(stream& server, std::string& carry, std::string bytes, frame_listener listener);
    awaitable<session::heal_machine::step> converse_with(session::heal_machine& machine, std::string bytes);
    void ask_for_schema(healing_under_way& heal);
    awaitable<catalog::schema_answer> schema_asked_for();
    awaitable<catalog::schema_answer> refresh_schema(healing_under_way& heal);
    awaitable<bool> find_view(healing_under_way& heal, catalog::history const* schema);
    awaitable<bool> verify(healing_under_way& heal, catalog::snapshot const& now);
    void log_heal(std::string_view event, healing_under_way const& heal, std::string_view reason) const;
    void note_retry();
    // statement_report.cpp: what is remembered of a drifted statement, for people
    struct happening;
    [[nodiscard]] std::string shown(std::string_view sql) const; ///< for the log, as it is configured
    [[nodiscard]] std::pair<std::string, std::string> shown(healing::healed_text const& text) const; ///< before, after
    void count_refusal(std::optional<healing::refusal_kind> kind) const;
    void remember(happening const& it) const;
    void remember(std::string_view outcome, healing_under_way const& heal, std::string_view reason) const;
    void report(healing::plan const& used, bool success) const;
    void report(healing::refusal const& refused) const;
    // records.cpp: what is remembered of it
    void note_drift(state::drift_outcome outcome, state::drift_row row) const;
    void note_heal(healing::healed_text const& text, bool success, std::string_view sqlstate, std::chrono::microseconds took, int tier) const;

    // ask.cpp: what has to be found out before a statement is sent
    void begin_asking();
    [[nodiscard]] bool may_ask_now() const { return asking_ && relay_.quiet(); }
    static awaitable<> wake_server(std::shared_ptr<client_session> self);
    static awaitable<> ask_and_go_on(std::shared_ptr<client_session> self);
    awaitable<session::advice> ask();
    awaitable<> ask_ahead();
    awaitable<bool> find_out(std::string sql, std::vector<std::uint32_t> types, int& questions_left);
    awaitable<> heal_later_texts(healing_under_way& heal);
    awaitable<bool> inquire(session::statement_check::need const& need, base::byte_view sql, std::vector<std::uint32_t> const& types,
                            std::vector<std::uint32_t> const& types_to_ask_with);
    void note_news();
    void look_after_failure();
    void log_remarks();
    void log_healed(session::answer_note const& note);
    void note_executed(healing::healed_text const& text, unsigned tier);
    [[nodiscard]] std::vector<base::log_field> log_fields(std::string_view fingerprint) const;
    void note_without_heal(session::answer_note const& note, std::string_view sqlstate) const;
    void remember_remark(session::statement_check::remark const& it) const;

    worker& home_;
    std::shared_ptr<live_settings const> settings_;
    stream client_;
    stream server_;
    std::string peer_;
    std::shared_ptr<backend_server const> place_; ///< where server_ leads; null before the login
    std::shared_ptr<connecting> connecting_;      ///< while that is under way
    std::unique_ptr<waiting_room::seat> seat_;    ///< where there are limits
    std::unique_ptr<timer> seat_wait_;            ///< until its turn comes
    unsigned seats_asked_for_{0};
    bool probing_{false};                         ///< for a breaker that is half open
    bool keeps_answers_{false};            ///< rules with `fallback` exist, and the session is as it began
    bool asks_rule_{false};                ///< it has asked what such a rule names
    std::string startup_packet_;           ///< where it does, or may go on at another server
    std::uint32_t startup_version_{0};
    std::unique_ptr<recording> recording_; ///< of the request under way
    std::unique_ptr<session::refusal_machine> refusal_; ///< while the server is silent, and until the request is over
    std::optional<base::time_point> lost_at_; ///< the server has gone, and the session goes on without
    std::string parting_;                     ///< what it said last; empty: nothing
    std::unique_ptr<session::session_memory> memory_; ///< null: the session ends with its server
    std::string stays_because_;               ///< it was tried to move it, in vain
    std::unique_ptr<replica_reads> reads_;    ///< null: transactions do not go to a replica
    std::unique_ptr<stand_in> stand_in_;      ///< while the server is silent or lost
    stand_in* at_stand_in_{nullptr};          ///< it is being asked
    base::time_point no_stand_in_until_{};
    bool abandoned_{false};                   ///< its server is silent, and not waited for: the request in client_carry_ is for another one
    bool at_work_elsewhere_{false};           ///< the client is being told something that its server has not said
    bool server_at_gate_{false};              ///< the server has something to say, and says it after that
    bool client_stopped_{false};              ///< the client's direction has ended as the server took nothing any more
    bool heard_{false};                    ///< something from the server since that was last asked
    bool given_up_{false};                 ///< on a silent server
    unavailable unavailable_;                     ///< what the last server that was tried said, or pgmend of it
    session::session_identity identity_;
    session::relay_machine relay_;
    telemetry::database_figures* traffic_{nullptr}; ///< null until the login
    std::unique_ptr<session::statement_check> check_; ///< null: nothing is healed

    std::string client_carry_; ///< received from the client and not passed on yet: less than a frame
    std::string server_carry_; ///< the same from the server
    event schema_arrived_;
    std::optional<catalog::schema_answer> schema_answer_;
    unsigned schema_asks_{0};              ///< so many times it was asked for
    event kept_arrived_;
    std::optional<base::result<void>> kept_; ///< the store's answer
    unsigned keeps_{0};                      ///< so many times it was asked
    std::optional<session::console_answer> console_answer_;
    std::unique_ptr<healing_under_way> retried_; ///< sent again, outcome not known yet
    std::unique_ptr<timer> time_limit_;
    std::chrono::steady_clock::time_point began_{std::chrono::steady_clock::now()};
    std::chrono::steady_clock::time_point login_began_;
    std::optional<base::time_point> looked_at_; // after an error that could not be held
    std::chrono::microseconds asked_for_{0}; ///< what the next heal of tier 1 has cost so far
    std::chrono::microseconds healed_in_{0}; ///< the same of what was healed and is not executed yet
    std::uint32_t cancel_process_{0};
    std::string cancel_secret_;
    bool healing_{false};         ///< the client's direction waits at the gate
    bool crossing_{false};        ///< likewise, while the session changes its server for a transaction, and while a request is under way at a replica
    bool asking_{false};          ///< the client's direction waits until a text may be sent
    bool client_at_gate_{false};  ///< it has something to do, and does it when the heal is over
    bool paused_{false};          ///< new transactions wait
    bool client_writing_{false};  ///< bytes for the server are waiting to be written
    bool logged_in_{false};
    bool watching_{false};
    bool at_console_{false};      ///< there is no server
    bool console_busy_{false};    ///< a command runs, or its answer is being sent
    bool unsure_{false};          ///< a wait began before the end of the input was seen
    bool draining_{false};
    bool client_ended_{false};    ///< the client has closed its side
    bool said_goodbye_{false};
    bool time_over_{false};
};

} // namespace pgmend::net
