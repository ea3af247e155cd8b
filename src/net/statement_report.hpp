// What a statement's comment says of who sent it.
#pragma once

#include "net/client_session.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/telemetry/journal.hpp"

#include <chrono>
#include <string_view>
#include <vector>

namespace pgmend::net {

/// One thing that happened to a drifted statement.
struct client_session::happening {
    std::string_view outcome;
    unsigned tier{1};
    healing::plan const* plan{nullptr};
    healing::healed_text const* text{nullptr}; ///< its texts for the log, where they are made; else `sql`
    std::string_view sql{};
    std::string_view pattern{};
    std::string_view reason{};
    std::string_view sqlstate{};
    std::chrono::microseconds duration{0};
};

[[nodiscard]] telemetry::statement_tags tags_of(std::string_view sql);
/// Those that there are. `tags` must outlive the fields.
void add_tags(std::vector<base::log_field>& fields, telemetry::statement_tags const& tags);

} // namespace pgmend::net
