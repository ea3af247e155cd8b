#include "pgmend/net/kept_answers.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::chrono_literals;

TEST_CASE("the last answer is kept, with its age, and only as old as it may be") {
    net::kept_answers kept;
    base::time_point const now{1h};
    kept.keep("a", "old", now);
    kept.keep("a", "new", now + 10s);
    auto const found = kept.find("a", 5min, now + 70s);
    REQUIRE(found);
    CHECK(*found->answer == "new");
    CHECK(found->age == 60s);
    CHECK_FALSE(kept.find("a", 59s, now + 70s));
    CHECK_FALSE(kept.find("b", 5min, now + 70s));
    CHECK(kept.bytes() == 4);
}

TEST_CASE("kept answers are bounded: the one not renewed for longest goes first") {
    net::kept_answers kept;
    base::time_point const now{1h};
    std::string const large(net::kept_answers::most_bytes_of_one, 'x');
    for (int i = 0; i < 16; ++i) kept.keep(std::to_string(i), large, now);
    CHECK(kept.bytes() <= net::kept_answers::most_bytes);
    CHECK_FALSE(kept.find("0", 1h, now));
    CHECK(kept.find("15", 1h, now));
    kept.keep("1", large, now); // renewed
    kept.keep("more", large, now);
    CHECK(kept.find("1", 1h, now));
    CHECK_FALSE(kept.find("2", 1h, now));
    kept.keep("15", large + "x", now); // too large: the old one is no longer the last answer
    CHECK_FALSE(kept.find("15", 1h, now));
}
