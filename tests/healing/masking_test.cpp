#include "pgmend/healing/planner.hpp"

#include <catch2/catch.hpp>

namespace pgmend::healing {

TEST_CASE("constants of every kind are masked, names and parameters are not") {
    CHECK(normalized("SELECT 'a', E'b\\'c', $$d$$, $x$e$x$, B'0', X'1', U&'f', N'g', 1, 2.5, .5, 1e3, $1, \"h\", t1 FROM t2023") ==
          "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, $1, \"h\", t1 FROM t2023");
    CHECK(normalized("CREATE ROLE r PASSWORD 'secret'") == "CREATE ROLE r PASSWORD ?");
    CHECK(normalized("ALTER SUBSCRIPTION s CONNECTION 'password=x'") == "ALTER SUBSCRIPTION s CONNECTION ?");
    CHECK(normalized("SELECT -1, 0x1F, 1_000") == "SELECT -?, ?, ?");
}

TEST_CASE("comments vanish and white space is one blank") {
    CHECK(normalized("  SELECT /* 'secret' */ a  -- secret\n\tFROM t ") == "SELECT a FROM t");
    CHECK(normalized("a/* x */b") == "a b");
}

TEST_CASE("what cannot be scanned for certain is not shown at all") {
    for (auto const* text : {"SELECT 'secret", "SELECT /* secret", "SELECT $$secret", "SELECT \"secret", "SELECT 'a\\', 'secret'"}) {
        CHECK(normalized(text) == "(unscannable statement)");
    }
}

TEST_CASE("a long statement is cut at a character") {
    CHECK(normalized("SELECT aöb", 9) == "SELECT a");
    CHECK(normalized("SELECT aöb", 10) == "SELECT aö");
    CHECK(normalized("SELECT 'secret", 5) == "(unsc");
    CHECK(normalized("SELECT a", 0).empty());
}

TEST_CASE("a fingerprint does not depend on constants, comments, case and white space") {
    CHECK(fingerprint("SELECT a FROM t WHERE x = 1").size() == 16);
    CHECK(fingerprint("SELECT a FROM t WHERE x = 1") == fingerprint("select A\nfrom t where x='y' -- c"));
    CHECK(fingerprint("SELECT a") != fingerprint("SELECT b"));
    CHECK(fingerprint("SELECT a, b") != fingerprint("SELECT b, a"));
    CHECK(fingerprint("SELECT \"A\"") != fingerprint("SELECT \"a\""));
    CHECK(fingerprint("SELECT orders_2023") != fingerprint("SELECT orders_2024"));
}

} // namespace pgmend::healing
