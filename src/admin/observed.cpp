// What pgmend did of late, and how long it took.
#include "admin/commands.hpp"

#include "pgmend/admin/observatory.hpp"

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <map>
#include <numeric>
#include <utility>

namespace pgmend::admin {
namespace {

using session::console_row;
using rows = std::vector<console_row>;

std::string rounded(double number) { return fmt::format("{:.0f}", number); }

std::optional<std::string> if_any(std::string const& text) { return text.empty() ? std::nullopt : std::optional{text}; }

} // namespace

namespace {

/// Seven figures of PgBouncer's, in its order.
using traffic = std::array<std::string, 7>;

traffic in_all(telemetry::database_totals const& it) {
    return {text_of(it.transactions), text_of(it.statements), text_of(it.received_bytes), text_of(it.sent_bytes), text_of(it.transaction_us),
            text_of(it.statement_us), text_of(it.wait_us)};
}

/// Per second of the last minute; and of times per transaction, statement and second, as PgBouncer's.
traffic on_average(telemetry::database_totals const& it, double seconds) {
    auto const per_second = [&](std::uint64_t n) { return rounded(seconds > 0 ? static_cast<double>(n) / seconds : 0); };
    auto const each = [](std::uint64_t us, std::uint64_t n) { return text_of(n == 0 ? std::uint64_t{0} : us / n); };
    return {per_second(it.transactions), per_second(it.statements), per_second(it.received_bytes), per_second(it.sent_bytes),
            each(it.transaction_us, it.transactions), each(it.statement_us, it.statements), per_second(it.wait_us)};
}

traffic on_average(observatory::recent const& recent, std::string const& database) {
    auto const found = recent.databases.find(database);
    return on_average(found == recent.databases.end() ? telemetry::database_totals{} : found->second, recent.seconds);
}

telemetry::database_totals sum_of(std::map<std::string, telemetry::database_totals> const& databases) {
    telemetry::database_totals all;
    for (auto const& [name, it] : databases) {
        all.transactions += it.transactions;
        all.statements += it.statements;
        all.received_bytes += it.received_bytes;
        all.sent_bytes += it.sent_bytes;
        all.transaction_us += it.transaction_us;
        all.statement_us += it.statement_us;
        all.wait_us += it.wait_us;
    }
    return all;
}

observatory::recent last_minute(request const& r) { return r.from->observed != nullptr ? r.from->observed->last_minute() : observatory::recent{}; }

console_row row_of(std::string const& database, traffic const& some) {
    console_row out{database};
    out.insert(out.end(), some.begin(), some.end());
    return out;
}

} // namespace

void show_stats(request r) {
    auto const recent = last_minute(r);
    rows out;
    for (auto const& [name, it] : r.from->services->figures.databases()) {
        auto row = row_of(name, in_all(it));
        auto const averages = on_average(recent, name);
        row.insert(row.end(), averages.begin(), averages.end());
        row.emplace_back(text_of(it.statements));
        out.push_back(std::move(row));
    }
    r.answer(std::move(out));
}

void show_stats_totals(request r) {
    rows out;
    for (auto const& [name, it] : r.from->services->figures.databases()) out.push_back(row_of(name, in_all(it)));
    r.answer(std::move(out));
}

void show_stats_averages(request r) {
    auto const recent = last_minute(r);
    rows out;
    for (auto const& [name, it] : r.from->services->figures.databases()) out.push_back(row_of(name, on_average(recent, name)));
    r.answer(std::move(out));
}

void show_totals(request r) {
    // In PgBouncer's words: bytes from clients, and from servers.
    static constexpr std::array<std::string_view, 7> names{"xact_count", "query_count", "client_bytes", "server_bytes", "xact_time", "query_time", "wait_time"};
    auto const recent = last_minute(r);
    rows out;
    auto const add = [&](std::string_view kind, traffic const& some) {
        for (std::size_t i = 0; i < names.size(); ++i) out.push_back({fmt::format("{}_{}", kind, names[i]), some[i]});
    };
    add("total", in_all(sum_of(r.from->services->figures.databases())));
    add("avg", on_average(sum_of(recent.databases), recent.seconds));
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
    r.from->learner->count([=, answer = std::move(r.answer)](learning::pattern_counts const& counts) {
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
