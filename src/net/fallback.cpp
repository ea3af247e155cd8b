// Rules with `fallback`: the last good answer is kept, and given while the server is silent.
#include "net/client_session.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/fallback.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <fmt/format.h>

#include <variant>

namespace pgmend::net {

/// How old an answer to it may be; nothing: it is not to be answered from memory.
std::optional<std::chrono::milliseconds> client_session::fallback_of(base::byte_view request, std::string* rule) {
    auto const sql = session::text_of_whole_request(request);
    if (!sql) return std::nullopt;
    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    rules::scanned_text const text{*sql};
    auto const* const found = home_.rules()->fallback(text, {identity_.database, identity_.user, relay_.application_name(), now});
    if (found == nullptr || !session::only_reads(*sql)) return std::nullopt;
    if (rule != nullptr) *rule = found->name;
    return std::get<rules::statement_fallback>(found->does).stale;
}

/// Never across users or databases, nor where a session began with other settings: all of that is in its first packet.
std::string client_session::answer_key(base::byte_view request) const {
    std::string key;
    for (base::byte_view const part : {base::byte_view{identity_.database}, base::byte_view{identity_.user}, base::byte_view{startup_packet_}, request}) {
        base::append_u32(key, static_cast<std::uint32_t>(part.size()));
        key.append(part);
    }
    return key;
}

void client_session::begin_recording(base::byte_view request) {
    recording_.reset();
    if (!session::leaves_session_alone(request)) { // search_path, the role, temporary tables: from now on it is a session of its own kind
        keeps_answers_ = false;
        return;
    }
    if (relay_.idle() && fallback_of(request)) recording_ = std::make_unique<recording>(recording{answer_key(request), session::answer_recorder{kept_answers::most_bytes_of_one}});
}

void client_session::record(base::byte_view to_client) {
    using state = session::answer_recorder::state;
    auto const now = recording_->recorder.add(to_client);
    if (now == state::open) return;
    if (now == state::complete) home_.shared().answers.keep(std::move(recording_->key), recording_->recorder.take(), base::steady::now());
    recording_.reset();
}

/// What the client gets, a NOTICE ahead; empty: there is nothing.
std::string client_session::answer_from_memory(base::byte_view request) {
    std::string rule;
    auto const oldest = fallback_of(request, &rule);
    if (!oldest) return {};
    auto const found = home_.shared().answers.find(answer_key(request), *oldest, base::steady::now());
    if (!found) return {};
    auto const age = std::chrono::duration_cast<std::chrono::milliseconds>(found->age);
    base::log(base::log_level::warning, "statement.fallback",
              {{"client", peer_}, {"database", identity_.database}, {"user", identity_.user}, {"rule", rule}, {"age_ms", age.count()}});
    return wire::notice_response(fmt::format("this answer is {:.1f} s old: {} does not answer", std::chrono::duration<double>(age).count(), where_text(place_->settings)),
                                 fmt::format("pgmend's rule \"{}\" allows answers of up to {:.0f} s.", rule, std::chrono::duration<double>(*oldest).count())) +
           *found->answer;
}

} // namespace pgmend::net
