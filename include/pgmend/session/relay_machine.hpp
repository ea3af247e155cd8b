// The steady state of a session: what is forwarded, what is edited or held back, and which message an answer belongs to.
#pragma once

#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/base/bytes.hpp"
#include "pgmend/session/answer_queue.hpp"
#include "pgmend/session/preflight.hpp"
#include "pgmend/telemetry/registry.hpp"
#include "pgmend/wire/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::wire {
struct error_view;
}

namespace pgmend::session {

class session_memory;

/// A request that failed, whose effects are rolled back, and the answer that the client has not seen yet. A request is
/// what one ReadyForQuery ends: a Query, or extended messages up to their Sync.
struct failed_request {
    std::string request;    ///< the client's messages, as the client sent them, from the request's first one to the last one sent
    std::string error;      ///< the ErrorResponse frame
    bool open{false};       ///< the client has not sent its Sync yet: the server discards all it gets until then
    bool guarded{false};    ///< a savepoint of pgmend's lies at the request's beginning, in a transaction block that is aborted now
    std::uint32_t failed{0}; ///< which message failed: so many with answers (all but Flush) come before it
    /// The first message that has to be sent again: Parse, Describe and Close of statements that were answered before it
    /// left nothing behind that a rollback could undo. Equal to `failed` where nothing was executed before.
    std::uint32_t first{0};
    struct edited_message {
        std::uint32_t message{0}; ///< index, as of `failed`
        std::shared_ptr<healed_text const> text;
    };
    std::vector<edited_message> edits; ///< what was sent edited
    bool text_begun{false}; ///< Query: statements of the text before the failed one were answered
    bool opened{false};     ///< the request itself began a transaction block, which is aborted now
    bool whole{true};       ///< false: it has grown too long to be kept, and `request` is a part
    bool too_long{false};   ///< and a rule might have wanted it to be split
    /// The premise of a heal does not hold (any more), or could not be asked about: SQLSTATE. Nothing of the request has been executed, and the error
    /// is not the client's; else empty.
    std::string premise_broken;
    /// The Bind that failed is of a statement which an earlier request prepared, and which should have been prepared from this ahead of it: that failed. Or null.
    std::shared_ptr<prepare_again const> anew;
    /// A statement that an earlier request prepared, and that this one executes ahead of the failure: all it does is to begin a transaction block, as far as is known.
    struct earlier_begin {
        std::string statement; ///< empty: there is none
        std::string sql;
    };
    earlier_begin begins;
    std::string unnamed; ///< the text of the unnamed statement that an earlier request prepared, if labels were renamed by then; empty: not known
    /// The client has had the answers to so many of its messages already, and the first effect among them; 0: to none that matters. Only where
    /// a batch may be split.
    std::uint32_t passed_on{0};
};

/// An error of the server's that may tell of its health.
struct server_trouble {
    std::string code;
    std::string routine;
    bool nested{false}; ///< raised inside a function, or the like
    bool idle{false};   ///< no request was under way
};

/// An edited statement that was executed.
struct executed_text {
    std::shared_ptr<healed_text const> text;
    bool after_failure{false}; ///< in the retry of a request, which had failed
};

/// A statement that failed, and of which that was to be expected.
struct refused_text {
    std::shared_ptr<answer_note const> note; ///< it has a refusal
    std::string sqlstate;
};

/// A request sent again.
struct retry_request {
    std::string bytes;
    std::vector<expected_answer> answers; ///< to all of its messages, in order
    std::uint32_t first{0};               ///< index, in the request, of the first of the client's messages among them
    std::uint32_t decisive{0};            ///< once this message of the request is answered, the retry has succeeded
    std::optional<std::uint32_t> edited;  ///< index of the Parse that has another text now
    std::vector<failed_request::edited_message> edited_also; ///< others
    bool whole_text{false};               ///< several statements in the text: only its end tells
    bool as_it_was{false};                ///< not edited: whatever is answered is the client's answer
    bool heals_again{false};              ///< likewise, but where it fails it may be healed
    std::shared_ptr<healed_text const> text; ///< null where as_it_was
};

/// Decides, frame by frame, about the bytes between a client and its server.
///
///   relaying ──ErrorResponse that may be healed──> holding ──(driver plans and verifies)──┐
///      ^  ^ │                                       ^  └──────release_error()──────┐      │
///      │  │ └──text of which nothing is known──> asking ──answer()──┐              │      │
///      │  └─────────────────────────────────────────│───────────────┴──────────────┘ begin_retry()
///      └──decisive answer──  retrying <─────────────│─────────────────────────────────────┘
///                            ├──the same kind of error: the schema has moved on again, a few times
///                            └──another refusal of the text: the first error goes to the client ──> relaying
///
/// An error may be healed only where nothing of the request is left: outside a transaction block, or behind a savepoint of
/// pgmend's; in the last request under way; with no answer passed on but those of Parse, Describe and Close of
/// statements; raised for the client's own statement (no internal query, no context). Everything else passes.
///
/// Where a rule wants batches to be split, an error about values is held also behind answers that were passed on, and in a request that goes on: then
/// until the client's Sync, unless it has asked for answers by a Flush. All of the batch is in sight by then.
///
/// Whole small frames are forwarded together as one range of the input; frames too long to wait for are streamed.
/// So the client is at a frame's boundary whenever the server is lost, unless the frame was a streamed one. Only where a
/// text is edited, or a savepoint goes ahead of it, the rest of the input is copied, so that it stays one write.
///
/// Owned by a session, used by its worker's thread only. Fast path: one header look-up and one queue entry a frame and, for
/// the request, one copy into a buffer that is used again (to be able to send it a second time).
class relay_machine {
  public:
    struct settings {
        bool heals{false};
        std::uint32_t most_request_bytes{65536}; ///< longer requests are relayed but cannot be healed
        std::uint32_t most_batch_bytes{1U << 20}; ///< those that a rule may want to be split: longer ones are not
    };

    /// What to do with the bytes offered. `forward` points into them, or into the machine until its next call.
    /// Offer the rest again: at once where `again` says so, else with more behind it.
    struct outcome {
        std::size_t consumed{0};
        base::byte_view forward;
        bool again{false};
    };

    /// A text that the driver shall find out about. Views point into the machine until answer().
    struct question {
        base::byte_view sql;
        std::vector<std::uint32_t> parameter_types; ///< as declared
        /// What PostgreSQL is told of them where it is asked: parameters that are not in `sql`, since that is abridged, have to have a type.
        std::vector<std::uint32_t> types_to_ask_with;
        bool parse{false}; ///< else Query
    };

    /// Incomplete frames of up to this size are waited for, so a caller's buffer must hold more than this.
    static constexpr std::size_t most_waited_for_bytes = 65536;

    explicit relay_machine(settings own) : settings_{own} {}

    /// `first_look` (may be null) must outlive this.
    void configure(settings own, preflight* first_look = nullptr) {
        settings_ = own;
        preflight_ = first_look;
    }

    /// What is told of each message, in order; null: nothing. Must outlive this.
    void remember_in(session_memory* memory) { memory_ = memory; }

    /// Where statements are counted. Until then nowhere.
    void measure(telemetry::meter where) { meter_ = where; }
    /// Before on_client and on_server, where durations shall be right: microseconds of a steady clock.
    void set_now(std::uint64_t now_us) { meter_.now_us = now_us; }

    [[nodiscard]] outcome on_client(base::byte_view bytes);
    [[nodiscard]] outcome on_server(base::byte_view bytes);

    // ---- a transaction at another server

    /// Requests that were answered, to their ReadyForQuery.
    [[nodiscard]] std::uint64_t readies() const { return readies_; }
    /// As idle(), but that a transaction block may be open, and a message that block() has dropped may go on.
    [[nodiscard]] bool between_requests() const;
    /// Bytes of the client's message that is being streamed, still to come.
    [[nodiscard]] std::uint64_t client_remaining() const { return client_remaining_; }
    /// Of the messages that are offered next, the one behind so many is not sent. It fails, with `error` (a frame), and so does its transaction.
    void block(std::size_t behind, std::string error);
    /// A Parse of pgmend's own that goes ahead of the next Bind or Describe, in the same request.
    void prepare_ahead(std::string parse) { prepare_ahead_ = std::move(parse); }

    // ---- tier 1: before it fails

    /// After on_client: a text waits, and everything behind it. Until answer() on_client() may not be called.
    [[nodiscard]] bool asking() const { return asking_; }
    [[nodiscard]] question const& asked() const { return question_; }
    /// Nothing is on its way, so messages of the driver's own may be exchanged with the server. Where not, and the request
    /// is open, a Flush makes the server answer.
    [[nodiscard]] bool quiet() const { return queue_.empty() && server_remaining_ == 0 && mode_ == mode::relaying; }
    /// Extended messages were sent, and no Sync behind them.
    [[nodiscard]] bool open() const { return open_; }
    /// The server passes over everything until the client's Sync.
    [[nodiscard]] bool discarding() const { return discarding_; }
    /// Likewise, or pgmend does, since the server's error state has ended already.
    [[nodiscard]] bool passes_over() const { return discarding_ || skip_to_sync_; }
    void answer(advice given);

    // ---- tier 2: after it failed

    /// After on_server: an error is held, and the session shall decide. Until release_error() or begin_retry() neither
    /// on_client() nor on_server() may be called.
    [[nodiscard]] bool holding() const { return mode_ == mode::holding; }
    [[nodiscard]] failed_request const& held() const { return held_; }

    /// An error is held, or about to be, or a premise is asked about: what the client sends next has to wait.
    [[nodiscard]] bool client_must_wait() const { return mode_ == mode::holding || ((mode_ == mode::absorbing || premise_pending_) && !open_); }
    /// The answer about a premise is still to come. Then the client can be listened to, but nothing be done.
    [[nodiscard]] bool premise_pending() const { return premise_pending_; }

    /// A premise holds since the last call: what waited for that can go on. Answers true once.
    [[nodiscard]] bool take_premise_answered() { return std::exchange(premise_answered_, false); }

    /// The client gets the server's error after all. What to send it: until the next call. `recovered`: a Sync of
    /// pgmend's own has ended the server's error state although the client's request is still open; then what the
    /// client sends before its Sync is discarded, as the server would have.
    [[nodiscard]] base::byte_view release_error(bool recovered);

    /// The request has been sent again. `notice` (a frame, or empty) goes to the client ahead of a successful answer. What to
    /// send to the client at once (messages that are for it whatever becomes of the retry): until the next call.
    [[nodiscard]] base::byte_view begin_retry(retry_request const& again, std::string notice);
    /// The retry has succeeded since begin_retry(). Answers true once.
    [[nodiscard]] bool take_healed();
    /// The retry has failed, the first error is on its way to the client. Answers true once.
    [[nodiscard]] bool take_retry_failed();
    /// It failed for what the role may do: that says nothing of the heal.
    [[nodiscard]] bool retry_was_denied() const { return retry_denied_; }
    [[nodiscard]] bool retrying() const { return mode_ == mode::retrying; }

    /// Texts edited before they were sent that the server has accepted since the last call. Those of a Parse were not executed by that.
    [[nodiscard]] std::vector<std::shared_ptr<answer_note const>> take_answered() { return std::exchange(answered_notes_, {}); }

    /// Edited statements that were executed since the last call, each as often as it was: those that take_answered() tells of, too, but not
    /// a Query that take_healed() tells of.
    [[nodiscard]] std::vector<executed_text> take_executed() { return std::exchange(executed_, {}); }

    /// Texts known to have no heal, whose own errors the client got since the last call, without having been held.
    [[nodiscard]] std::vector<refused_text> take_refused() { return std::exchange(refused_, {}); }

    // ---- the session

    /// Since the last call one of those below, or a parameter, has news. Answers true once.
    [[nodiscard]] bool take_news() { return std::exchange(news_, false); }
    /// Since the last call a statement that changes the schema may have been committed.
    [[nodiscard]] bool take_schema_changed() { return std::exchange(schema_changed_, false); }
    /// Likewise an error that could not be held, and may be drift, has been passed on.
    [[nodiscard]] bool take_drift_passed() { return std::exchange(drift_passed_, false); }
    /// Something was executed in the request that is open: a Sync of pgmend's own would commit it.
    [[nodiscard]] bool has_effects() const { return first_effect_ != nothing; }
    /// The last error since the last call that may tell of the server's health.
    [[nodiscard]] std::optional<server_trouble> take_trouble() { return std::exchange(trouble_, std::nullopt); }
    /// Where requests that were answered are counted, from now on.
    void count_in(backend::tally& where) { tally_ = &where; }
    /// A request is under way that might commit something, or part of one.
    [[nodiscard]] bool busy() const { return !queue_.empty() || open_ || client_remaining_ != 0; }
    /// Nothing under way, outside a transaction block, nothing half sent.
    [[nodiscard]] bool idle() const;
    /// 'I', 'T' or 'E' as in the last ReadyForQuery.
    [[nodiscard]] char transaction_status() const { return status_; }
    /// Whether an ErrorResponse of pgmend's own can be put in behind what was forwarded to the client.
    [[nodiscard]] bool client_at_boundary() const { return server_remaining_ == 0; }
    [[nodiscard]] bool terminated() const { return terminated_; } ///< the client has sent Terminate
    [[nodiscard]] bool server_said_goodbye() const { return server_fatal_; } ///< a FATAL or PANIC was forwarded
    /// The server sent what is no protocol 3. The session has to end.
    [[nodiscard]] bool server_broken() const { return server_broken_; }

    /// What ParameterStatus says.
    [[nodiscard]] std::string const& client_encoding() const { return client_encoding_; }
    [[nodiscard]] bool standard_conforming_strings() const { return standard_conforming_strings_; }
    [[nodiscard]] std::string const& application_name() const { return application_name_; }
    void set_parameter(base::byte_view name, base::byte_view value);

  private:
    enum class mode : std::uint8_t { relaying, absorbing, holding, retrying, retry_outdated, retry_failed };
    static constexpr std::uint32_t nothing = 0xffffffff;
    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

    // relay_client.cpp
    void begin_request();
    void begin_client_frame(wire::frame_header const& header, std::shared_ptr<answer_note const> note);
    void retain(base::byte_view bytes);
    void note_end_of_long_text();
    void note_unnamed(base::byte_view parse, bool whole);
    [[nodiscard]] std::optional<advice> look(wire::frame_header const& header, base::byte_view body, company around);
    [[nodiscard]] advice look_at_beginning(wire::frame_header const& header, base::byte_view body);
    [[nodiscard]] bool ask(wire::frame_header const& header, base::byte_view body);
    [[nodiscard]] bool only_counts_on() const;
    [[nodiscard]] bool waits_for_long(wire::frame_header const& header, base::byte_view beginning) const;
    [[nodiscard]] std::optional<advice> look_at_long(wire::frame_header const& header, base::byte_view body);
    [[nodiscard]] advice take_answer(wire::frame_header const& header, base::byte_view body, company around);
    void put_ahead(advice const& given);
    [[nodiscard]] bool may_bind_old_label(base::byte_view request) const;
    void prepare_anew(base::byte_view bind, std::shared_ptr<prepare_again const> what);
    void append_edited(wire::frame_header const& header, base::byte_view body, answer_note const& note);
    void ask_of_premises();
    void append_as_extended(healed_text const& text);

    // relay_server.cpp
    [[nodiscard]] bool may_hold(wire::error_view const& fields) const;
    [[nodiscard]] bool may_be_of_a_batch(wire::error_view const& fields) const;
    [[nodiscard]] bool advance(char type);
    [[nodiscard]] failed_request::earlier_begin find_begin() const;
    void hold(base::byte_view frame, base::byte_view prefix, bool may_go_on, std::uint32_t passed_on);
    void fail_request();
    void note_trouble(wire::error_view const& fields);
    void on_ready(char status);
    void note_success();
    void note_executed(std::shared_ptr<healed_text const> const& text);
    void note_finished(base::byte_view tag);
    [[nodiscard]] bool is_too_long_a_batch(wire::error_view const& fields) const;
    [[nodiscard]] base::byte_view error_for_client(base::byte_view frame, base::byte_view body);
    [[nodiscard]] healed_text const* text_of_failed() const;
    [[nodiscard]] bool notice_is_due(char type) const;
    void note_parameter(base::byte_view body);
    [[nodiscard]] outcome on_server_absorbing(base::byte_view frame, wire::frame_header const& header);
    [[nodiscard]] std::optional<outcome> on_premise(base::byte_view bytes);
    [[nodiscard]] base::byte_view end_of_premise();
    [[nodiscard]] outcome fail_premise(base::byte_view error, std::size_t consumed);

    // relay_retry.cpp
    [[nodiscard]] outcome on_server_retrying(base::byte_view bytes);
    [[nodiscard]] outcome on_retry_error(base::byte_view frame, wire::error_view const& fields);
    [[nodiscard]] outcome broken();
    [[nodiscard]] outcome on_failed_retry(base::byte_view frame, wire::frame_header const& header);
    void retry_succeeded();
    void end_retry();

    settings settings_;
    telemetry::meter meter_;
    std::uint64_t finished_us_{0};          // when the newest statement was completed
    std::uint64_t transaction_began_us_{0}; // 0: none is under way
    std::uint64_t held_began_us_{0};        // the message whose error is held
    preflight* preflight_{nullptr};
    backend::tally* tally_{nullptr};
    session_memory* memory_{nullptr};
    std::optional<server_trouble> trouble_;
    mode mode_{mode::relaying};

    // What the client has sent.
    answer_queue queue_;
    std::string request_;               // bytes of the newest request, as far as they are kept
    std::uint64_t client_remaining_{0}; // bytes of a streamed frame still to come
    bool open_{false};                  // extended messages sent since the last Sync
    bool request_kept_{true};           // request_ is all of it
    bool request_splits_{false};        // a rule may want it to be split
    bool request_too_long_{false};      // and so is not kept
    bool long_text_{false};             // a Query of that kind is being streamed behind a savepoint
    std::uint32_t request_messages_{0}; // of it, with answers
    std::uint32_t holds_{0};            // so often an error of it was held
    std::vector<failed_request::edited_message> request_edits_;
    bool request_guarded_{false};       // a savepoint of pgmend's was put at its beginning
    bool never_hold_{false};            // its errors are the client's: it was sent again as it was
    bool discarding_{false};            // an error came before its Sync was sent
    bool flushed_{false};               // the client waits for answers ahead of the newest request's Sync
    bool copy_in_{false};               // the server takes copy data and ignores Flush and Sync
    bool skip_to_sync_{false};          // what comes before the client's Sync does not reach the server
    bool client_raw_{false};            // not protocol 3: the server shall say so itself
    bool terminated_{false};
    bool savepoint_set_{false};         // one of pgmend's is there, if the last request has succeeded
    bool asking_{false};
    std::vector<std::shared_ptr<healed_text const>> premises_due_; // asked about behind the next Bind
    advice::premise_type premise_how_{advice::premise_type::none};
    bool premise_pending_{false};       // its answers come next; client_must_wait()
    bool premise_answered_{false};
    std::size_t premise_seen_{0};       // so many frames of the answers to it, and ahead of it
    bool as_extended_{false};           // the oldest request is a Query that was sent as extended messages
    std::optional<advice> answer_;      // to the text that comes next
    question question_;
    std::string asked_sql_;
    std::uint64_t readies_{0};
    std::string prepare_ahead_;         // own Parse frame
    std::shared_ptr<answer_note const> block_; // for a message that shall fail
    std::size_t block_behind_{0};       // so many others
    bool dropping_{false};              // what is still to come of it
    std::uint64_t token_{0};            // of the guarded text under way
    std::string unnamed_;               // the text of the unnamed statement; empty: not known
    bool unnamed_is_new_{false};        // by a request that is not answered yet

    // What the server has sent.
    std::uint64_t server_remaining_{0};
    std::uint32_t answered_{0};         // messages of the request that are answered, of the one being answered
    std::uint32_t first_effect_{nothing}; // the first of them that a rollback undoes
    bool effect_passed_on_{false};      // an answer of such a one has reached the client
    bool part_passed_on_{false};        // half of an answer to Describe has reached the client
    bool failed_{false};                // the request had an error
    bool server_fatal_{false};
    bool server_broken_{false};
    bool ddl_seen_{false};              // in this transaction
    bool schema_changed_{false};
    bool drift_passed_{false};
    bool news_{false};
    char status_{'I'};

    failed_request held_;
    std::string held_shown_;            // the error as the client gets it, if it does
    std::string held_prefix_;           // answers that came right ahead of the held error
    std::string held_complete_;         // of a Query sent as extended messages: CommandComplete, which comes ahead of the commit there
    std::string held_tail_;             // what came between the held error and its ReadyForQuery, with it
    std::string out_;

    retry_request retry_;               // without its bytes
    std::string retry_answers_;         // held until the retry has succeeded
    std::uint32_t tries_{0};            // how often the held request was sent again
    std::shared_ptr<healed_text const> retried_text_; // until the end of its request
    bool healed_{false};
    bool retry_failed_{false};
    bool retry_denied_{false};
    std::vector<std::shared_ptr<answer_note const>> answered_notes_;
    std::vector<executed_text> executed_;
    std::vector<refused_text> refused_;
    std::shared_ptr<healed_text const> answered_text_; // of the statement parsed or bound last, if it was sent edited
    std::uint32_t bound_{0};            // so often was it bound and not executed yet
    std::shared_ptr<answer_note const> counted_; // the last one among them, until the end of its request
    std::shared_ptr<answer_note const> noticed_; // whose notice the client has got, likewise

    std::string client_encoding_{"UTF8"};
    std::string application_name_;
    bool standard_conforming_strings_{true};
};

/// Those messages of a request that have answers, in order.
[[nodiscard]] std::vector<base::byte_view> messages_of(base::byte_view request);

/// The message with this number among those of a request that have answers. Empty where there is none.
[[nodiscard]] base::byte_view message_at(base::byte_view request, std::uint32_t index);

/// A WARNING that a batch fails as a whole, although a rule wants it to be split.
[[nodiscard]] std::string too_long_warning(std::size_t most_bytes);

/// Whether an error of this kind may be one that a heal can answer. PostgreSQL must have raised it for the client's own text:
/// from inside a function or trigger it is not the client's statement, and things may have happened.
[[nodiscard]] bool is_drift(wire::error_view const& fields);

/// The role may not do what the text says (42501 of aclcheck_error and its kin). Row-level security refuses rows, not texts: that is none.
[[nodiscard]] bool is_denial(wire::error_view const& fields);

/// Among those: the value of a parameter is no label of its enum. Its text has nothing to do with that, healed or not.
[[nodiscard]] bool is_of_parameter(wire::error_view const& fields);

/// Among those: a value that does not fit the schema. An application may well expect that, whatever its text is called.
[[nodiscard]] bool is_of_the_values(wire::error_view const& fields);

} // namespace pgmend::session
