// What is known of a text before it is sent.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/answer_queue.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace pgmend::session {

/// A statement that is to be prepared anew before it is bound.
struct prepare_again {
    std::string sql;
    std::vector<std::uint32_t> types; ///< of its parameters, as declared
};

/// What to do with a statement's text that a client has sent.
struct advice {
    enum class kind_type : std::uint8_t {
        pass,  ///< send it as it is
        edit,  ///< send `note->healed->plan.sql` instead
        ask,   ///< nothing is known of it yet, and it may not fit: the driver shall find out first
        block, ///< let it fail: the client gets `note->error`
    };
    kind_type what{kind_type::pass};
    /// edit, or Bind of what was edited: whether its plan's premise is asked about behind the Bind, in the same packet.
    enum class premise_type : std::uint8_t { none, asked, prepared_and_asked } premise{premise_type::none};
    bool guardable{false};            ///< inside a transaction block one may
    bool guard{false};                ///< inside a transaction block a savepoint shall go ahead of it
    bool controls_transaction{false}; ///< savepoints may be gone behind it, or its facts are not known
    bool splits{false};               ///< a batch that a rule may want to be split: it is kept up to healing.max_batch_bytes
    bool ends_transaction{false};     ///< COMMIT, ROLLBACK, ROLLBACK TO: no RELEASE has to go ahead of it
    std::uint64_t token{0};           ///< names the text for `worked`; 0: do not tell
    std::shared_ptr<answer_note const> note;
    std::shared_ptr<prepare_again const> prepare; ///< Bind: this goes ahead of it, under the same name
};

/// A message of a request that is all in sight: a Parse, or a Bind of what an earlier request has prepared. Views of what was received.
struct message_ahead {
    bool parse{false};
    base::byte_view statement; ///< its name
    base::byte_view sql;       ///< Parse
    std::vector<std::uint32_t> types; ///< Parse: of its parameters, as declared
};

/// What is around the message that is looked at.
enum class company : std::uint8_t {
    unknown,   ///< something is on its way, or not all of the request is in sight
    alone,     ///< nothing is on its way, all of the request is in sight, behind a Parse comes a Bind of it, and nothing else of it has to be asked about ahead: a premise may be
    undecided, ///< the same, but something later in the request has to be asked about, and this is the moment
};

/// Port: tier 1, as the relay sees it. Called on the statement path: answers from memory, never blocks.
class preflight {
  public:
    virtual ~preflight() = default;

    /// Whether a look is worth while: false while nothing has drifted and no savepoint is wanted.
    [[nodiscard]] virtual bool active(bool in_transaction) = 0;

    /// A request begins outside of a transaction block, as far as the server has told. Before anything of it is looked at.
    virtual void request_begins() {}

    /// A Query, or a Parse for `statement` (null: Query) with the parameter types declared. `in_transaction`: inside a block.
    [[nodiscard]] virtual advice look(base::byte_view sql, base::byte_view const* statement, std::span<std::uint32_t const> types,
                                      bool in_transaction, company around) = 0;

    /// What comes behind the first message of a request, which is looked at next, outside of a transaction block.
    struct coming {
        bool asks{false}; ///< one of them has to be asked about, and can only be ahead of the request
        std::vector<std::shared_ptr<healed_text const>> premises; ///< to be asked about together with that of the first statement; then nothing else has to be
    };
    [[nodiscard]] virtual coming look_ahead(message_ahead const& /*first*/, std::span<message_ahead const> /*later*/) { return {}; }
    /// How the premises of what `look_ahead` has found are asked about.
    [[nodiscard]] virtual advice::premise_type ask_of_premise() { return advice::premise_type::prepared_and_asked; }

    /// A Parse under a name, while no look was worth while: it may be bound when one is.
    virtual void prepared_unseen(base::byte_view /*sql*/, base::byte_view /*statement*/) {}

    /// A Close of a statement, which will be there still if something ahead of it fails.
    virtual void closed(base::byte_view /*statement*/) {}

    /// A Bind of a statement that was prepared by an earlier request. Never answers `ask`.
    [[nodiscard]] virtual advice look_at_bind(base::byte_view statement, bool in_transaction, company around) = 0;

    /// The text of a statement that an earlier request prepared, if all it does is to begin a transaction block, as far as is known; else empty. Until the next call.
    [[nodiscard]] virtual base::byte_view begins(base::byte_view /*statement*/) const { return {}; }

    /// Whether labels of enums were renamed: then a value fails that is bound under the old name, each time, whatever is known of its statement.
    [[nodiscard]] virtual bool has_old_labels() const { return false; }
    /// Whether a value of this Bind (its body) may be such a one.
    [[nodiscard]] virtual bool may_have_old_label(base::byte_view /*bind*/) const { return false; }

    /// A text that is too long to be looked at.
    virtual void passed_unseen() = 0;

    /// What the driver has found out of this text, a Query's or a Parse's, is about to be sent, `alone` as in look(): what it rests on may be asked about once more.
    virtual void goes_on(advice& /*given*/, base::byte_view /*sql*/, bool /*query*/) {}

    /// What look() has said of a Parse for `statement` was of its text in its abridged form. This `note` is of the text as it is sent.
    virtual void lengthened(base::byte_view /*statement*/, std::shared_ptr<answer_note const> /*note*/) {}

    /// Whether a Query, or a Parse, that is too long to be looked at, of which this is the beginning, shall be waited for: it may be healed when it is abridged. `enough`: of the
    /// beginning, to tell; else it may turn out so.
    [[nodiscard]] virtual bool waits_for_long_text(base::byte_view /*beginning*/, bool /*enough*/) { return false; }

    /// The same, of which this much has come; `statement` as in look(). Answers what is known for sure: never `edit`, `ask` or `block`.
    [[nodiscard]] virtual advice look_at_beginning(base::byte_view /*sql*/, base::byte_view const* /*statement*/, bool /*in_transaction*/) {
        passed_unseen();
        advice unknown;
        unknown.controls_transaction = unknown.ends_transaction = true;
        return unknown;
    }

    /// A request that had the text of this token has been answered without an error.
    virtual void worked(std::uint64_t token) = 0;

    /// A statement that fails for its values may be one that a rule wants to be split.
    [[nodiscard]] virtual bool splits_batches() const { return false; }

    /// ReadyForQuery has come.
    virtual void settled(char transaction_status) = 0;
};

} // namespace pgmend::session
