// The last good answer to a statement, for the time when its server does not answer.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgmend::session {

/// The text, where these bytes are exactly one request that could be answered from memory: a Query; or a Parse, Bind and Execute of the
/// unnamed statement and portal, perhaps with Describe, and a Sync. The parameters are part of the bytes.
[[nodiscard]] std::optional<base::byte_view> text_of_whole_request(base::byte_view bytes);

/// Whether every text that these bytes bring (Query, Parse) leaves the session as it began: the meaning of names, the look of values, and what
/// it listens to. No where that cannot be told, as of part of a message.
[[nodiscard]] bool leaves_session_alone(base::byte_view bytes);

/// One statement that only reads, as far as its words tell: SELECT, VALUES, TABLE or WITH; nothing of INSERT, UPDATE, DELETE, MERGE, INTO, and no
/// function that is known to do something (nextval, set_config, advisory locks, …). Functions of the user's own are taken for
/// what the user's rule says of the statement: something whose old answer will do.
[[nodiscard]] bool only_reads(std::string_view sql);

/// Collects the answer to one request as it goes to the client.
class answer_recorder {
  public:
    enum class state : std::uint8_t { open, complete, spoiled };

    explicit answer_recorder(std::size_t most_bytes) : most_bytes_{most_bytes} {}

    /// Errors, copies, an aborted or open transaction, a changed setting, and too many bytes spoil it. Notices are left out.
    state add(base::byte_view to_client);
    [[nodiscard]] std::string take() { return std::move(answer_); }
    /// Nothing of an answer has come, apart from notices.
    [[nodiscard]] bool untouched() const { return state_ == state::open && inbox_.empty() && answer_.empty(); }

  private:
    state look_at(char type, base::byte_view body_begin);

    std::size_t most_bytes_;
    std::string inbox_;  ///< part of a frame
    std::string answer_;
    state state_{state::open};
};

/// Finds the end of an answer in the bytes of a server, wherever they are cut.
class answer_end {
  public:
    /// How many of these bytes belong to the answer, where its ReadyForQuery ends in them. Nothing: all of them do, and more will come.
    std::optional<std::size_t> add(base::byte_view from_server);
    /// What came is not the protocol.
    [[nodiscard]] bool broken() const { return broken_; }

  private:
    std::string header_; ///< part of one
    std::uint64_t remaining_{0};
    bool last_{false}; ///< the frame under way is ReadyForQuery
    bool broken_{false};
};

} // namespace pgmend::session
