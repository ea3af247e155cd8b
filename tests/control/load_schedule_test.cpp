#include "pgmend/control/load_schedule.hpp"

#include <catch2/catch.hpp>

using pgmend::base::time_point;
using pgmend::control::load_schedule;
using namespace std::chrono_literals;

TEST_CASE("a catalog that was never read may be read at once") {
    load_schedule const s;
    CHECK(s.earliest() <= time_point{1h});
    CHECK_FALSE(s.backing_off(time_point{1h}));
}

TEST_CASE("readings take at most a fifth of the time, and pause at least 5 ms") {
    load_schedule s;
    s.on_loaded(20ms, time_point{1h});
    CHECK(s.earliest() == time_point{1h + 80ms});
    CHECK_FALSE(s.backing_off(time_point{1h}));
    s.on_loaded(1us, time_point{2h});
    CHECK(s.earliest() == time_point{2h + 5ms});
}

TEST_CASE("failures back off, doubling up to 30 s while no version was ever read") {
    load_schedule s;
    for (auto const pause : {1s, 2s, 4s, 8s, 16s, 30s, 30s, 30s}) {
        s.on_failed(time_point{1h});
        CHECK(s.earliest() == time_point{1h + pause});
        CHECK(s.backing_off(time_point{1h}));
        CHECK_FALSE(s.backing_off(time_point{1h + pause}));
    }
}

TEST_CASE("once a version was read failures back off for at most 2 s") {
    load_schedule s;
    s.on_loaded(1ms, time_point{1h});
    for (auto const pause : {1s, 2s, 2s}) {
        s.on_failed(time_point{1h});
        CHECK(s.earliest() == time_point{1h + pause});
    }
}

TEST_CASE("a success forgets the failures, and so do new settings") {
    load_schedule s;
    s.on_failed(time_point{1h});
    s.on_failed(time_point{1h});
    s.on_loaded(1ms, time_point{1h});
    s.on_failed(time_point{2h});
    CHECK(s.earliest() == time_point{2h + 1s});
    s.forget_failures();
    CHECK_FALSE(s.backing_off(time_point{2h}));
    CHECK(s.earliest() <= time_point{2h});
    s.on_failed(time_point{2h});
    CHECK(s.earliest() == time_point{2h + 1s});
}

TEST_CASE("luck shortens a pause by up to a quarter") {
    load_schedule s;
    s.on_failed(time_point{1h}, 1);
    CHECK(s.earliest() == time_point{1h + 750ms});
    s.on_failed(time_point{1h}, 0.5);
    CHECK(s.earliest() == time_point{1h + 1750ms});
}

TEST_CASE("after a reading of parts the next one may begin sooner") {
    load_schedule s;
    s.on_loaded(4ms, time_point{1h}, false);
    CHECK(s.earliest_of_parts() == time_point{1h + 2ms});
    CHECK(s.earliest() == time_point{1h + 2ms});
}

TEST_CASE("a reading of everything does not keep what was named waiting, nor the other way round") {
    load_schedule s;
    s.on_loaded(20ms, time_point{1h});
    CHECK(s.earliest_of_parts() == time_point{1h});
    s.on_loaded(2ms, time_point{1h + 10ms}, false);
    CHECK(s.earliest_of_parts() == time_point{1h + 11ms});
    CHECK(s.earliest() == time_point{1h + 80ms});
    s.on_failed(time_point{2h});
    CHECK(s.earliest_of_parts() == time_point{2h + 1s});
    s.forget_failures();
    CHECK(s.earliest_of_parts() <= time_point{2h});
}
