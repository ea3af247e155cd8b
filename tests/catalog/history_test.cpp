#include "pgmend/catalog/history.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::catalog;

namespace {

database_identity const here{"7301", 16384};

std::shared_ptr<snapshot const> version(std::string name, database_identity identity = here) {
    auto users = std::make_shared<relation const>(relation{10, "public", std::move(name), 'r', {}});
    return std::make_shared<snapshot const>(std::move(identity), std::vector<snapshot::relation_ptr>{users});
}

} // namespace

TEST_CASE("a history begins with one version of generation 1") {
    auto const h = history::with(nullptr, version("users"));
    REQUIRE(h->versions().size() == 1);
    CHECK(h->generation() == 1);
    CHECK(h->current().find("public", "users") != nullptr);
}

TEST_CASE("where nothing changed the history stays the same object") {
    auto const h = std::make_shared<history const>(version("users"));
    CHECK(history::with(h, version("users")) == h);
}

TEST_CASE("a change adds a version and counts the generation up, and the old history stays as it was") {
    auto const h = std::make_shared<history const>(version("users"));
    auto const next = history::with(h, version("clients"));
    REQUIRE(next->versions().size() == 2);
    CHECK(next->generation() == 2);
    CHECK(next->versions()[0] == h->versions()[0]);
    CHECK(next->current().find("public", "clients") != nullptr);
    CHECK(h->versions().size() == 1);
    CHECK(h->generation() == 1);
}

TEST_CASE("going back to an earlier schema is a change as well") {
    auto h = std::make_shared<history const>(version("users"));
    h = history::with(h, version("clients"));
    h = history::with(h, version("users"));
    CHECK(h->versions().size() == 3);
    CHECK(h->generation() == 3);
}

TEST_CASE("lineage ends where the identity of the database differs") {
    auto const h = history::with(std::make_shared<history const>(version("users")), version("clients"));
    for (auto const& other : {database_identity{"7301", 16999}, database_identity{"7302", 16384}}) {
        auto const next = history::with(h, version("clients", other));
        REQUIRE(next->versions().size() == 1);
        CHECK(next->current().identity() == other);
        CHECK(next->generation() == 3);
    }
}

TEST_CASE("past the bound the oldest version is forgotten") {
    auto h = std::make_shared<history const>(version("v1"));
    for (std::size_t i = 2; i <= history::most_versions + 3; ++i) h = history::with(h, version("v" + std::to_string(i)));
    CHECK(h->versions().size() == history::most_versions);
    CHECK(h->generation() == history::most_versions + 3);
    CHECK(h->versions().front()->find("public", "v4") != nullptr);
    CHECK(h->current().find("public", "v" + std::to_string(history::most_versions + 3)) != nullptr);
}

namespace {

std::shared_ptr<history const> many(std::initializer_list<char const*> names) {
    std::shared_ptr<history const> h;
    for (auto const* name : names) h = history::with(h, version(name));
    return h;
}

/// `t1` to `tn` beside a table whose name is given.
std::shared_ptr<snapshot const> with_tables(std::string name, unsigned count) {
    std::vector<snapshot::relation_ptr> all{std::make_shared<relation const>(relation{1, "public", std::move(name), 'r'})};
    for (unsigned i = 1; i <= count; ++i)
        all.push_back(std::make_shared<relation const>(relation{first_user_oid + 10 + i, "public", "t" + std::to_string(i), 'r'}));
    auto first = *all.front();
    first.id = first_user_oid;
    all.front() = std::make_shared<relation const>(first);
    return std::make_shared<snapshot const>(here, std::move(all));
}

} // namespace

TEST_CASE("a history tells what was touched since an earlier version") {
    auto h = history::with(nullptr, with_tables("a", 0));
    h = history::with(h, with_tables("b", 0), 17);
    h = history::with(h, with_tables("b", 1));
    using names = std::vector<std::string>;
    CHECK(h->touched_since(3).names == nullptr);
    CHECK_FALSE(h->touched_since(3).everything);
    CHECK(*h->touched_since(2).names == names{"t1"});
    CHECK(*h->touched_since(1).names == names{"a", "b", "t1"});
    CHECK_FALSE(h->touched_since(1).everything);
    CHECK(h->touched_since(0).everything);
    CHECK(h->touched_since(4).everything);
    CHECK(h->steps()[1]->at == 17);
    CHECK(to_text(h->steps()[1]->changes.at(0)) == "table public.a renamed to b");

    auto const touched = h->touched_since(1);
    CHECK(touched.any_of({"t1"}));
    CHECK(touched.any_of({"0", "b", "c"}));
    CHECK_FALSE(touched.any_of({"c"}));
    CHECK_FALSE(touched.any_of({}));
    CHECK(h->touched_since(0).any_of({}));
    CHECK_FALSE(h->touched_since(3).any_of({"a"}));
}

TEST_CASE("after lineage ended everything was touched") {
    auto h = many({"a", "b"});
    h = history::with(h, version("b", {"7302", 1}));
    CHECK(h->touched_since(2).everything);
    CHECK_FALSE(h->touched_since(3).everything);
}

TEST_CASE("a flood of new tables does not drive out the versions that explain a rename") {
    auto h = history::with(nullptr, with_tables("users", 0));
    h = history::with(h, with_tables("clients", 0));
    for (unsigned i = 1; i <= 1000; ++i) h = history::with(h, with_tables("clients", i));
    CHECK(h->versions().size() == history::most_versions);
    CHECK(h->generation() == 1002);
    CHECK(h->versions()[0]->find("public", "users") != nullptr);
    auto const touched = h->touched_since(2); // given up: what led to it counts as well
    CHECK_FALSE(touched.everything);
    CHECK(touched.names->size() == 1002);
    CHECK(h->touched_since(997).names->size() == 5);
    CHECK(h->touched_since(1).any_of({"users"}));
    CHECK(h->touched_since(500).any_of({"t900"}));
    std::size_t changes = 0;
    for (auto const& step : h->steps()) changes += step->changes.size();
    CHECK(changes < 1000);
}

TEST_CASE("whoever saw a version that was given up is told everything that came after it") {
    auto h = history::with(nullptr, with_tables("v1", 0));
    for (unsigned i = 2; i <= 100; ++i) h = history::with(h, with_tables("v" + std::to_string(i), 0));
    CHECK(h->versions().front()->find("public", "v37") != nullptr);
    CHECK(h->touched_since(36).everything);
    CHECK(h->touched_since(10).everything);
    CHECK_FALSE(h->touched_since(37).everything);
    CHECK(h->touched_since(37).any_of({"v38"}));
}

TEST_CASE("versions that were followed by another too long ago are given up, and what rested on them is judged again") {
    auto h = history::with(nullptr, with_tables("a", 0), 100);
    h = history::with(h, with_tables("b", 0), 200);
    h = history::with(h, with_tables("c", 0), 300);
    history_limits const limits{.versions = 64, .age = std::chrono::microseconds{50}};
    CHECK(history::within(h, 250, limits) == h);
    auto const later = history::within(h, 251, limits);
    REQUIRE(later->versions().size() == 2);
    CHECK(later->versions().front()->find("public", "b") != nullptr);
    CHECK(later->generation() == 4);
    CHECK(later->touched_since(3).any_of({"a"}));
    CHECK_FALSE(later->touched_since(3).everything);
    CHECK(history::within(later, 252, limits) == later);
    auto const last = history::within(later, 1000, limits);
    CHECK(last->versions().size() == 1);
    CHECK(last->current().find("public", "c") != nullptr);
    CHECK(last->generation() == 5);
    CHECK(history::within(last, 5000, limits) == last);
    CHECK(history::within(h, 5000, {}) == h); // no limit of age
}

TEST_CASE("a limit of versions that was lowered holds at once") {
    auto h = history::with(nullptr, with_tables("v0", 0));
    for (int i = 1; i < 20; ++i) h = history::with(h, with_tables("v" + std::to_string(i), 0));
    auto const few = history::within(h, 0, {.versions = 4, .age = {}});
    CHECK(few->versions().size() == 4);
    CHECK(few->generation() == 21);
    CHECK(few->touched_since(20).any_of({"v0"}));
    CHECK(history::with(few, with_tables("v20", 0), 0, {.versions = 4, .age = {}})->versions().size() == 4);
}

TEST_CASE("what rested on the oldest version is judged again when that is given up") {
    auto h = history::with(nullptr, with_tables("a", 0));
    h = history::with(h, with_tables("b", 0), 0, {.versions = 2, .age = {}});
    h = history::with(h, with_tables("c", 0), 0, {.versions = 2, .age = {}});
    CHECK(h->versions().size() == 2);
    CHECK(h->touched_since(2).any_of({"a"}));
}
