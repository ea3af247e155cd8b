#include "pgmend/catalog/sharing.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::catalog;

namespace {

snapshot::relation_ptr table(oid id, std::string name) {
    return std::make_shared<relation const>(
        relation{id, "public", std::move(name), 'r', {{.number = 1, .name = "id", .type = 20}}});
}

} // namespace

TEST_CASE("relations that did not change become the objects of the version before") {
    snapshot const before{{"1", 2}, {table(10, "a"), table(11, "b")}};
    std::vector<snapshot::relation_ptr> next{table(11, "b"), table(10, "a")};
    CHECK(share_unchanged(before, next) == 0);
    CHECK(next[0] == before.relations()[1]);
    CHECK(next[1] == before.relations()[0]);
}

TEST_CASE("added, removed and changed relations are counted, and changed ones are kept apart") {
    snapshot const before{{"1", 2}, {table(10, "a"), table(11, "b"), table(12, "c")}};
    std::vector<snapshot::relation_ptr> next{table(10, "a"), table(11, "renamed"), table(13, "c")};
    CHECK(share_unchanged(before, next) == 3);
    CHECK(next[0] == before.relations()[0]);
    CHECK(next[1]->name == "renamed");
    CHECK(next[2]->id == 13);
    CHECK(before.find(11)->name == "b");
}

TEST_CASE("everything counts as changed against an empty version, and nothing in two empty ones") {
    snapshot const nothing{{"1", 2}, {}};
    std::vector<snapshot::relation_ptr> two{table(10, "a"), table(11, "b")};
    CHECK(share_unchanged(nothing, two) == 2);
    std::vector<snapshot::relation_ptr> none;
    CHECK(share_unchanged(nothing, none) == 0);
    CHECK(share_unchanged(snapshot{{"1", 2}, two}, none) == 2);
}
