// A question to the server between two requests of the client's: what do names mean here, and would this be accepted?
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/healing/healed_text.hpp"
#include "pgmend/session/session_probe.hpp"
#include "pgmend/session/verification.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// Before a text is sent, while nothing else is under way, all in one packet: what names mean in the session, whether
/// PostgreSQL accepts the edited text, and whether it still refuses the original (in the moment between a change of the
/// schema and the notice of it, a name may have got a new meaning: then the text is not pgmend's to edit).
///
///   begin() ──> on_server() for each frame ──> answered
///
/// Inside a transaction block a savepoint lies around it, since what is refused would abort the block.
/// Lives for one inquiry.
class inquiry_machine {
  public:
    enum class step : std::uint8_t { need_more, answered };

    struct questions {
        bool probe{false};
        std::shared_ptr<healing::healed_text const> verify;  ///< may be null
        std::shared_ptr<healing::healed_text const> confirm; ///< may be null: that its originals are refused
        bool premise{true};                                  ///< and that names mean what they did
    };

    /// `known`: what ParameterStatus has told.
    inquiry_machine(healing::session_view known, questions asked, bool in_transaction, std::vector<std::uint32_t> parameter_types);
    inquiry_machine(inquiry_machine const&) = delete;
    inquiry_machine& operator=(inquiry_machine const&) = delete;

    [[nodiscard]] std::string begin() const;
    /// Asynchronous frames that the client shall get are appended to `to_client`.
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_client);

    /// The view that the probe found; nothing: none was asked for, or it failed.
    [[nodiscard]] std::optional<healing::session_view> view() const;
    /// Why the verification failed.
    [[nodiscard]] std::optional<std::string> const& refused() const { return refused_; }
    /// Of all originals asked about. False also where that could not be told, or where a name of the edited text means something else by now.
    [[nodiscard]] bool still_refused() const { return still_refused_; }
    /// With what the first one is refused that is.
    [[nodiscard]] std::string const& sqlstate() const { return sqlstate_; }

  private:
    [[nodiscard]] std::size_t originals() const;
    void on_first_answers(char type, base::byte_view body);
    void on_original(char type, base::byte_view body);

    questions asked_;
    bool in_transaction_;
    bool probing_; // rows belong to the probe
    bool probed_{false};
    bool failed_{false};
    bool still_refused_{true};
    std::size_t ready_{0}; // ReadyForQuery seen: the first belongs to probe and verification, then one to each original
    unsigned parsed_{0};   // ParseComplete since then
    session_probe probe_;
    std::vector<std::uint32_t> parameter_types_;
    std::optional<verification> verification_;
    std::optional<std::string> refused_;
    std::string sqlstate_;
};

} // namespace pgmend::session
