#include "pgmend/backend/replay_lag.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::chrono_literals;

TEST_CASE("a replica is as old as the newest position of the primary that it has replayed") {
    backend::replay_lag lag;
    base::time_point const start{1h};
    CHECK_FALSE(lag.of(100, start));
    for (int s = 0; s <= 10; ++s) lag.primary_is_at(100 + static_cast<std::uint64_t>(s), start + std::chrono::seconds{s});
    CHECK(lag.of(110, start + 10s) == 0ms);
    CHECK(lag.of(500, start + 10s) == 0ms);
    CHECK(lag.of(105, start + 10s) == 5000ms);
    CHECK(lag.of(100, start + 12s) == 12000ms);
    CHECK_FALSE(lag.of(99, start + 12s));
}

TEST_CASE("a replica of an idle primary does not get older, and one that lost its primary does") {
    backend::replay_lag lag;
    base::time_point const start{1h};
    for (int s = 0; s <= 100; ++s) lag.primary_is_at(7, start + std::chrono::seconds{s});
    CHECK(lag.of(7, start + 100s) == 0ms);
    CHECK(lag.of(7, start + 130s) == 30000ms);
    lag.primary_is_at(8, start + 131s);
    CHECK(lag.of(7, start + 131s) == 31000ms);
}

TEST_CASE("what another primary wrote counts for nothing, nor what is older than an hour") {
    backend::replay_lag lag;
    base::time_point const start{1h};
    lag.primary_is_at(100, start);
    lag.primary_is_at(50, start + 1s); // a log that goes back
    CHECK(lag.of(60, start + 1s) == 0ms);
    CHECK_FALSE(lag.of(40, start + 1s));
    lag.primary_is_at(60, start + 2h);
    CHECK_FALSE(lag.of(50, start + 2h));
    lag.forget();
    CHECK_FALSE(lag.of(60, start + 2h));
}
