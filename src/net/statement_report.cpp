// What is counted and remembered of statements that have drifted. Statements that fit never come here.
#include "net/statement_report.hpp"

#include "pgmend/net/worker.hpp"
#include "pgmend/sql/commenter.hpp"

#include <iterator>

namespace pgmend::net {
namespace {

using telemetry::heal_outcome;

std::optional<heal_outcome> outcome_of(std::string_view name) {
    for (std::size_t i = 0; i < telemetry::heal_outcomes.size(); ++i)
        if (telemetry::heal_outcomes[i] == name) return static_cast<heal_outcome>(i);
    return std::nullopt;
}

telemetry::wall_time wall_now() { return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()); }

} // namespace

telemetry::statement_tags tags_of(std::string_view sql) {
    telemetry::statement_tags out;
    std::string controller;
    for (auto& [key, value] : sql::comment_tags(sql)) {
        if (key == "application" || key == "app") out.application = std::move(value);
        else if (key == "route") out.route = std::move(value);
        else if (key == "controller") controller = std::move(value);
        else if (key == "action" && !controller.empty()) controller += "#" + value;
        else if (key == "traceparent" && sql::is_traceparent(value)) out.traceparent = std::move(value);
    }
    if (out.route.empty()) out.route = std::move(controller);
    return out;
}

void add_tags(std::vector<base::log_field>& fields, telemetry::statement_tags const& tags) {
    if (!tags.application.empty()) fields.emplace_back("application", tags.application);
    if (!tags.route.empty()) fields.emplace_back("route", tags.route);
    if (!tags.traceparent.empty()) fields.emplace_back("traceparent", tags.traceparent);
}

std::string client_session::shown(std::string_view sql) const { return healing::shown_text(sql, home_.settings()->statements); }

std::pair<std::string, std::string> client_session::shown(healing::healed_text const& text) const {
    if (home_.settings()->statements == healing::statement_form::normalized) return {text.before, text.after};
    return {shown(text.original), shown(text.plan.sql)};
}

void client_session::count_refusal(std::optional<healing::refusal_kind> kind) const {
    auto& refusals = home_.counted().refusals;
    constexpr auto other = telemetry::refusal_reasons - 1;
    refusals[kind ? std::min(static_cast<std::size_t>(*kind), other) : other].add();
}

void client_session::remember(happening const& it) const {
    auto& counted = home_.counted();
    if (auto const outcome = outcome_of(it.outcome); outcome && it.plan != nullptr) {
        auto const strategy = telemetry::strategy_of(it.plan->pattern);
        counted.heals[it.tier][static_cast<std::size_t>(it.plan->evidence)][static_cast<std::size_t>(strategy)][static_cast<std::size_t>(*outcome)].add();
        if (*outcome == heal_outcome::healed) counted.heal_duration[it.tier].add(static_cast<std::uint64_t>(it.duration.count()));
    }
    auto& journal = home_.shared().journal;
    auto const now = wall_now();
    auto fingerprint = it.text != nullptr ? it.text->fingerprint : healing::fingerprint(it.sql);
    auto const key = telemetry::journal::key_of(identity_.database, identity_.user, relay_.application_name(), fingerprint, it.outcome);
    if (journal.count_again(key, now)) return;
    telemetry::heal_record made;
    made.at = now;
    made.database = identity_.database;
    made.user = identity_.user;
    made.application_name = relay_.application_name();
    made.client = peer_;
    made.fingerprint = std::move(fingerprint);
    made.outcome = it.outcome;
    made.tier = it.tier;
    made.sqlstate = it.sqlstate;
    made.pattern = it.pattern;
    if (it.plan != nullptr) {
        made.pattern = it.plan->pattern;
        made.evidence = learning::name_of(it.plan->evidence);
    }
    made.reason = it.reason;
    auto const sql = it.text != nullptr ? std::string_view{it.text->original} : it.sql;
    made.before = it.text != nullptr ? it.text->before : healing::normalized(it.sql);
    if (it.text != nullptr) made.after = it.text->after;
    else if (it.plan != nullptr) made.after = healing::normalized(it.plan->sql);
    made.duration_us = static_cast<std::uint64_t>(it.duration.count());
    made.tags = tags_of(sql);
    journal.record(std::move(made));
}

void client_session::remember(std::string_view outcome, healing_under_way const& heal, std::string_view reason) const {
    auto const took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - heal.began);
    auto const* const plan = heal.planned || !heal.proposed.empty() ? &heal.plan : nullptr;
    remember({.outcome = outcome, .tier = 2, .plan = plan, .sql = heal.machine.sql(), .reason = reason,
              .sqlstate = heal.machine.sqlstate(), .duration = took});
}

void client_session::remember_remark(session::statement_check::remark const& it) const {
    using kind = session::statement_check::remark::kind_type;
    switch (it.kind) {
    case kind::observed:
        return remember({.outcome = "observed", .plan = it.text ? &it.text->plan : nullptr, .text = it.text.get(), .sql = it.sql});
    case kind::proposed: return; // remembered when it has failed
    case kind::drifted:
        (it.blocked ? home_.counted().drifts_blocked : home_.counted().drifts).add();
        return remember({.outcome = it.blocked ? "blocked" : "drifted", .sql = it.sql, .pattern = it.drift->pattern});
    }
}

} // namespace pgmend::net
