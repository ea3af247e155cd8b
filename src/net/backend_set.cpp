#include "pgmend/net/backend_set.hpp"

#include "pgmend/base/log.hpp"

#include <algorithm>
#include <array>
#include <random>

namespace pgmend::net {
namespace {

void log_change(backend::shared_breaker const& which, backend::breaker::transition const& what) {
    using backend::breaker_state;
    auto const cause = std::string_view{backend::name_of(what.cause)};
    std::array<base::log_field, 7> const common{{
        {"breaker", which.name()}, {"from", backend::name_of(what.from)}, {"cause", cause}, {"reason", what.reason},
        {"calls", what.calls},     {"failures", what.failures},           {"open_for_ms", what.open_for.count()}}};
    switch (what.to) {
    case breaker_state::open: return base::log(base::log_level::warning, "breaker.opened", common);
    case breaker_state::half_open: return base::log(base::log_level::info, "breaker.half_opened", common);
    case breaker_state::closed: return base::log(base::log_level::info, "breaker.closed", common);
    }
}

} // namespace

void good_address::answered(endpoint const& at) {
    std::lock_guard const lock{mutex_};
    if (last_ != at) last_ = at;
}

void good_address::prefer(std::vector<endpoint>& all) const {
    std::lock_guard const lock{mutex_};
    auto const found = last_ ? std::find(all.begin(), all.end(), *last_) : all.end();
    if (found != all.end()) std::rotate(all.begin(), found, found + 1);
}

backend::candidate candidate_of(backend_server const& server) {
    auto const& state = *server.state;
    return {.name = server.settings.name,
            .configured = server.settings.role,
            .role = state.role.load(std::memory_order_relaxed),
            .read_only = state.read_only.load(std::memory_order_relaxed),
            .same_cluster = state.same_cluster.load(std::memory_order_relaxed),
            .lag = state.lag()};
}

backend_set::backend_set() : breakers_{std::random_device{}()} { breakers_.listen(log_change); }

std::shared_ptr<backend_set::defaults const> backend_set::read_only_defaults() const {
    std::lock_guard const lock{mutex_};
    return read_only_defaults_;
}

void backend_set::set_read_only_defaults(defaults now) {
    std::lock_guard const lock{mutex_};
    if (now != *read_only_defaults_) read_only_defaults_ = std::make_shared<defaults const>(std::move(now));
}

std::shared_ptr<server_state> backend_set::state_of(std::string const& name) {
    std::lock_guard const lock{mutex_};
    auto& state = states_[name];
    auto const now = base::steady::now();
    if (!state) {
        auto& connecting = breakers_.get(name, now);
        auto& statements = breakers_.get(name + ".statements", now);
        state = std::make_shared<server_state>(name, connecting, statements);
    }
    return state;
}

} // namespace pgmend::net
