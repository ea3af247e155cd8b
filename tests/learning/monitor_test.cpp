#include "pgmend/learning/monitor.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::learning;

namespace {

measurement heals(std::uint64_t good, std::uint64_t bad, std::uint64_t advised = 0) {
    measurement m;
    m.heals_succeeded = good;
    m.heals_failed = bad;
    m.heals_advised = advised;
    return m;
}

measurement selects(double p95_us, std::uint64_t count = 1000) {
    measurement m;
    m.statements[0] = {count, p95_us};
    return m;
}

/// What the script of intervals leads to, all in one list.
std::vector<decision> play(monitor& it, measurement const& what, int times) {
    std::vector<decision> all;
    for (int i = 0; i < times; ++i)
        for (auto& d : it.on_interval(what)) all.push_back(std::move(d));
    return all;
}

} // namespace

TEST_CASE("a share of heals that succeed below the limit is told after three intervals, and once") {
    monitor it;
    CHECK(play(it, heals(80, 20), 2).empty());
    auto const told = it.on_interval(heals(80, 20));
    REQUIRE(told.size() == 1);
    CHECK(told[0].what == trigger::heal_success);
    CHECK(told[0].raised);
    CHECK(told[0].figure == Approx(0.8));
    CHECK(told[0].limit == Approx(0.95));
    CHECK(told[0].reason == "80.0 % of 100 heals succeeded, beyond the limit of 95.0 %");
    CHECK(!told[0].advice.empty());
    CHECK(play(it, heals(80, 20), 50).empty());
}

TEST_CASE("between the limits nothing changes, so a trigger does not flutter") {
    monitor it;
    CHECK(play(it, heals(80, 20), 3).size() == 1);
    CHECK(play(it, heals(960, 40), 10).empty()); // better than the limit, not yet good
    auto const calm = play(it, heals(1000, 0), 3);
    REQUIRE(calm.size() == 1);
    CHECK_FALSE(calm[0].raised);
    CHECK(calm[0].advice.empty());
    CHECK(play(it, heals(960, 40), 10).empty());
}

TEST_CASE("one good interval among bad ones begins the count anew") {
    monitor it;
    CHECK(play(it, heals(80, 20), 2).empty());
    CHECK(play(it, heals(100, 0), 1).empty());
    CHECK(play(it, heals(80, 20), 2).empty());
    CHECK(play(it, heals(80, 20), 1).size() == 1);
}

TEST_CASE("a few heals say nothing") {
    monitor it;
    CHECK(play(it, heals(1, 18, 1), 100).empty());
}

TEST_CASE("heals that rest on advice ask for rules") {
    monitor it;
    auto const told = play(it, heals(100, 0, 30), 3);
    REQUIRE(told.size() == 1);
    CHECK(told[0].what == trigger::advised_share);
    CHECK(told[0].advice.find("rules") != std::string::npos);
    CHECK(play(it, heals(100, 0, 15), 10).empty());
    CHECK(play(it, heals(100, 0, 5), 3).size() == 1);
}

TEST_CASE("slow heals name the slow part") {
    for (bool const first : {true, false}) {
        monitor it;
        measurement m;
        m.first_heals_p95_us = first ? 300'000 : 10'000;
        m.known_heals_p95_us = first ? 1'000 : 300'000;
        auto const told = play(it, m, 3);
        REQUIRE(told.size() == 1);
        CHECK(told[0].what == trigger::slow_heals);
        CHECK((told[0].reason.find("failure") != std::string::npos) == first);
        CHECK(told[0].reason.find("300.0 ms") != std::string::npos);
    }
}

TEST_CASE("latency is measured against the kind's own baseline, which slow intervals do not move") {
    monitor it;
    CHECK(play(it, selects(1000), 12).empty());
    CHECK(it.baseline_us(0) == Approx(1000));
    auto const told = play(it, selects(8000), 3);
    REQUIRE(told.size() == 1);
    CHECK(told[0].what == trigger::latency);
    CHECK(told[0].subject == "select");
    CHECK(told[0].limit == Approx(3000));
    CHECK(play(it, selects(8000), 100).empty());
    CHECK(it.baseline_us(0) == Approx(1000));
    CHECK(play(it, selects(2500), 10).empty());
    CHECK(play(it, selects(1500), 3).size() == 1);
}

TEST_CASE("before the baseline is known, of quick statements and of few, nothing is said") {
    monitor fresh;
    CHECK(play(fresh, selects(1000), 5).empty());
    CHECK(play(fresh, selects(100'000), 5).empty());
    monitor quick;
    CHECK(play(quick, selects(100), 20).empty());
    CHECK(play(quick, selects(1900), 20).empty()); // 19 times as slow, and quick all the same
    monitor rare;
    CHECK(play(rare, selects(1000, 10), 20).empty());
    CHECK(play(rare, selects(100'000, 10), 20).empty());
}

TEST_CASE("each kind of statement has a trigger of its own") {
    monitor it;
    measurement calm;
    for (auto& s : calm.statements) s = {1000, 1000};
    CHECK(play(it, calm, 12).empty());
    auto slow = calm;
    slow.statements[5].p95_us = 50'000;
    auto const told = play(it, slow, 3);
    REQUIRE(told.size() == 1);
    CHECK(told[0].subject == "copy");
    int raised = 0;
    for (auto const& s : it.states()) raised += s.raised;
    CHECK(raised == 1);
}

TEST_CASE("texts that are never known again, breakers that trip and a late event loop are told") {
    monitor it;
    measurement m;
    m.cache_hits = 100;
    m.cache_misses = 1900;
    m.worst_lag_us = 900'000;
    auto told = play(it, m, 3);
    REQUIRE(told.size() == 2);
    CHECK(told[0].what == trigger::cache_hits);
    CHECK(told[1].what == trigger::event_loop_lag);
    measurement trip;
    trip.breaker_trips = 1;
    told = play(it, trip, 4);
    REQUIRE(told.size() == 1 + 1); // and the event loop is on time again
    CHECK(told[1].what == trigger::breaker_trips);
    CHECK(told[1].figure == Approx(4));
    told = play(it, {}, 60);
    REQUIRE(told.size() == 1);
    CHECK_FALSE(told[0].raised);
}
