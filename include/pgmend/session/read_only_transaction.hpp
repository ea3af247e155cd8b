// Transactions that say from the start that they only read, and may run at a replica.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/session_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::session {

/// BEGIN or START TRANSACTION that says READ ONLY (or nothing of that, where `by_default`), at READ COMMITTED or REPEATABLE READ (or saying nothing), not DEFERRABLE.
[[nodiscard]] bool begins_read_only(std::string_view statement, bool by_default);

/// By its first letters, without parsing: no means that departure_of() answers nothing.
[[nodiscard]] bool may_begin_read_only(base::byte_view from_client, session_memory const& memory);

/// What becomes of a text or a request where its transaction runs at a replica.
enum class at_replica : std::uint8_t {
    same,    ///< as at the primary
    refused, ///< a replica refuses it, by an error of its own; or it asks for what is the primary's
    never,   ///< the replica takes it, and it would mean something else than at the primary, or leave something behind there that the primary does not get
};

struct replica_verdict {
    at_replica what{at_replica::same};
    std::string_view why{};   ///< where never; lives for ever
    std::size_t behind{0};    ///< the message in question comes behind so many
    bool sets{false};         ///< a setting of the session
    bool rolls_back{false};   ///< to a savepoint
};

/// In doubt not `same`. Cost: about 10 µs for each KiB.
[[nodiscard]] replica_verdict text_at_replica(std::string_view sql);

/// Whole messages that go to a replica next: of one request, or a part of it. `unnamed`: the replica has a statement without a name that is the client's; afterwards, too.
[[nodiscard]] replica_verdict request_at_replica(base::byte_view messages, session_memory const& memory, bool& unnamed);

/// How many of these bytes are whole messages of one request, and whether its last one (Query, Sync, FunctionCall) is among them.
struct request_extent {
    std::size_t bytes{0};
    bool whole{false};
};
[[nodiscard]] request_extent extent_of_request(base::byte_view from_client);

/// A request that begins a transaction which may run at a replica.
struct departure {
    std::size_t bytes{0}; ///< of the request
    std::string begin;    ///< the statement; empty: the request does more than that
};

/// Only between requests, outside a transaction. Nothing: it stays where it is. Views nothing.
[[nodiscard]] std::optional<departure> departure_of(base::byte_view from_client, session_memory const& memory);

/// What whole messages do with the statement without a name.
struct unnamed_use {
    bool used{false};     ///< one that earlier messages have prepared
    bool replaced{false}; ///< that is no more
    base::byte_view left; ///< the Parse of the one that there is behind them; empty: none of theirs
};
[[nodiscard]] unnamed_use unnamed_use_of(base::byte_view messages);

/// The answer to a question of pgmend's own: one row, texts.
struct own_answer {
    std::vector<std::string> columns;
    std::string sqlstate; ///< of an error
    char status{0};       ///< as in ReadyForQuery

    /// One whole frame. True: it was the last one.
    [[nodiscard]] bool add(base::byte_view frame);
};

/// Asks the primary how far a replica has to have replayed to know all that the session knows, for default_transaction_isolation, and whether it has written so far
/// itself. Leaves the client's
/// statement without a name alone.
[[nodiscard]] std::string position_question();
/// Asks a replica whether it is one, whether it has come so far, and for default_transaction_isolation. `position`: as the primary wrote it.
[[nodiscard]] std::string replay_question(std::string_view position);

} // namespace pgmend::session
