#include "pgmend/telemetry/counters.hpp"
#include "pgmend/telemetry/exposition.hpp"
#include "pgmend/telemetry/journal.hpp"
#include "pgmend/telemetry/labels.hpp"
#include "pgmend/telemetry/registry.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <string>

using namespace pgmend::telemetry;
using namespace std::chrono_literals;

TEST_CASE("a command tag tells the kind of a statement") {
    CHECK(kind_of_tag("SELECT 5") == statement_kind::select);
    CHECK(kind_of_tag("FETCH 1") == statement_kind::select);
    CHECK(kind_of_tag("INSERT 0 1") == statement_kind::insert);
    CHECK(kind_of_tag("UPDATE 3") == statement_kind::update);
    CHECK(kind_of_tag("MERGE 3") == statement_kind::update);
    CHECK(kind_of_tag("DELETE 0") == statement_kind::delete_rows);
    CHECK(kind_of_tag("COPY 7") == statement_kind::copy);
    for (auto const* tag : {"CREATE TABLE", "ALTER TABLE", "DROP VIEW", "GRANT", "REVOKE", "TRUNCATE TABLE", "COMMENT", "REFRESH MATERIALIZED VIEW"})
        CHECK(kind_of_tag(tag) == statement_kind::ddl);
    for (auto const* tag : {"BEGIN", "COMMIT", "SET", "DISCARD ALL", "DECLARE CURSOR", "CLOSE CURSOR", "DO", "LISTEN", "", "X"})
        CHECK(kind_of_tag(tag) == statement_kind::other);
}

TEST_CASE("a pattern's name tells the strategy, a cast of a column apart") {
    CHECK(strategy_of("column public.users.email -> email_address") == strategy::column);
    CHECK(strategy_of("column public.users.id: cast to the type that it had") == strategy::cast);
    CHECK(strategy_of("column a.b.c -> d; column a.b.e: cast to the type that it had") == strategy::column);
    CHECK(strategy_of("relation public.users -> crm.clients") == strategy::relation);
    CHECK(strategy_of("ambiguous column public.users.email") == strategy::ambiguous);
    CHECK(strategy_of("dropped column public.users.flag: read as NULL") == strategy::dropped);
    CHECK(strategy_of("rule old-report") == strategy::rule);
    CHECK(strategy_of("") == strategy::other);
}

TEST_CASE("SQLSTATE classes have numbers and come back as they were") {
    for (auto const* code : {"00000", "42703", "XX000", "ZZ999", "P0001"}) {
        auto const name = class_name(class_of(code));
        CHECK(std::string(name.begin(), name.end()) == std::string{code}.substr(0, 2));
    }
    for (auto const* bad : {"", "42", "4x703", "\"}0000"}) CHECK(class_of(bad) == class_count - 1);
}

TEST_CASE("a histogram's buckets, quantiles and differences") {
    histogram h;
    CHECK(h.get().quantile_us(0.5) == 0);
    for (int i = 0; i < 99; ++i) h.add(100); // [64, 128)
    h.add(5000);                             // [4096, 8192)
    auto const all = h.get();
    CHECK(all.count() == 100);
    CHECK(all.sum_us == 99 * 100 + 5000);
    CHECK(all.buckets[7] == 99);
    CHECK(all.quantile_us(0.5) > 64);
    CHECK(all.quantile_us(0.5) < 128);
    CHECK(all.quantile_us(0.995) > 4096);
    h.add(std::uint64_t{1} << 40); // longer than any bucket
    h.add(0);
    CHECK(h.get().buckets.back() == 1);
    CHECK(h.get().buckets.front() == 1);
    auto const later = h.get().since(all);
    CHECK(later.count() == 2);
}

TEST_CASE("a meter counts where it is told to, and nothing where nobody counts") {
    meter{}.finished("SELECT 1", 0, 10);
    meter{}.failed("42703");
    meter{}.transaction_ended(5);
    registry figures;
    auto& worker = figures.add_worker();
    auto& shop = figures.of(worker, "shop");
    CHECK(&shop == &figures.of(worker, "shop"));
    meter const m{&worker, &shop, 0};
    m.finished("SELECT 1", 0, 10);
    m.finished("INSERT 0 1", 1, 30);
    m.failed("42703");
    m.transaction_ended(50);
    auto const totals = figures.databases().at("shop");
    CHECK(totals.statements == 2);
    CHECK(totals.statement_us == 40);
    CHECK(totals.transactions == 1);
    CHECK(worker.statements[1][1].get().count() == 1);
    CHECK(worker.errors[class_of("42000")].get() == 1);
}

TEST_CASE("databases without end are one") {
    registry figures;
    auto& worker = figures.add_worker();
    for (int i = 0; i < 1000; ++i) (void)figures.of(worker, "db" + std::to_string(i));
    CHECK(figures.databases().size() == registry::most_databases + 1);
    CHECK(figures.databases().contains("(others)"));
}

namespace {

heal_record sample_heal(std::string fingerprint, wall_time at, std::string outcome = "healed") {
    heal_record it;
    it.at = at;
    it.database = "shop";
    it.user = "app";
    it.application_name = "web";
    it.fingerprint = std::move(fingerprint);
    it.outcome = std::move(outcome);
    it.before = "select email";
    it.after = it.outcome == "healed" ? "select mail" : "";
    return it;
}

} // namespace

TEST_CASE("the journal puts the same heal within a second together, and keeps who sends what") {
    journal book;
    wall_time const t{1h};
    auto const key = journal::key_of("shop", "app", "web", "f1", "healed");
    CHECK_FALSE(book.count_again(key, t));
    book.record(sample_heal("f1", t));
    CHECK(book.count_again(key, t + 10ms));
    CHECK(book.count_again(key, t + 20ms));
    CHECK_FALSE(book.count_again(key, t + 2s)); // a record of its own again
    book.record(sample_heal("f1", t + 2s));
    book.record(sample_heal("f2", t + 3s));
    auto const heals = book.heals();
    REQUIRE(heals.size() == 3);
    CHECK(heals[0].fingerprint == "f2");
    CHECK(heals[2].times == 3);
    auto const drifts = book.drifts();
    REQUIRE(drifts.size() == 2);
    CHECK(drifts[0].last.fingerprint == "f2");
    CHECK(drifts[1].healed == 4);
    CHECK(drifts[1].first_seen == t);
}

TEST_CASE("a refusal after a heal counts, and what to write instead stays") {
    journal book;
    wall_time const t{1h};
    book.record(sample_heal("f1", t));
    book.record(sample_heal("f1", t + 1ms, "refused"));
    auto const drifts = book.drifts();
    REQUIRE(drifts.size() == 1);
    CHECK(drifts[0].healed == 1);
    CHECK(drifts[0].not_healed == 1);
    CHECK(drifts[0].last.outcome == "refused");
    CHECK(drifts[0].last.after == "select mail");
    CHECK_FALSE(book.count_again(journal::key_of("shop", "app", "web", "f1", "healed"), t + 2ms)); // the newest record is another
}

TEST_CASE("what a store has kept of a statement is one record, and goes on counting") {
    journal book;
    wall_time const t{1h};
    auto refused = sample_heal("f1", t, "refused");
    refused.times = 3;
    auto healed = sample_heal("f1", t + 1h);
    healed.times = 5;
    book.restore(refused, t - 1h);
    book.restore(healed, t);
    CHECK(book.heals().empty());
    CHECK_FALSE(book.count_again(journal::key_of("shop", "app", "web", "f1", "healed"), t + 1h));
    book.record(sample_heal("f1", t + 2h));
    auto const drifts = book.drifts();
    REQUIRE(drifts.size() == 1);
    CHECK(drifts[0].healed == 6);
    CHECK(drifts[0].not_healed == 3);
    CHECK(drifts[0].first_seen == t - 1h);
    CHECK(drifts[0].last.at == t + 2h);
}

TEST_CASE("the journal is bounded, and forgets what was not seen for longest") {
    journal book;
    wall_time t{1h};
    for (std::size_t i = 0; i < journal::most_drifts + 1000; ++i) book.record(sample_heal("f" + std::to_string(i), t += 1ms));
    CHECK(book.heals().size() == journal::most_heals);
    CHECK(book.drifts().size() <= journal::most_drifts);
    CHECK(book.drifts().front().last.fingerprint == "f" + std::to_string(journal::most_drifts + 999));
    CHECK_FALSE(book.count_again(journal::key_of("shop", "app", "web", "f1", "healed"), t));
    for (std::size_t i = 0; i < 2 * journal::most_events; ++i) book.note({t, "schema.changed", "x"});
    CHECK(book.events().size() == journal::most_events);
}

TEST_CASE("each metric has one name that says its unit, and help") {
    std::set<std::string_view> names;
    for (auto const& f : families()) {
        CHECK(names.insert(f.name).second);
        CHECK(!f.help.empty());
        if (!f.unit.empty()) CHECK(std::string_view{f.name}.ends_with(f.unit));
        CHECK_FALSE(f.name.ends_with("_total"));
    }
}

TEST_CASE("metrics are written in Prometheus' text and in OpenMetrics") {
    histogram_values some;
    some.buckets[2] = 1;  // below 4 µs: in the first bucket that is shown
    some.buckets[10] = 2; // below 1.024 ms
    some.sum_us = 2000;
    auto const write = [&](bool open) {
        exposition out{open};
        out.begin(metric::statements);
        out.sample({{"kind", "select"}, {"tier", "0"}}, std::uint64_t{3});
        out.begin(metric::statement_duration);
        out.sample({{"kind", "select"}}, some);
        out.begin(metric::build);
        out.sample({{"version", "1\"\n\\"}}, 1.0);
        return out.finish();
    };
    auto const plain = write(false);
    CHECK(plain.find("# TYPE pgmend_statements_total counter\npgmend_statements_total{kind=\"select\",tier=\"0\"} 3\n") != std::string::npos);
    CHECK(plain.find("pgmend_statement_duration_seconds_bucket{kind=\"select\",le=\"1.6e-05\"} 1\n") != std::string::npos);
    CHECK(plain.find("pgmend_statement_duration_seconds_bucket{kind=\"select\",le=\"0.001024\"} 3\n") != std::string::npos);
    CHECK(plain.find("pgmend_statement_duration_seconds_bucket{kind=\"select\",le=\"+Inf\"} 3\n") != std::string::npos);
    CHECK(plain.find("pgmend_statement_duration_seconds_sum{kind=\"select\"} 0.002\n") != std::string::npos);
    CHECK(plain.find("pgmend_build_info{version=\"1\\\"\\n\\\\\"} 1\n") != std::string::npos);
    CHECK(plain.find("# TYPE pgmend_build_info gauge") != std::string::npos);
    CHECK(plain.find("# EOF") == std::string::npos);
    auto const open = write(true);
    CHECK(open.find("# TYPE pgmend_statements counter\npgmend_statements_total{") != std::string::npos);
    CHECK(open.find("# UNIT pgmend_statement_duration_seconds seconds\n") != std::string::npos);
    CHECK(open.ends_with("# EOF\n"));
}
