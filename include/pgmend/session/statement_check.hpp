// Tier 1 of one session: what is known of a text before it is sent, under what names mean in this session.
#pragma once

#include "pgmend/session/database_judge.hpp"
#include "pgmend/session/preflight.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgmend::session {

/// Follows what may change the meaning of names (SET, temporary tables, …) and says of each text: pass, edit, ask or block.
///
/// What a session's names mean is asked of the server only when a text needs it, and remembered until something may have
/// changed it. A text that surely fits passes on the usual view of the user: that can do no harm, since it is sent as it is. A heal
/// is used only under the view that the server has told of this very session, only once PostgreSQL has accepted it, and only
/// while it refuses the original: that is asked with each write, and for reads from time to time. Where only names of columns and relations
/// have changed, and nothing else is under way, the question travels with the statement (healing/premise.hpp); else it goes ahead of it.
///
/// Owned by a session, on its worker's thread.
class statement_check final : public preflight {
  public:
    struct identity {
        std::string database;
        std::string user;
    };
    /// `now`: the time of day, for rules that expire; `clock` goes on steadily.
    statement_check(std::shared_ptr<database_judge> judge, identity who, std::function<std::chrono::sys_seconds()> now,
                    std::function<base::time_point()> clock)
        : judge_{std::move(judge)}, who_{std::move(who)}, now_{std::move(now)}, clock_{std::move(clock)} {}

    [[nodiscard]] bool active(bool in_transaction) override;
    void request_begins() override;
    [[nodiscard]] advice look(base::byte_view sql, base::byte_view const* statement, std::span<std::uint32_t const> types,
                              bool in_transaction, company around) override;
    [[nodiscard]] coming look_ahead(message_ahead const& first, std::span<message_ahead const> later) override;
    [[nodiscard]] advice::premise_type ask_of_premise() override { return std::exchange(premise_there_, true) ? advice::premise_type::asked : advice::premise_type::prepared_and_asked; }
    void prepared_unseen(base::byte_view sql, base::byte_view statement) override;
    void closed(base::byte_view statement) override;
    [[nodiscard]] advice look_at_bind(base::byte_view statement, bool in_transaction, company around) override;
    [[nodiscard]] base::byte_view begins(base::byte_view statement) const override;
    [[nodiscard]] bool has_old_labels() const override;
    [[nodiscard]] bool may_have_old_label(base::byte_view bind) const override;
    void goes_on(advice& given, base::byte_view sql, bool query) override;
    void lengthened(base::byte_view statement, std::shared_ptr<answer_note const> note) override;
    [[nodiscard]] bool waits_for_long_text(base::byte_view beginning, bool enough) override;
    void passed_unseen() override;
    [[nodiscard]] advice look_at_beginning(base::byte_view sql, base::byte_view const* statement, bool in_transaction) override;
    void worked(std::uint64_t token) override { judge_->note_worked(token); }
    [[nodiscard]] bool splits_batches() const override { return judge_->rules().has_batches(); }
    void settled(char transaction_status) override;

    /// What the driver has to find out before a text can be sent.
    struct need {
        std::optional<advice> given; ///< nothing: the text may be sent like this
        bool probe{false};           ///< what names mean in the session
        std::shared_ptr<healing::healed_text const> verify;  ///< whether PostgreSQL accepts this; or null
        std::shared_ptr<healing::healed_text const> confirm; ///< whether it still refuses the original of this; or null
    };
    /// A text that `look` said `ask` of. `confirmed`: it was just now seen to be refused in this session.
    [[nodiscard]] need consider(base::byte_view sql, std::vector<catalog::oid> const& types, bool confirmed);
    /// The same of one that comes later in the request which is held back at the text that was asked about: nothing, or what is still to be found out so that
    /// `look` need not say `ask` of it.
    [[nodiscard]] std::optional<need> consider_ahead(base::byte_view sql, std::vector<catalog::oid> const& types, bool confirmed);
    /// Where nothing can be found out: it is sent as it is.
    [[nodiscard]] advice pass(base::byte_view sql);
    /// What a probe has told.
    void learn(healing::session_view view);
    /// What the server has last told of the session, where nothing was sent since that may have changed it, and nothing up to `schema` has changed the schemas on
    /// its path. Null: it has to be asked.
    [[nodiscard]] healing::session_view const* known_view(catalog::history const& schema) const;
    [[nodiscard]] bool knows_view() const { return view_.has_value() && !unsettled_; }
    /// What the verification of `consider`'s text has told. A reason where it was refused.
    void verified(base::byte_view sql, std::vector<catalog::oid> const& types, std::optional<std::string> refused);
    /// PostgreSQL still refuses the original of `consider`'s text, with this SQLSTATE.
    void confirmed(base::byte_view sql, std::vector<catalog::oid> const& types, base::byte_view sqlstate);

    /// A premise that was asked about does not hold, or could not be asked about. These are the frames of its request, which is sent again as the client wrote it.
    void premise_broken(base::byte_view sqlstate, std::span<base::byte_view const> request);
    /// A request was rolled back, or a part of it: what its statements had locked is not any more.
    void locks_released() { locked_.clear(); }
    struct sent_edited {
        std::shared_ptr<healing::healed_text const> text;
        std::vector<catalog::oid> types; ///< of its parameters, as declared
    };
    /// How `statement` was prepared. Nothing: as the client has asked.
    [[nodiscard]] std::optional<sent_edited> edited(base::byte_view statement) const;
    /// What the client has prepared as `statement`, which was edited, is to be what it gets. Null: it is.
    [[nodiscard]] std::shared_ptr<prepare_again const> end_heal(base::byte_view statement);

    /// A named statement that is a batch, as far as is known.
    [[nodiscard]] bool splits(std::string_view statement) const;

    void set_parameters(std::string const& client_encoding, bool standard_conforming_strings, std::string const& application_name);
    /// A statement was prepared edited after it had failed, in a session with this view. `shape_only`: PostgreSQL accepts the original, but
    /// not with the columns that the client was told.
    void healed_after_failure(std::string_view statement, std::vector<catalog::oid> const& types,
                              std::shared_ptr<healing::healed_text const> healed, healing::session_view const& view, bool shape_only);
    /// BEGIN was sent since the last ReadyForQuery.
    [[nodiscard]] bool begun() const { return begun_; }

    [[nodiscard]] rules::circumstances circumstances() const { return {who_.database, who_.user, application_name_, now_()}; }
    [[nodiscard]] database_judge& judge() { return *judge_; }

    /// Texts about which there is something to say, once each: observed, silently drifted, or a heal of them waits for approval.
    struct remark {
        enum class kind_type : std::uint8_t { observed, proposed, drifted } kind{kind_type::observed};
        std::string sql;
        std::shared_ptr<healing::healed_text const> text;
        std::shared_ptr<healing::silent_drift const> drift;
        std::shared_ptr<healing::refusal const> refusal;
        bool blocked{false};
    };
    [[nodiscard]] bool has_remarks() const { return !remarks_.empty(); }
    [[nodiscard]] std::vector<remark> take_remarks() { return std::exchange(remarks_, {}); }

  private:
    /// A named statement, as far as it matters later.
    struct prepared {
        std::uint64_t masked{0};
        bool splits{false};             ///< its values may fail, each time anew
        bool changes_session{false};
        bool controls_transaction{false};
        bool begins_transaction{false};
        std::string begins;             ///< its text, where it does nothing else
        bool ends_transaction{false};
        bool guardable{false};
        std::shared_ptr<answer_note const> note; ///< it was sent edited
        // Of one that was sent edited. A heal that is no longer allowed (its pattern was suspended, a rule is gone, healing is
        // switched off), or whose original fits again, ends with the next Bind.
        std::shared_ptr<healing::healed_text const> first; ///< whose original is what the client prepared; null: it was not edited
        std::vector<catalog::oid> types;    ///< as declared
        std::uint64_t judged_at{0};         ///< stamp
        bool ended{false};                  ///< what the client prepared is what it gets
        bool shape_only{false};
        base::time_point confirmed{};       ///< when its premise was asked about
    };

    void note_effects(healing::cached_text const& text);
    void note_question(base::byte_view const* statement, std::span<catalog::oid const> types, bool in_transaction);
    [[nodiscard]] bool is_to_be_confirmed(prepared const& it) const;
    [[nodiscard]] bool leaves_session(message_ahead const& it);
    void remember(base::byte_view statement, healing::cached_text& text, std::shared_ptr<answer_note const> note,
                  std::span<catalog::oid const> types);
    void note_edited(prepared& it, std::shared_ptr<answer_note const> note, std::span<catalog::oid const> types);
    [[nodiscard]] std::shared_ptr<prepare_again const> judge_again(prepared& it);
    [[nodiscard]] std::uint32_t view_number();
    [[nodiscard]] healing::session_view const* best_view() const;
    [[nodiscard]] bool is_fresh(healing::opinion const& it) const;
    [[nodiscard]] bool can_ask_of_premise(healing::healed_text const& text) const;
    [[nodiscard]] bool may_ask_of_premise(healing::healed_text const& text) const;
    [[nodiscard]] healing::opinion* asked_about(base::byte_view sql, std::vector<catalog::oid> const& types);
    [[nodiscard]] advice advice_of(healing::cached_text& text, healing::opinion& it);
    [[nodiscard]] advice base_advice(healing::cached_text& text, bool in_transaction);
    [[nodiscard]] bool splits(healing::cached_text& text);
    [[nodiscard]] bool guards() const;
    [[nodiscard]] advice settle(healing::cached_text& text, advice more);

    std::shared_ptr<database_judge> judge_;
    identity who_;
    std::function<std::chrono::sys_seconds()> now_;
    std::function<base::time_point()> clock_;
    std::string application_name_;
    std::string client_encoding_{"UTF8"};
    bool standard_conforming_strings_{true};

    std::optional<healing::session_view> view_; ///< as the server has told; nothing: it may have changed since
    std::uint32_t number_{0};                   ///< of the best view, at `numbered_at_`
    std::uint64_t numbered_at_{0};
    std::uint64_t view_generation_{0};          ///< schema generation that view_ was found at
    bool unsettled_{false};                     ///< something in this transaction has changed what names mean
    bool begun_{false};
    std::unordered_map<std::string, prepared> prepared_;
    std::size_t edited_{0};                     ///< so many of them were sent edited
    /// Sent edited in the transaction that is under way. What a statement uses is locked until that ends, so nobody can use its names again meanwhile.
    std::vector<std::shared_ptr<healing::healed_text const>> locked_;
    bool premise_there_{false};                 ///< the statement that asks about premises has been sent
    unsigned premises_broken_{0};
    std::uint32_t asked_number_{0};             ///< of the view that consider() went by, at `asked_at_`
    std::uint64_t asked_at_{0};
    std::string asked_statement_;               ///< name in the Parse that is asked about
    std::vector<catalog::oid> asked_types_;
    bool asked_parse_{false};
    bool asked_in_transaction_{false};
    std::vector<remark> remarks_;
};

} // namespace pgmend::session
