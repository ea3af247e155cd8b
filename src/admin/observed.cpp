// What pgmend did of late, and how long it took.
#include "admin/commands.hpp"

#include "pgmend/admin/observatory.hpp"

#include <fmt/format.h>

#include <concepts>
#include <numeric>
#include <utility>

namespace pgmend::admin {
namespace {

using session::console_row;
using rows = std::vector<console_row>;

std::string text_of(std::integral auto number) { return fmt::format("{}", number); }
std::string rounded(double number) { return fmt::format("{:.0f}", number); }

std::optional<std::string> if_any(std::string const& text) { return text.empty() ? std::nullopt : std::optional{text}; }

} // namespace

/// Averages are per second of the last minute, and of times per transaction, statement and second, as PgBouncer's.
void show_stats(request r) {
    auto const recent = r.from->observed != nullptr ? r.from->observed->last_minute() : observatory::recent{};
    rows out;
    for (auto const& [name, it] : r.from->services->figures.databases()) {
        telemetry::database_totals of_late;
        if (auto const found = recent.databases.find(name); found != recent.databases.end()) of_late = found->second;
        auto const per_second = [&](std::uint64_t n) { return rounded(recent.seconds > 0 ? static_cast<double>(n) / recent.seconds : 0); };
        auto const each = [](std::uint64_t us, std::uint64_t n) { return text_of(n == 0 ? std::uint64_t{0} : us / n); };
        out.push_back({name, text_of(it.transactions), text_of(it.statements), text_of(it.received_bytes), text_of(it.sent_bytes),
                       text_of(it.transaction_us), text_of(it.statement_us), text_of(it.wait_us), per_second(of_late.transactions),
                       per_second(of_late.statements), per_second(of_late.received_bytes), per_second(of_late.sent_bytes),
                       each(of_late.transaction_us, of_late.transactions), each(of_late.statement_us, of_late.statements), per_second(of_late.wait_us), text_of(it.statements)});
    }
    r.answer(std::move(out));
}

void show_heals(request r) {
    rows out;
    for (auto const& h : r.from->services->journal.heals())
        out.push_back({fine_time_text(h.at), h.outcome, text_of(h.tier), h.database, h.user, h.application_name, if_any(h.pattern), if_any(h.evidence),
                       if_any(h.sqlstate), text_of(h.times), text_of(h.duration_us), h.before, if_any(h.after), if_any(h.reason), h.client, h.fingerprint,
                       if_any(h.tags.application), if_any(h.tags.route), if_any(h.tags.traceparent)});
    r.answer(std::move(out));
}

void show_drift(request r) {
    rows out;
    for (auto const& d : r.from->services->journal.drifts()) {
        auto const& h = d.last;
        out.push_back({h.application_name, h.database, h.user, h.fingerprint, if_any(h.pattern), text_of(d.healed), text_of(d.not_healed),
                       fine_time_text(d.first_seen), fine_time_text(h.at), h.before, if_any(h.after), if_any(h.evidence), h.outcome, if_any(h.reason),
                       if_any(h.tags.application), if_any(h.tags.route), if_any(h.tags.traceparent), h.client});
    }
    r.answer(std::move(out));
}

void show_cache(request r) {
    rows out;
    std::size_t number = 0;
    for (auto const* const w : r.from->services->figures.workers())
        out.push_back({text_of(number++), text_of(w->cache_entries.get()), text_of(w->cache_bytes.get()), text_of(w->cache_hits.get()),
                       text_of(w->cache_misses.get()), text_of(w->cache_evicted.get()), text_of(w->cache_outdated.get())});
    r.answer(std::move(out));
}

/// PgBouncer's columns; parts that are no slabs have a size of 1.
void show_memory(request r) {
    auto const& services = *r.from->services;
    std::uint64_t texts = 0;
    std::uint64_t cache = 0;
    for (auto const* const w : services.figures.workers()) {
        texts += w->cache_entries.get();
        cache += w->cache_bytes.get();
    }
    auto const heals = services.journal.bytes();
    auto const line = [](std::string_view name, std::uint64_t used, std::uint64_t bytes) {
        return console_row{std::string{name}, text_of(used == 0 ? std::uint64_t{0} : bytes / used), text_of(used), "0", text_of(bytes)};
    };
    r.from->learner->count([=, answer = std::move(r.answer)](control::pattern_counts const& counts) {
        auto const patterns = std::accumulate(counts.by_state.begin(), counts.by_state.end(), std::uint64_t{0});
        answer(rows{line("statement_cache", texts, cache), line("journal", 1, heals), line("patterns", patterns, counts.bytes)});
    });
}

void show_history(request r) {
    rows out;
    if (r.from->observed != nullptr) {
        for (auto const& i : r.from->observed->history()) {
            console_row row{time_text(i.at), fmt::format("{:.1f}", i.seconds), text_of(std::accumulate(i.statements.begin(), i.statements.end(), std::uint64_t{0}))};
            for (auto const n : i.statements) row.emplace_back(text_of(n));
            for (auto const n : {i.tiers[1], i.tiers[2], i.heals_failed, i.errors}) row.emplace_back(text_of(n));
            for (auto const us : {i.p50_us, i.p95_us, i.p99_us}) row.emplace_back(rounded(us));
            for (auto const n : {i.received_bytes, i.sent_bytes, i.clients}) row.emplace_back(text_of(n));
            out.push_back(std::move(row));
        }
    }
    r.answer(std::move(out));
}

void show_events(request r) {
    rows out;
    for (auto const& e : r.from->services->journal.events()) out.push_back({fine_time_text(e.at), e.kind, e.text});
    r.answer(std::move(out));
}

void show_monitor(request r) {
    rows out;
    if (r.from->observed != nullptr)
        for (auto const& s : r.from->observed->triggers())
            out.push_back({std::string{learning::name_of(s.what)}, if_any(s.subject), s.raised ? "yes" : "no", fmt::format("{:.3f}", s.figure), fmt::format("{:.3f}", s.limit)});
    r.answer(std::move(out));
}

} // namespace pgmend::admin
