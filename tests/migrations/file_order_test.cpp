#include "pgmend/migrations/file_order.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using pgmend::migrations::in_order;
using names = std::vector<std::string>;

namespace {

names run(names paths) { return in_order(std::move(paths)).run; }

bool is_expected(names const& paths, std::string const& path) {
    auto const others = in_order(paths).others;
    auto const found = std::ranges::find(others, path, &pgmend::migrations::left_out::path);
    return found != others.end() && found->expected;
}

} // namespace

TEST_CASE("golang-migrate: numbers compare as numbers, down files are left out") {
    names const files{"10_j.up.sql", "10_j.down.sql", "2_b.up.sql", "1_a.up.sql", "1_a.down.sql"};
    CHECK(run(files) == names{"1_a.up.sql", "2_b.up.sql", "10_j.up.sql"});
    CHECK(is_expected(files, "1_a.down.sql"));
}

TEST_CASE("goose, dbmate and sqlx: timestamps and sequences of any length") {
    CHECK(run({"20240102030405_b.sql", "00002_z.sql", "20240101000000_a.sql", "00010_y.sql"}) ==
          names{"00002_z.sql", "00010_y.sql", "20240101000000_a.sql", "20240102030405_b.sql"});
    CHECK(run({"99999999999999999999999_b.sql", "100000000000000000000000_c.sql", "1_a.sql"}) ==
          names{"1_a.sql", "99999999999999999999999_b.sql", "100000000000000000000000_c.sql"});
    CHECK(run({"001_2_factor.sql", "002_a.sql"}) == names{"001_2_factor.sql", "002_a.sql"}); // 001 is all of its number
}

TEST_CASE("Flyway: versions with dots and underscores, repeatable last, undo left out, a baseline only where it is needed") {
    names const files{"V10__j.sql", "V2__b.sql", "V1_10__d.sql", "V1.9__c.sql", "V1.0__a.sql", "U2__b.sql", "R__view.sql", "R__an_earlier_view.sql", "B2__base.sql"};
    CHECK(run(files) == names{"V1.0__a.sql", "V1.9__c.sql", "V1_10__d.sql", "V2__b.sql", "V10__j.sql", "R__an_earlier_view.sql", "R__view.sql"});
    CHECK(is_expected(files, "U2__b.sql"));
    CHECK(is_expected(files, "B2__base.sql"));
    CHECK(run({"V11__next.sql", "B10__base.sql"}) == names{"B10__base.sql", "V11__next.sql"});
    CHECK(run({"V2__b.sql", "beforeMigrate.sql"}) == names{"V2__b.sql"});
    CHECK_FALSE(is_expected({"V2__b.sql", "beforeMigrate.sql"}, "beforeMigrate.sql"));
    CHECK(run({"V001__a.sql", "V1.1__b.sql", "v2__c.sql"}) == names{"V001__a.sql", "V1.1__b.sql", "v2__c.sql"});
}

TEST_CASE("diesel and Prisma: a folder for each migration") {
    CHECK(run({"2024-02-01-000000_b/up.sql", "2024-02-01-000000_b/down.sql", "2024-01-31-000000_a/up.sql"}) ==
          names{"2024-01-31-000000_a/up.sql", "2024-02-01-000000_b/up.sql"});
    CHECK(run({"20240201000000_b/migration.sql", "20240131000000_a/migration.sql"}) == names{"20240131000000_a/migration.sql", "20240201000000_b/migration.sql"});
}

TEST_CASE("several folders are one sequence, unless they use the same numbers") {
    CHECK(run({"b/V1__a.sql", "a/V2__b.sql"}) == names{"b/V1__a.sql", "a/V2__b.sql"});
    CHECK(run({"v10/001.sql", "v2/001.sql", "v2/002.sql"}) == names{"v2/001.sql", "v2/002.sql", "v10/001.sql"});
}

TEST_CASE("a file without a number is told, not guessed at; one alone is read") {
    auto const order = in_order({"seed.sql", "001_a.sql"});
    CHECK(order.run == names{"001_a.sql"});
    REQUIRE(order.others.size() == 1);
    CHECK(order.others[0].path == "seed.sql");
    CHECK_FALSE(order.others[0].expected);
    CHECK(run({"schema.sql"}) == names{"schema.sql"});
    CHECK(run({}).empty());
}

TEST_CASE("two migrations with one number are run in the order of their names") {
    CHECK(run({"003_b.sql", "003_a.sql", "0003_c.sql"}).size() == 3);
    CHECK(run({"003_b.sql", "003_a.sql"}) == names{"003_a.sql", "003_b.sql"});
}
