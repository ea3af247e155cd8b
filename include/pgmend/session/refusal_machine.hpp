// Answering a client in the place of a server that does not answer.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace pgmend::session {

/// Refuses requests of a session that is idle, outside a transaction block: each gets one error and the ReadyForQuery that it
/// waits for; nothing of it reaches the server, whose session stays as it was. Extended messages are passed over up to
/// their Sync, as after any error. So it may begin and end only between requests.
///
///   between ── Query, FunctionCall ──> error, ReadyForQuery ──> between
///      └── Parse, Bind, … ──> error ── inside ── Sync ──> ReadyForQuery ──> between
///
/// Owned by the session. Not on a fast path.
class refusal_machine {
  public:
    /// What to do with the bytes offered; offer the rest again with more behind it.
    struct outcome {
        std::size_t consumed{0};
        bool close{false}; ///< the client said good-bye, or sent what is not the protocol: its server shall hear the rest
    };

    /// `error`: an ErrorResponse for each request. Answers are appended to `to_client`.
    [[nodiscard]] outcome on_client(base::byte_view bytes, base::byte_view error, std::string& to_client);

    /// Between requests: the server may be asked again.
    [[nodiscard]] bool between() const { return !inside_ && remaining_ == 0; }

  private:
    bool inside_{false};         ///< extended messages were refused, and no Sync has come
    std::uint64_t remaining_{0}; ///< bytes of a refused message still to come
};

} // namespace pgmend::session
