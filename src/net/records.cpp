// What is remembered of statements that drifted: by application, for people, and one by one.
#include "net/client_session.hpp"

#include "pgmend/net/worker.hpp"

#include <tuple>

namespace pgmend::net {

void client_session::note_drift(state::drift_outcome outcome, state::drift_row row) const {
    auto* const drift = home_.shared().drift;
    if (drift == nullptr) return;
    row.database = identity_.database;
    row.user = identity_.user;
    row.application_name = relay_.application_name();
    row.outcome = outcome;
    drift->add(row);
}

void client_session::note_heal(healing::healed_text const& text, bool success, std::string_view sqlstate, std::chrono::microseconds took, int tier) const {
    state::drift_row row;
    row.fingerprint = text.fingerprint;
    row.pattern = text.plan.pattern;
    row.evidence = learning::name_of(text.plan.evidence);
    row.before = text.before;
    row.after = text.after;
    if (!success) row.reason = "PostgreSQL refused the edited statement";
    note_drift(success ? state::drift_outcome::healed : state::drift_outcome::refused, std::move(row));
    auto* const store = home_.shared().state;
    if (store == nullptr) return;
    state::heal_row healed;
    healed.at = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    healed.database = identity_.database;
    healed.user = identity_.user;
    healed.application_name = relay_.application_name();
    healed.client = peer_;
    healed.fingerprint = text.fingerprint;
    healed.pattern = text.plan.pattern;
    healed.evidence = learning::name_of(text.plan.evidence);
    healed.sqlstate = sqlstate;
    std::tie(healed.before, healed.after) = shown(text);
    healed.success = success;
    healed.duration_us = took.count();
    healed.tier = tier;
    store->note(std::move(healed));
}

} // namespace pgmend::net
