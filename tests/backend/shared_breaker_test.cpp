#include "pgmend/backend/shared_breaker.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace pgmend;
using namespace pgmend::backend;
using namespace std::chrono_literals;

namespace {

constexpr base::time_point now{1h};

void fail(shared_breaker& b, int count, base::time_point when = now) {
    for (int i = 0; i < count; ++i)
        if (auto const c = b.admit(when)) b.failed(*c, "refused", when);
}

} // namespace

TEST_CASE("a shared breaker tells of each change of state once") {
    std::vector<std::string> told;
    shared_breaker b{"primary", {}, 7, now, [&](shared_breaker& which, breaker::transition const& t) {
                         told.push_back(which.name() + " " + name_of(t.to) + " " + t.reason);
                     }};
    CHECK(b.closed());
    fail(b, 7);
    CHECK_FALSE(b.closed());
    CHECK(told == std::vector<std::string>{"primary open refused"});
    auto const view = b.describe(now + 1s);
    CHECK(view.since == 1s);
    CHECK(view.next_probe > 2s); // 5 s, less jitter, less the second
    CHECK(view.next_probe <= 5s);
    CHECK(view.counted.refused == 2);
}

TEST_CASE("quick successes are heard of when something fails") {
    breaker_settings settings;
    settings.consecutive_failures = 0;
    shared_breaker b{"x", settings, 7, now, nullptr};
    for (int i = 0; i < 11; ++i) b.succeeded(*b.admit(now), 1ms, false, now);
    fail(b, 9);
    CHECK(b.closed());
    CHECK(b.describe(now).calls == 20);
    CHECK(b.describe(now).counted.calls == 20);
    fail(b, 1);
    CHECK_FALSE(b.closed());
}

TEST_CASE("tallies of several threads count as successes") {
    breaker_settings settings;
    settings.minimum_calls = 100;
    shared_breaker b{"x", settings, 7, now, nullptr};
    auto& one = b.new_tally();
    auto& two = b.new_tally();
    fail(b, 4);
    one.add_one();
    fail(b, 4);
    two.add_one();
    fail(b, 4);
    CHECK(b.closed());
    fail(b, 1);
    CHECK_FALSE(b.closed());
}

TEST_CASE("in a window by time successes of long ago do not outweigh failures of now") {
    breaker_settings settings;
    settings.window_time = 10s;
    settings.consecutive_failures = 0;
    shared_breaker b{"x", settings, 7, now, nullptr};
    auto& t = b.new_tally();
    for (int i = 0; i < 3600; ++i) t.add_one();
    fail(b, 30, now + 1h); // ten of the 3600 are taken to be in the window
    CHECK_FALSE(b.closed());
    CHECK(b.describe(now + 1h).failures == 10);
}

TEST_CASE("a registry finds breakers by name in any case and gives new settings to all") {
    breaker_registry all{7};
    auto& a = all.get("Primary", now);
    auto& b = all.get("replica", now);
    CHECK(&all.get("primary", now) == &a);
    CHECK(all.find("REPLICA") == &b);
    CHECK(all.find("nobody") == nullptr);
    breaker_settings off;
    off.mode = breaker_mode::off;
    all.configure(off, now);
    fail(a, 100);
    CHECK(a.describe(now).state == breaker_state::closed);
    CHECK(all.get("third", now).describe(now).mode == breaker_mode::off);
    CHECK(all.all().size() == 3);
}

TEST_CASE("many threads may ask and tell, and every outcome is counted") {
    breaker_settings settings;
    settings.consecutive_failures = 0;
    settings.failure_rate = 1.0;
    settings.minimum_calls = 1000;
    shared_breaker b{"x", settings, 7, now, nullptr};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        auto work = [&b, n] {
            auto& t = b.new_tally();
            for (int i = 0; i < 5000; ++i) {
                t.add_one();
                auto const c = b.admit(now);
                if (i % 50 == n) b.failed(*c, "x", now);
                else b.succeeded(*c, 1ms, false, now);
            }
        };
        threads.emplace_back(work);
    }
    for (auto& t : threads) t.join();
    auto const view = b.describe(now);
    CHECK(view.counted.calls == 40000);
    CHECK(view.counted.failures == 400);
    CHECK(view.state == breaker_state::closed);
}
