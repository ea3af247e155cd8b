// Circuit breakers on the console.
#include "admin/commands.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <utility>

namespace pgmend::admin {
namespace {

using backend::breaker_state;
using session::console_error;
using rows = std::vector<session::console_row>;

std::string milliseconds_text(base::duration d) { return fmt::format("{}", std::chrono::duration_cast<std::chrono::milliseconds>(d).count()); }

/// Quotes around a name are left out: names of the settings may have spaces.
std::string_view unquoted(std::string_view name) {
    bool const quoted = name.size() >= 2 && (name.front() == '"' || name.front() == '\'') && name.front() == name.back();
    return quoted ? name.substr(1, name.size() - 2) : name;
}

template <class F>
void change(request r, std::string_view command, F what) {
    auto* const found = r.from->services->backends->breakers().find(unquoted(r.name));
    if (found == nullptr) {
        std::string names;
        for (auto const* b : r.from->services->backends->breakers().all()) names.append(names.empty() ? "" : ", ").append(b->name());
        return r.answer(console_error{wire::sqlstate::undefined_object, fmt::format("there is no breaker \"{}\"", unquoted(r.name)), fmt::format("There are: {}.", names)});
    }
    base::log(base::log_level::info, "console.command", {{"user", r.user}, {"command", command}, {"breaker", found->name()}});
    what(*found, base::steady::now());
    r.answer(rows{});
}

} // namespace

void show_breakers(request r) {
    rows out;
    auto const now = base::steady::now();
    for (auto* const breaker : r.from->services->backends->breakers().all()) {
        auto const b = breaker->describe(now);
        std::string const state = b.disabled ? "disabled" : b.tripped ? "tripped" : backend::name_of(b.state);
        out.push_back({b.name, state, backend::name_of(b.mode), milliseconds_text(b.since), backend::name_of(b.cause), b.reason,
                       b.next_probe ? std::optional{milliseconds_text(*b.next_probe)} : std::nullopt, fmt::format("{}", b.calls),
                       fmt::format("{}", b.failures), fmt::format("{}", b.slow), fmt::format("{}", b.counted.calls),
                       fmt::format("{}", b.counted.failures), fmt::format("{}", b.counted.refused), fmt::format("{}", b.counted.probes),
                       fmt::format("{}", b.counted.opened)});
    }
    r.answer(std::move(out));
}

void trip_breaker(request r) {
    auto const user = r.user;
    change(std::move(r), "TRIP BREAKER", [&user](backend::shared_breaker& b, base::time_point now) { b.trip(fmt::format("tripped by {}", user), now); });
}
void reset_breaker(request r) {
    change(std::move(r), "RESET BREAKER", [](backend::shared_breaker& b, base::time_point now) { b.reset(now); });
}
void disable_breaker(request r) {
    change(std::move(r), "DISABLE BREAKER", [](backend::shared_breaker& b, base::time_point now) { b.disable(now); });
}
void enable_breaker(request r) {
    change(std::move(r), "ENABLE BREAKER", [](backend::shared_breaker& b, base::time_point now) { b.enable(now); });
}

} // namespace pgmend::admin
