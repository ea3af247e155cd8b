#include "pgmend/control/breaker_memory.hpp"

#include "pgmend/base/log.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <string>
#include <string_view>

namespace pgmend::control {
namespace {

using backend::breaker_state;

/// `open 3` (the third opening in a row), `tripped` or `closed`, and the reason in the lines behind.
std::string written(backend::breaker_view const& now) {
    if (now.tripped) return "tripped\n" + now.reason;
    if (now.state == breaker_state::closed) return "closed";
    return fmt::format("open {}\n{}", now.openings, now.reason);
}

void give_back(backend::shared_breaker& breaker, state::entry const& kept) {
    std::string_view text = kept.value;
    auto const line_end = text.find('\n');
    auto const reason = std::string{line_end == std::string_view::npos ? std::string_view{} : text.substr(line_end + 1)};
    auto const line = text.substr(0, line_end);
    auto const now = base::steady::now();
    if (line == "tripped") return breaker.trip(reason, now);
    if (!line.starts_with("open ")) return;
    std::uint32_t openings = 1;
    (void)std::from_chars(line.data() + 5, line.data() + line.size(), openings);
    auto const age = std::chrono::system_clock::now() - kept.at;
    breaker.restore(reason, openings, std::chrono::duration_cast<base::duration>(age), now);
}

} // namespace

void remember_breakers(backend::breaker_registry& breakers, state::store& where, std::string owner) {
    auto const suffix = owner.empty() ? std::string{} : " of " + owner;
    breakers.listen([&where, suffix](backend::shared_breaker& which, backend::breaker::transition const&) {
        if (which.name() == store_breaker) return;
        state::entry now;
        now.table = state::entry::table_type::circuit_breaker_state;
        now.key = which.name() + suffix;
        now.value = written(which.describe(base::steady::now()));
        now.at = std::chrono::floor<decltype(now.at)::duration>(std::chrono::system_clock::now());
        where.note(std::move(now));
    });
    where.load_entries(state::entry::table_type::circuit_breaker_state, [&breakers, suffix](base::result<std::vector<state::entry>> const& kept) {
        if (!kept) return; // the store has reported it
        for (auto const& each : *kept) {
            std::string_view const key = each.key;
            if (!key.ends_with(suffix)) continue;
            if (auto* const breaker = breakers.find(key.substr(0, key.size() - suffix.size()))) give_back(*breaker, each);
        }
    });
}

} // namespace pgmend::control
