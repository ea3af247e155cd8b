#include "pgmend/backend/breaker.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace pgmend;
using namespace pgmend::backend;
using namespace std::chrono_literals;
using state = breaker_state;

namespace {

/// A breaker and its clock. Calls end as soon as they begin, unless a test holds them.
struct script {
    explicit script(breaker_settings settings = {}) : machine{settings} {}

    breaker machine;
    base::time_point now{1h};
    double random{0.5}; // no jitter

    script& at(base::duration later) {
        now = base::time_point{1h} + later;
        return *this;
    }
    bool good(int count = 1, base::duration took = 1ms, bool alone = false) {
        bool all = true;
        for (int i = 0; i < count; ++i) {
            auto const c = machine.admit(now);
            all = all && c;
            if (c) machine.succeeded(*c, took, alone, now, random);
        }
        return all;
    }
    bool bad(int count = 1) {
        bool all = true;
        for (int i = 0; i < count; ++i) {
            auto const c = machine.admit(now);
            all = all && c;
            if (c) machine.failed(*c, "refused", now, random);
        }
        return all;
    }
    std::string moves() {
        std::string out;
        for (auto const& t : machine.take_transitions())
            out += std::string{out.empty() ? "" : " "} + name_of(t.from) + ">" + name_of(t.to) + "(" + name_of(t.cause) + ")";
        return out;
    }
    state now_is() const { return machine.state(); }
};

breaker_settings rates() {
    breaker_settings s;
    s.consecutive_failures = 0;
    return s;
}

} // namespace

TEST_CASE("a breaker opens after so many failures in a row, and refuses") {
    script s;
    CHECK(s.bad(4));
    CHECK(s.now_is() == state::closed);
    CHECK(s.bad());
    CHECK(s.now_is() == state::open);
    CHECK_FALSE(s.good());
    CHECK(s.moves() == "closed>open(failures)");
    CHECK(s.machine.reason() == "refused");
    CHECK(s.machine.counted().refused == 1);
    CHECK(s.machine.next_probe() == s.now + 5s);
}

TEST_CASE("a success between failures begins the row anew") {
    script s;
    for (int i = 0; i < 2; ++i) {
        s.bad(4);
        s.good();
    }
    CHECK(s.now_is() == state::closed);
}

TEST_CASE("a breaker opens at the failure rate, and not before there are enough calls") {
    script s{rates()};
    s.bad(9);
    CHECK(s.now_is() == state::closed);
    s.bad();
    CHECK(s.now_is() == state::open);

    script half{rates()};
    for (int i = 0; i < 4; ++i) half.good(), half.bad();
    half.good(2); // 4 of 10
    CHECK(half.now_is() == state::closed);
    half.bad(); // 5 of 11
    CHECK(half.now_is() == state::closed);
    half.bad(); // 6 of 12
    CHECK(half.now_is() == state::open);
}

TEST_CASE("a window by count forgets the oldest call") {
    script s{rates()};
    s.bad(9);
    s.good(20);
    CHECK(s.machine.window().calls() == 20);
    CHECK(s.machine.window().failures() == 0);
    s.bad(9); // 9 of 20
    CHECK(s.now_is() == state::closed);
    s.bad();
    CHECK(s.now_is() == state::open);
}

TEST_CASE("a window by time forgets old calls") {
    auto settings = rates();
    settings.window_time = 10s;
    script s{settings};
    s.bad(9);
    s.at(5s);
    s.good(2);
    CHECK(s.machine.window().calls() == 11);
    s.at(11s).bad(); // the nine are gone
    CHECK(s.machine.window().calls() == 3);
    CHECK(s.now_is() == state::closed);
    s.at(60s).bad(9);
    CHECK(s.now_is() == state::closed);
    s.bad();
    CHECK(s.now_is() == state::open);
}

TEST_CASE("successes counted elsewhere are part of the rate and end a row") {
    script s{rates()};
    s.bad(9);
    s.machine.succeeded_meanwhile(1000000, s.now);
    s.bad();
    CHECK(s.now_is() == state::closed);
    CHECK(s.machine.window().calls() == 20);
    script row;
    row.bad(4);
    row.machine.succeeded_meanwhile(1, row.now);
    row.bad();
    CHECK(row.now_is() == state::closed);
}

TEST_CASE("half open lets so many probes through at a time, and closes when as many have succeeded") {
    script s;
    s.bad(5);
    s.at(4999ms);
    CHECK_FALSE(s.machine.admit(s.now));
    s.at(5s);
    auto const first = s.machine.admit(s.now);
    auto const second = s.machine.admit(s.now);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->probe);
    for (int i = 0; i < 1000; ++i) CHECK_FALSE(s.machine.admit(s.now));
    CHECK(s.now_is() == state::half_open);
    s.machine.succeeded(*first, 1ms, false, s.now, 0.5);
    CHECK(s.now_is() == state::half_open);
    CHECK_FALSE(s.machine.admit(s.now));
    s.machine.succeeded(*second, 1ms, false, s.now, 0.5);
    CHECK(s.now_is() == state::closed);
    CHECK(s.moves() == "closed>open(failures) open>half_open(failures) half_open>closed()");
    CHECK(s.machine.counted().probes == 2);
    CHECK(s.machine.reason().empty());
}

TEST_CASE("a failed probe opens it for twice as long, up to the ceiling") {
    script s;
    s.bad(5);
    base::duration at{0};
    for (auto const expected : {5s, 10s, 20s, 40s, 60s, 60s}) {
        INFO(expected.count());
        CHECK(s.machine.next_probe() == base::time_point{1h} + at + expected);
        at += expected;
        s.at(at - 1ms);
        CHECK_FALSE(s.bad());
        s.at(at);
        CHECK(s.bad());
        CHECK(s.now_is() == state::open);
    }
    CHECK(s.machine.since() == base::time_point{1h}); // one outage
    CHECK(s.machine.counted().outages == 1);
    CHECK(s.machine.counted().opened == 7);
}

TEST_CASE("the back-off goes on where an outage follows another, and begins anew after a good time") {
    script s;
    s.bad(5);
    s.at(5s).good(2);
    s.at(10s).bad(5);
    CHECK(s.machine.next_probe() == s.now + 10s);
    s.at(20s).good(2);
    s.at(90s).bad(5);
    CHECK(s.machine.next_probe() == s.now + 5s);
}

TEST_CASE("jitter moves the time of the probe by so much at most") {
    for (auto const& [random, expected] : {std::pair{0.0, 4000ms}, std::pair{0.5, 5000ms}, std::pair{1.0, 6000ms}}) {
        script s;
        s.random = random;
        s.bad(5);
        CHECK(s.machine.next_probe() == s.now + expected);
    }
}

TEST_CASE("what began before it opened does not count after it") {
    script s;
    auto const slow = s.machine.admit(s.now);
    auto const slower = s.machine.admit(s.now);
    s.bad(5);
    s.machine.failed(*slow, "late", s.now, 0.5);
    s.machine.succeeded(*slower, 1ms, false, s.now, 0.5);
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.reason() == "refused");
    s.at(5s).good(2);
    CHECK(s.now_is() == state::closed);
    s.machine.failed(*slow, "very late", s.now, 0.5);
    CHECK(s.machine.window().calls() == 0);
}

TEST_CASE("an abandoned probe makes room for another, and so does one that was never heard of again") {
    breaker_settings settings;
    settings.half_open_probes = 1;
    script s{settings};
    s.bad(5);
    s.at(5s);
    auto const left = s.machine.admit(s.now);
    REQUIRE(left);
    CHECK_FALSE(s.machine.admit(s.now));
    s.machine.abandoned(*left);
    CHECK(s.machine.admit(s.now));
    s.at(21s);
    CHECK(s.good());
    CHECK(s.now_is() == state::closed);
}

TEST_CASE("slow calls open it, but never the last backend") {
    auto settings = rates();
    settings.slow_call = 100ms;
    settings.slow_rate = 0.5;
    script s{settings};
    s.good(9, 200ms);
    CHECK(s.now_is() == state::closed);
    s.good(1, 200ms);
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.cause() == breaker_cause::slow_calls);
    s.at(5s).good(1, 200ms); // still slow
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.next_probe() == s.now + 10s);

    script alone{settings};
    alone.good(100, 200ms, true);
    CHECK(alone.now_is() == state::closed);
    CHECK(alone.machine.counted().slow == 100);
    alone.bad(10);
    CHECK(alone.now_is() == state::open);
}

TEST_CASE("a tripped breaker stays open until it is reset") {
    script s;
    s.machine.trip("tripped by postgres", s.now);
    s.at(24h);
    CHECK_FALSE(s.good());
    CHECK_FALSE(s.machine.next_probe());
    s.machine.reset(s.now);
    CHECK(s.good());
    CHECK(s.moves() == "closed>open(tripped) open>closed()");
}

TEST_CASE("what looks healthy again is probed before its time, unless somebody tripped it") {
    script s;
    s.bad(5);
    s.at(100ms).machine.looks_healthy(s.now);
    CHECK(s.now_is() == state::half_open);
    s.good(2);
    CHECK(s.now_is() == state::closed);
    s.machine.looks_healthy(s.now);
    CHECK(s.now_is() == state::closed);
    s.machine.trip("a person", s.now);
    s.machine.looks_healthy(s.now);
    CHECK_FALSE(s.good());
}

TEST_CASE("a disabled breaker lets everything through and counts nothing until it is enabled") {
    script s;
    s.bad(5);
    s.machine.disable(s.now);
    CHECK(s.bad(100));
    CHECK(s.now_is() == state::closed);
    s.machine.enable();
    s.bad(4);
    CHECK(s.now_is() == state::closed);
    s.bad();
    CHECK(s.now_is() == state::open);
}

TEST_CASE("in mode observe nothing is refused, and it is counted what would have been") {
    breaker_settings settings;
    settings.mode = breaker_mode::observe;
    script s{settings};
    CHECK(s.bad(8));
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.counted().refused == 3);
    s.at(5s);
    CHECK(s.good(2));
    CHECK(s.now_is() == state::closed);
    s.machine.trip("a person", s.now);
    CHECK_FALSE(s.good());
}

TEST_CASE("in mode off nothing is counted") {
    breaker_settings settings;
    settings.mode = breaker_mode::off;
    script s{settings};
    CHECK(s.bad(100));
    CHECK(s.machine.counted().calls == 0);
    CHECK(s.moves().empty());
}

TEST_CASE("after a restart an open breaker is remembered for the rest of its time, and an old one is not believed") {
    script s;
    s.machine.restore("refused", 2, 4s, s.now);
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.next_probe() == s.now + 6s);
    CHECK(s.machine.since() == s.now - 4s);
    s.at(6s).bad();
    CHECK(s.machine.next_probe() == s.now + 20s);

    script late;
    late.machine.restore("refused", 1, 30s, late.now);
    CHECK(late.good()); // as a probe
    CHECK(late.now_is() == state::half_open);

    script old;
    old.machine.restore("refused", 1, 61s, old.now);
    CHECK(old.now_is() == state::closed);
    script future;
    future.machine.restore("refused", 1, -1s, future.now);
    CHECK(future.now_is() == state::closed);
}

TEST_CASE("other settings keep the state, and another window begins anew") {
    script s;
    s.bad(5);
    auto settings = s.machine.settings();
    settings.window_calls = 10;
    s.machine.configure(settings);
    CHECK(s.now_is() == state::open);
    CHECK(s.machine.window().calls() == 0);
}

TEST_CASE("whatever happens there are never more probes under way than allowed, and an outage always ends") {
    std::uint32_t seed = 7;
    auto const next = [&seed](std::uint32_t below) {
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % below;
    };
    for (int round = 0; round < 50; ++round) {
        breaker_settings settings;
        settings.window_time = round % 2 == 0 ? 0ms : 3000ms;
        settings.half_open_probes = 1 + next(3);
        script s{settings};
        std::vector<breaker::call> held;
        base::duration at{0};
        for (int step = 0; step < 400; ++step) {
            at += std::chrono::milliseconds{next(700)};
            s.at(at);
            if (auto const c = s.machine.admit(s.now)) held.push_back(*c);
            std::size_t probes = 0;
            for (auto const& c : held) probes += c.probe ? 1 : 0;
            if (s.now_is() == state::half_open) CHECK(probes <= settings.half_open_probes);
            while (!held.empty() && next(2) == 0) {
                auto const c = held.back();
                held.pop_back();
                if (auto const what = next(4); what == 0) s.machine.abandoned(c);
                else if (what == 1) s.machine.succeeded(c, 1ms, false, s.now, 0.5);
                else s.machine.failed(c, "x", s.now, 0.5);
            }
            std::erase_if(held, [&](auto const& c) { // what belongs to an earlier state is over
                if (s.now_is() == state::half_open && c.probe) return false;
                s.machine.abandoned(c);
                return true;
            });
        }
        at += 10min;
        s.at(at);
        for (int i = 0; i < 3; ++i) s.good();
        CHECK(s.now_is() == state::closed);
    }
}
