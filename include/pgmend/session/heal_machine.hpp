// The conversation with the server between a held error and the retry.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/healing/bound_labels.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/session/session_probe.hpp"
#include "pgmend/session/verification.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// Finds out, in the client's own session, what a plan depends on, and whether PostgreSQL accepts the plan there.
///
///   begin() ──probe──> probed ──(driver: question(), judge)──> verify(plan) ──> verified ──> retry()
///                        └─────────────────────── refused (reason()) <──┘
///                                                   ├──abort_again()──> aborted: the client gets its error
///                                                   └──as_it_was()
///
/// Behind a savepoint of pgmend's the transaction block is rolled back to it first; where there is no heal it is aborted
/// again, so that the client finds it as it would be without pgmend. Nothing is executed but the probe, and the client's own
/// statements, the unnamed one too, stay as they are. Each step ends with a Sync. The driver feeds whole frames from the
/// server.
///
/// Lives as long as one heal. Not on a fast path.
class heal_machine {
  public:
    enum class step : std::uint8_t { need_more, probed, verified, refused, aborted };

    /// `request` must outlive this. `view`: what ParameterStatus has told of the session.
    heal_machine(failed_request const& request, healing::session_view view);

    /// Whether this request can be healed at all; otherwise reason() says why not.
    [[nodiscard]] bool possible() const { return possible_; }

    /// The same, where the request may be a batch of which some rows are left out: then it is nothing that a statement was prepared by an earlier request,
    /// that the request began a transaction block, or that the client has had some of the answers.
    [[nodiscard]] bool possible_for_rows() const { return !refused_; }

    /// What to send first. Afterwards the server is out of the error state, whatever happens next, and out of the block that the request began.
    /// `for_rows`: as of possible_for_rows().
    [[nodiscard]] std::string begin(bool for_rows = false);

    /// Whether begin() may be left out where the view of the session is known: the server is in no error state, and its answer would tell nothing else.
    [[nodiscard]] bool needs_no_probe() const { return possible_ && !request_.open && !request_.guarded && !begun_block() && parse_ != earlier; }
    void know(healing::session_view view) { probe_ = session_probe{std::move(view)}; }

    /// One whole frame from the server. Asynchronous frames that the client shall get (ParameterStatus,
    /// NotificationResponse) are appended to `to_client`.
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_client);

    /// After probed. Views point into this and into the request. `who` is for the caller to fill.
    [[nodiscard]] healing::question question() const;
    [[nodiscard]] healing::session_view const& view() const { return probe_.view(); }
    /// The statements that ran before the failed one, in this request, and were rolled back: they would run again.
    [[nodiscard]] std::vector<base::byte_view> const& repeated() const { return repeated_; }
    /// Of one of those: it is what failed, when it was executed, and ahead of that failure nothing but event triggers can have done anything.
    [[nodiscard]] bool ran_triggers_only(base::byte_view text) const;
    /// What began the transaction block that begin() has left; empty: none was left. It is among repeated(), and begins the block again.
    [[nodiscard]] base::byte_view block() const { return block_; }

    /// What to send to have the plan checked.
    [[nodiscard]] std::string verify(healing::plan plan);

    /// Whether the retry may go with the question: of one statement that is executed once, what PostgreSQL does not accept it passes over with all that follows;
    /// and where it would answer in another shape, nothing has happened, as it only reads. Otherwise such an answer would come too late.
    [[nodiscard]] bool may_retry_at_once(healing::plan const& plan, catalog::snapshot const& now) const;
    /// verify() and retry() in one: `again`, without its bytes being sent once more, is for after verified.
    [[nodiscard]] std::string verify_and_retry(healing::plan plan, retry_request& again);
    /// After that was refused: ends what is left of the retry. Leads to refused again, with the same reason.
    [[nodiscard]] std::string end_of_retry(retry_request const& again);

    /// A text that comes behind the failed one in the same request.
    struct later_text {
        std::uint32_t message{0};
        base::byte_view statement; ///< its name
        base::byte_view sql;
        std::vector<std::uint32_t> types; ///< of its parameters, as declared
    };
    [[nodiscard]] std::vector<later_text> later_texts() const;
    /// retry() sends the text of this message edited, too.
    void edit_also(std::uint32_t message, std::shared_ptr<answer_note const> note) { also_.push_back({message, std::move(note)}); }
    /// After verified: the client's request again, edited.
    [[nodiscard]] retry_request retry();
    /// What a statement is to be prepared from, ahead of the request.
    struct prepared_anew {
        base::byte_view statement; ///< its name, in the request
        std::shared_ptr<prepare_again const> from;
    };
    /// The client's request again, as it was: for a failure of what had been sent edited.
    [[nodiscard]] retry_request as_it_was(std::vector<prepared_anew> const& anew = {});
    /// After probed: the client's request again; in the place of each Bind among `left_out` (message numbers, ascending) one of `nothing`, a text that
    /// stores no row. `plan` is for the reports.
    [[nodiscard]] retry_request retry_without(healing::plan plan, std::vector<std::uint32_t> left_out, base::byte_view nothing);
    /// After verified: the client's request again; in the place of its Bind `bind` one of the plan's text, with the same parameters. What the client has
    /// prepared stays what it is.
    [[nodiscard]] retry_request retry_in_place(std::uint32_t bind);
    /// The error is about the value of a parameter, which is no label of its enum: the text has nothing to do with it.
    [[nodiscard]] bool is_of_parameter() const;
    /// After probed, and instead of verify(): has the server say what types the parameters have. Leads to probed again.
    [[nodiscard]] std::string describe();
    /// After described: what the text is bound with in this request.
    [[nodiscard]] std::vector<healing::bound_value> bound_values() const;
    /// After described: the client's request again, with other values. What the client has prepared stays what it is.
    [[nodiscard]] retry_request retry_with(healing::plan plan, std::vector<healing::bound_value> values);
    /// Puts a transaction block that was rolled back into its aborted state again.
    [[nodiscard]] std::string abort_again();
    /// The failed text had been sent edited: the error is not that of the client's own text.
    [[nodiscard]] bool edited() const { return edited_text() != nullptr; }
    [[nodiscard]] healed_text const* edited_text() const; ///< what was sent; null: what the client wrote
    [[nodiscard]] bool must_abort_again() const { return (request_.guarded || left_block_) && begun_ && !aborted_; }

    [[nodiscard]] std::string const& reason() const { return reason_; }
    /// After a refused verification: the schema has moved on since the catalog was read, and another plan may be verified.
    [[nodiscard]] bool outdated() const { return outdated_; }
    [[nodiscard]] base::byte_view sql() const { return sql_; } ///< the text before the edits
    [[nodiscard]] std::uint32_t text_message() const { return parse_; } ///< which message of the request has it; none, where an earlier one had
    /// The name that the text was prepared under; nothing: it came in a Query.
    [[nodiscard]] std::optional<base::byte_view> statement() const;
    [[nodiscard]] base::byte_view sqlstate() const { return error_.code; }
    [[nodiscard]] wire::error_view const& error() const { return error_; } ///< views into the request
    [[nodiscard]] std::vector<std::uint32_t> const& parameter_types() const { return parameter_types_; }
    [[nodiscard]] bool in_transaction() const { return request_.guarded; }

  private:
    enum class phase : std::uint8_t { probing, describing, verifying, ending, aborting };
    static constexpr std::uint32_t earlier = 0xffffffff; ///< prepared by an earlier request

    void read_request();
    void read_parse(std::uint32_t index);
    void find_statement(base::byte_view name);
    void find_portal(base::byte_view name);
    [[nodiscard]] base::byte_view sent_text() const;
    [[nodiscard]] std::vector<std::uint32_t> const& sent_types() const;
    void find_repeated();
    [[nodiscard]] std::optional<std::uint32_t> unnamed_ahead() const;
    [[nodiscard]] std::optional<base::byte_view> begun_block() const;
    [[nodiscard]] base::byte_view message(std::uint32_t index) const { return index < messages_.size() ? messages_[index] : base::byte_view{}; }
    void append_bind_instead(std::string& out, base::byte_view bind) const;
    [[nodiscard]] std::optional<std::string> with_other_values(base::byte_view bind) const;
    void append_message(std::string& out, std::uint32_t index, base::byte_view sql, std::vector<std::uint32_t> const& types) const;
    step end_of_phase();
    void refuse(std::string reason);
    void begin_transaction_again(std::string& out, std::vector<expected_answer>& answers);
    [[nodiscard]] std::optional<std::uint32_t> text_of_bind(std::uint32_t index) const;
    [[nodiscard]] bool binds_the_text(std::uint32_t index) const { return text_of_bind(index) == parse_; }
    [[nodiscard]] std::shared_ptr<answer_note const> edited_also(std::uint32_t message) const;
    void ask_of_premises(retry_request& again, answer_note const& note) const;
    [[nodiscard]] retry_request build(base::byte_view sql, std::vector<std::uint32_t> const& types, bool prepare_again,
                                      std::shared_ptr<answer_note const> const& note = nullptr);

    failed_request const& request_;
    std::vector<base::byte_view> messages_; // of the request
    wire::error_view error_; // views into the request's error
    session_probe probe_;
    std::optional<verification> verification_;
    phase phase_{phase::probing};
    std::uint32_t ready_pending_{0}; // so many more ReadyForQuery end the phase
    std::size_t closes_pending_{0};  // so many more CloseComplete end a verification that a retry follows
    bool possible_{false};
    bool refused_{false};
    bool begun_{false};
    bool aborted_{false};
    bool outdated_{false};
    bool ahead_{false};                 // the retry goes with the verification
    bool passed_over_{false};           // by the server, as it refused the text
    bool left_block_{false};            // the one that the request began
    base::byte_view block_;             // by this text
    bool repeats_earlier_{false};       // a statement of an earlier request would have to run again
    bool repeats_itself_{false};        // the failed one was prepared by an earlier request, and bound in this one
    bool did_something_{false};         // and executed, ahead of the failure
    bool for_rows_{false};
    bool as_it_was_{false};             // nothing of the request is edited any more
    std::vector<std::uint32_t> left_out_;
    std::string instead_;               // what is bound in their place
    std::vector<std::uint32_t> instead_types_;
    bool with_parameters_{false};       // with theirs
    std::vector<std::uint32_t> described_types_; // of the text's parameters
    std::vector<healing::bound_value> other_values_;
    std::vector<std::pair<std::uint32_t, std::shared_ptr<answer_note const>>> also_; // edited in the retry, by message
    std::string reason_;

    std::uint32_t parse_{earlier};      // index of the message that has the failed text
    std::uint32_t bind_{earlier};       // of the Bind of the portal whose Execute or Describe failed
    std::string sql_;
    std::string statement_name_;
    std::vector<std::uint32_t> parameter_types_;
    std::vector<base::byte_view> repeated_;
    std::optional<healing::plan> plan_;
};

} // namespace pgmend::session
