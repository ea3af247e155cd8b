#include "pgmend/catalog/snapshot.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>

using namespace pgmend::catalog;

namespace {

snapshot::relation_ptr table(oid id, std::string schema, std::string name, std::vector<column> columns = {}) {
    return std::make_shared<relation const>(relation{id, std::move(schema), std::move(name), 'r', std::move(columns)});
}

column text(std::int16_t number, std::string name) { return {.number = number, .name = std::move(name), .type = 25}; }

database_identity const here{"7301", 16384};

} // namespace

TEST_CASE("a relation finds its columns by name and by number") {
    auto const users = table(16400, "public", "users", {text(1, "id"), text(2, "name"), text(5, "Email")});
    CHECK(users->find_column("name")->number == 2);
    CHECK(users->find_column("Email")->number == 5);
    CHECK(users->find_column("email") == nullptr);
    CHECK(users->find_column(std::int16_t{5})->name == "Email");
    CHECK(users->find_column(std::int16_t{3}) == nullptr);
    CHECK(users->find_column(std::int16_t{6}) == nullptr);
    CHECK(table(1, "s", "without_columns")->find_column("a") == nullptr);
}

TEST_CASE("a snapshot keeps relations ascending by oid and finds them by name and by oid") {
    snapshot const s{here, {table(30, "public", "b"), table(10, "crm", "a"), table(20, "public", "a")}};
    REQUIRE(s.relations().size() == 3);
    CHECK(s.relations()[0]->id == 10);
    CHECK(s.relations()[2]->id == 30);
    CHECK(s.find("public", "a")->id == 20);
    CHECK(s.find("crm", "a")->id == 10);
    CHECK(s.find("crm", "b") == nullptr);
    CHECK(s.find("", "a") == nullptr);
    CHECK(s.find("publi", "ca") == nullptr);
    CHECK(s.find(30)->name == "b");
    CHECK(s.find(15) == nullptr);
    CHECK(s.find(31) == nullptr);
}

TEST_CASE("a snapshot knows the schemas that have a relation") {
    snapshot const s{here, {table(1, "public", "b"), table(2, "crm", "a")}};
    CHECK(s.has_schema("public"));
    CHECK(s.has_schema("crm"));
    CHECK_FALSE(s.has_schema("cr"));
    CHECK_FALSE(s.has_schema("crmm"));
    CHECK_FALSE(s.has_schema(""));
    CHECK_FALSE(snapshot{here, {}}.has_schema("public"));
}

TEST_CASE("of two relations with the same schema and name the last one given wins") {
    snapshot const s{here, {table(9, "public", "a"), table(3, "public", "a")}};
    CHECK(s.find("public", "a")->id == 3);
    CHECK(s.find(9) != nullptr);
}

TEST_CASE("an unqualified name is the first along the search path") {
    snapshot const s{here, {table(1, "one", "t"), table(2, "two", "t"), table(3, "two", "u")}};
    CHECK(s.find_in_path({"one", "two"}, "t")->id == 1);
    CHECK(s.find_in_path({"two", "one"}, "t")->id == 2);
    CHECK(s.find_in_path({"one", "two"}, "u")->id == 3);
    CHECK(s.find_in_path({"one"}, "u") == nullptr);
    CHECK(s.find_in_path({"nowhere", "two"}, "t")->id == 2);
    CHECK(s.find_in_path({}, "t") == nullptr);
}

TEST_CASE("pg_catalog comes first unless the search path names it") {
    snapshot const s{here, {table(1, "pg_catalog", "pg_class"), table(2, "public", "pg_class")}};
    CHECK(s.find_in_path({"public"}, "pg_class")->id == 1);
    CHECK(s.find_in_path({}, "pg_class")->id == 1);
    CHECK(s.find_in_path({"public", "pg_catalog"}, "pg_class")->id == 2);
}

TEST_CASE("two snapshots are the same schema where identity, names, columns and types are") {
    auto const users = table(10, "public", "users", {text(1, "id")});
    snapshot const s{here, {users, table(11, "public", "orders")}};
    CHECK(s.same_schema(s));
    CHECK(s.same_schema(snapshot{here, {table(11, "public", "orders"), users}}));
    CHECK(s.same_schema(snapshot{here, {table(11, "public", "orders"), table(10, "public", "users", {text(1, "id")})}}));

    CHECK_FALSE(s.same_schema(snapshot{here, {users}}));
    CHECK_FALSE(s.same_schema(snapshot{here, {users, table(11, "public", "bills")}}));
    CHECK_FALSE(s.same_schema(snapshot{here, {users, table(11, "crm", "orders")}}));
    CHECK_FALSE(s.same_schema(snapshot{here, {users, table(12, "public", "orders")}}));
    CHECK_FALSE(s.same_schema(snapshot{{"7302", 16384}, s.relations()}));
    CHECK_FALSE(s.same_schema(snapshot{{"7301", 16385}, s.relations()}));
    auto changed = text(1, "id");
    changed.type = 23;
    CHECK_FALSE(s.same_schema(snapshot{here, {table(11, "public", "orders"), table(10, "public", "users", {changed})}}));
    changed = text(1, "id");
    changed.not_null = true;
    CHECK_FALSE(s.same_schema(snapshot{here, {table(11, "public", "orders"), table(10, "public", "users", {changed})}}));
}

TEST_CASE("a copy of a snapshot outlives the original") {
    auto first = std::make_unique<snapshot>(here, std::vector{table(1, "public", "users")});
    snapshot const copy{*first};
    first.reset();
    CHECK(copy.find("public", "users")->id == 1);
}

TEST_CASE("a version made of what differs is the one made of all objects") {
    std::minstd_rand random{7};
    auto const made = [](oid id, unsigned name) {
        return std::make_shared<relation const>(relation{id, name % 2 ? "a" : "b", "t" + std::to_string(name)});
    };
    std::map<oid, snapshot::relation_ptr> truth;
    auto version = std::make_shared<snapshot const>(database_identity{"1", 2}, std::vector<snapshot::relation_ptr>{});
    for (unsigned round = 0; round < 200; ++round) {
        replacements what;
        std::set<oid> touched;
        for (unsigned i = 0, n = random() % 4; i < n; ++i) {
            auto const id = static_cast<oid>(20000 + random() % 30);
            if (!touched.insert(id).second) continue;
            if (random() % 3 == 0) {
                what.relations.gone.push_back(id);
                truth.erase(id);
            } else {
                what.relations.changed.push_back(truth[id] = made(id, static_cast<unsigned>(1000 * round + random() % 1000)));
            }
        }
        version = std::make_shared<snapshot const>(*version, what);
        std::vector<snapshot::relation_ptr> all;
        for (auto const& [id, r] : truth) all.push_back(r);
        snapshot const whole{{"1", 2}, all};
        REQUIRE(version->relations() == whole.relations());
        for (auto const& r : all) REQUIRE(version->find(r->schema, r->name) == whole.find(r->schema, r->name));
        REQUIRE(version->find("a", "none") == nullptr);
    }
}
