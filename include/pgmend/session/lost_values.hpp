// What has to be in the audit record before a write that loses a value may run.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/state/records.hpp"

#include <cstdint>
#include <optional>

namespace pgmend::session {

/// The write and the values that `plan` leaves out of it, as `request` has them; the text is message `text` of the request. The
/// caller fills in who sent it and when. Error: not all of it is known, so that no record would be whole: a value that is computed,
/// or a statement that may be executed again later, out of sight.
[[nodiscard]] base::result<state::audit_row> lost_values(failed_request const& request, std::uint32_t text, base::byte_view sql, healing::plan const& plan);

} // namespace pgmend::session
