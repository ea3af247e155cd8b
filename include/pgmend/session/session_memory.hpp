// What a client has made of its session, as far as pgmend sees it: so that another server can be given the same.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::session {

/// What one statement changes of its session, in a way that can be done again elsewhere.
struct session_effect {
    enum class kind_type : std::uint8_t {
        setting, ///< SET or RESET of `name`, by its own `text`
        reset_all,
        discard_all,
        deallocate, ///< of `name`
        deallocate_all,
    };
    kind_type kind{kind_type::setting};
    std::string name; ///< as PostgreSQL knows it: letters A-Z as small ones, unless they were quoted
    std::string text;

    bool operator==(session_effect const&) const = default;
};

/// What a text leaves behind in its session, as far as its words tell.
struct text_effects {
    std::vector<session_effect> carried; ///< in order
    std::string_view lost;               ///< what it may leave behind that no other server can be given; empty: nothing. Lives for ever
    bool for_good{false};                ///< not even DISCARD ALL undoes that
    bool calls{false};                   ///< it calls functions that are not known to be PostgreSQL's own
};

/// In doubt it loses something. Cost: 2 to 3 µs for each KiB of SELECT, INSERT, UPDATE or DELETE, more for others.
[[nodiscard]] text_effects effects_of(std::string_view sql);

/// What texts leave behind, kept for all sessions of a worker: one that was read before costs about 0.2 µs for each KiB. Memory is bounded: each text has one place, which
/// it shares with others. On its worker's thread.
class known_effects {
  public:
    static constexpr std::size_t most_texts = 512; ///< a power of two
    static constexpr std::size_t most_text_bytes = 2048; ///< longer ones are read each time

    /// Until the next call.
    [[nodiscard]] text_effects const& of(std::string_view sql);

  private:
    struct known {
        std::string text;
        text_effects effects;
        bool full{false};
    };

    std::vector<known> texts_; ///< none before the first text
    text_effects other_;
};

/// Why this request (whole messages, the first of a session that has just been given to another server) needs what only the old one knew: a statement without a
/// name that an earlier request prepared, or the last value of a sequence. Empty: it does not.
[[nodiscard]] std::string_view needs_old_server(base::byte_view request);

/// Follows the messages of one session. The relay tells it of each, in order.
///
///   SET, RESET, DEALLOCATE, DISCARD ALL ──text──> pending ──their transaction was committed──> carried
///   Parse with a name ──frame──> pending ──ParseComplete──> carried
///   what cannot be carried over ──> obstacle(), until DISCARD ALL
///
/// Memory is bounded; what does not fit is an obstacle. Owned by a session, on its worker's thread.
class session_memory {
  public:
    static constexpr std::size_t most_prepared_bytes = 256 * 1024;
    static constexpr std::size_t most_prepared = 1024;
    static constexpr std::size_t most_setting_bytes = 16 * 1024;
    static constexpr std::size_t most_settings = 64;

    /// ParameterStatus frames, as they came with the login. `known` (may be null) must outlive this.
    explicit session_memory(base::byte_view reported_at_login, known_effects* known = nullptr);

    /// A message that is sent to the server, as it is sent. `whole`: `body` is all of it.
    void on_client(char type, base::byte_view body, bool whole);
    /// A Sync that was sent during a COPY, which the server passes over.
    void sync_ignored();
    /// A Parse frame of pgmend's own, under a name of the client's.
    void prepared_anew(base::byte_view frame);

    void prepared_or_closed(); ///< ParseComplete or CloseComplete, for a message of the client's
    void completed(base::byte_view tag);
    void failed();             ///< the client gets an error
    void held();               ///< an error is held: the request may be sent again, or answered otherwise
    void settled(char status); ///< ReadyForQuery, for a request of the client's
    void reported(base::byte_view name, base::byte_view value);

    /// Why the session cannot be given to another server. Empty: it can. Only while nothing is under way.
    [[nodiscard]] std::string_view obstacle() const;

    /// A setting that the server reports.
    struct parameter {
        std::string name;
        std::string at_login;
        std::string now;
    };
    struct setting {
        std::string name;
        std::string text;
    };
    [[nodiscard]] std::vector<parameter> const& parameters() const { return parameters_; }
    [[nodiscard]] std::vector<setting> const& settings() const { return settings_; } ///< in the order to do them again
    [[nodiscard]] std::map<std::string, std::string, std::less<>> const& prepared() const { return prepared_; } ///< Parse frames by name
    [[nodiscard]] bool calls_functions() const { return calls_ > 0; }
    [[nodiscard]] std::uint64_t calls() const { return calls_; } ///< texts that call functions which are not known to be PostgreSQL's own
    [[nodiscard]] std::uint64_t requests() const { return settled_; } ///< that were answered
    /// A SET is under way that its transaction has yet to commit; a part of that was rolled back.
    [[nodiscard]] bool sets() const { return !effects_.empty(); }
    [[nodiscard]] bool rolled_back() const { return rolled_back_; }

    /// What one server has of all that.
    struct contents {
        std::uint64_t version{0}; ///< as of version()
        std::vector<setting> settings;
        std::map<std::string, std::string, std::less<>> prepared;
        std::map<std::string, std::string, std::less<>> reported; ///< by the server: its settings
    };
    /// Another one after each change of what contents() says.
    [[nodiscard]] std::uint64_t version() const { return version_; }
    /// Of the server that has seen everything.
    [[nodiscard]] contents whole() const;

    /// The session goes on at another server, which has reported this (ParameterStatus frames).
    void moved(base::byte_view reported_at_login, base::byte_view reported_since);

  private:
    struct named_message {
        std::uint64_t number{0};
        std::string name;
        std::string frame; ///< empty: Close
    };
    struct pending_effect {
        std::uint64_t request{0};
        session_effect what;
    };

    parameter& parameter_of(base::byte_view name);
    [[nodiscard]] std::vector<session_effect> look(std::string_view sql);
    void expect(std::vector<session_effect> const& changes);
    void lose(std::string_view what, bool for_good = false);
    void end_request() { ends_.push_back(sent_); }
    void settle_names(std::uint64_t last);
    void settle_effects(std::uint64_t request, char status);
    void apply(session_effect const& effect, std::uint64_t request);
    void keep_setting(session_effect const& effect);
    void keep_prepared(std::string const& name, std::string frame);
    void forget_prepared(std::string const& name);

    known_effects* known_;
    std::vector<parameter> parameters_;
    std::vector<setting> settings_;
    std::map<std::string, std::string, std::less<>> prepared_;
    std::size_t prepared_bytes_{0};

    std::string_view lost_;
    bool lost_for_good_{false};
    std::uint64_t lost_in_{0}; ///< number of the request
    std::uint64_t calls_{0};
    std::uint64_t version_{1};

    std::uint64_t sent_{0};     ///< Parse and Close messages
    std::uint64_t answered_{0}; ///< of them
    std::uint64_t settled_{0};  ///< requests
    std::vector<std::uint64_t> ends_; ///< of requests under way: so many of those messages were sent by then
    std::vector<named_message> names_;
    std::vector<pending_effect> effects_;
    std::map<std::string, std::vector<session_effect>, std::less<>> prepared_effects_; ///< of statements, by name, each time that they are bound
    bool failed_{false};      ///< the oldest request under way
    bool held_{false};        ///< likewise: which of its messages are answered cannot be counted any more
    bool committed_{false};   ///< since the last ReadyForQuery outside a transaction
    bool rolled_back_{false};
};

} // namespace pgmend::session
