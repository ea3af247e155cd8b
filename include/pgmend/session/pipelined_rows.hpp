// A request that executes one-row INSERTs one after the other, as its rows.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/base/error.hpp"
#include "pgmend/session/batch.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgmend::session {

/// What a driver makes of executemany(): Bind and Execute for each row, of one statement or of several, and one Sync; a BEGIN may stand at the front. The
/// server runs that as one transaction.
struct pipelined_rows {
    struct row {
        std::uint32_t bind{0};            ///< message of the request
        base::byte_view sql;              ///< its statement's; into the request, or as `earlier` gave it
        std::vector<std::uint32_t> types; ///< of the parameters, as declared
        wire::bind_view bound;            ///< into the request
    };
    std::vector<row> rows; ///< two at least
    batch of;              ///< the first one's text: all have its table
};

/// A statement that an earlier request has prepared.
struct earlier_statement {
    base::byte_view name;
    base::byte_view sql;
    std::vector<std::uint32_t> types;
};

/// Error: why the rows of this request cannot be told apart, or be left out one by one. Views point into the request.
[[nodiscard]] base::result<pipelined_rows> read_pipeline(failed_request const& request, earlier_statement const& earlier);

/// Two Executes at least: it may be one, whatever its texts are.
[[nodiscard]] bool may_be_pipeline(failed_request const& request);

/// BEGIN, or START TRANSACTION.
[[nodiscard]] bool begins_block(base::byte_view sql);

} // namespace pgmend::session
