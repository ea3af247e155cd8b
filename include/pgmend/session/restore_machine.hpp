// Gives a new session what an old one was made of.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/session_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace pgmend::session {

/// What is asked and sent at a server that has just let the user in, so that a client may go on there without noticing.
///
///   looking ──no function can have changed the session──> setting (SET, RESET by their texts; then what the server reports otherwise)
///     │                                                     └──> preparing (Parse, as sent) ──> ready
///     └──any doubt, any error──> failed: the new session must not be used
///
/// A server that has been given something before, and is to be the client's server for a while, gets what has changed since:
///
///   (looking ──>) setting (RESET of all and the role first, where a setting has changed) ──> preparing (Close and Parse) ──> ready
///
/// Owned by the session's coroutine. Not on a fast path.
class restore_machine {
  public:
    enum class step : std::uint8_t { more, send, ready, failed };

    /// `memory` must outlive this. `reported`: the new server's ParameterStatus frames, as they came with the login.
    restore_machine(session_memory const& memory, base::byte_view reported);

    /// `has`: what the server has been given, which must outlive this. It becomes as the client knows its session: what it reports, too. `look`: whether its
    /// functions are looked at; then there may not be any that can change a session.
    restore_machine(session_memory const& memory, session_memory::contents const& has, bool look);

    /// What to send first. Empty: it is ready.
    [[nodiscard]] std::string begin();
    /// One whole frame from the server. send: `to_server` is to be sent.
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_server);

    [[nodiscard]] std::string const& reason() const { return reason_; } ///< why it failed; names no value of the client's
    /// ParameterStatus frames since the login.
    [[nodiscard]] std::string const& reported_since() const { return reported_since_; }
    /// ParameterStatus frames that tell the client what is not as it knows it.
    [[nodiscard]] std::string news() const;

  private:
    enum class phase : std::uint8_t { looking, setting, correcting, preparing };

    void note_version();
    [[nodiscard]] step fail(std::string reason);
    [[nodiscard]] step go_on(std::string& to_server);
    void note_function(base::byte_view body);
    [[nodiscard]] bool is_due(session_memory::parameter const& it) const;
    void append_settings(std::string& out);
    void append_statements(std::string& out);

    session_memory const& memory_;
    session_memory::contents const* has_{nullptr}; ///< null: it is new, and the client hears what it reports otherwise
    bool look_{true};
    std::map<std::string, std::string, std::less<>> reported_; ///< by the server, by now
    std::string reported_since_;
    std::string reason_;
    std::string function_; ///< that may have changed the session
    phase phase_{phase::looking};
    std::size_t expected_{0}; ///< ReadyForQuery, in this phase
    std::size_t prepared_{0}; ///< ParseComplete
    std::size_t to_prepare_{0};
    bool server_14_{false};
};

} // namespace pgmend::session
