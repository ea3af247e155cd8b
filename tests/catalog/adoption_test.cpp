#include "pgmend/catalog/adoption.hpp"

#include "pgmend/catalog/diff.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::catalog;

namespace {

struct names {
    std::string table, column;
    bool extra{false};
};

/// A table of two columns with a key, whose oids and numbers begin at `first`; columns have a hole where `hole`.
std::shared_ptr<snapshot const> version(database_identity who, oid first, names const& n, bool hole = false, oid key = 0) {
    auto const second = static_cast<std::int16_t>(hole ? 3 : 2);
    relation r{first, "public", n.table, 'r', {{.number = 1, .name = "id", .type = 23}, {.number = second, .name = n.column, .type = first + 2}}};
    r.constraints.push_back({key == 0 ? first + 5 : key, "users_pkey", 'p', {1}});
    contents all;
    all.relations.push_back(std::make_shared<relation const>(std::move(r)));
    if (n.extra) all.relations.push_back(std::make_shared<relation const>(relation{first + 9, "public", "old", 'r', {{.number = 1, .name = "x", .type = 23}}}));
    type_entry mood{first + 2, "public", "mood", 'e'};
    mood.labels = {{first + 3, "sad"}};
    all.types.push_back(std::make_shared<type_entry const>(std::move(mood)));
    all.schemas.push_back(std::make_shared<schema_entry const>(schema_entry{2200, "public"}));
    return std::make_shared<snapshot const>(std::move(who), std::move(all));
}

std::vector<history::kept_version> kept() {
    database_identity const old{"one", 5};
    return {{version(old, 20000, {"users", "email", true}, true), 3, 100}, {version(old, 20000, {"users", "mail", true}, true), 4, 200},
            {version(old, 20000, {"clients", "mail"}, true), 7, 300}};
}

} // namespace

TEST_CASE("a catalog that was restored has the same names, one that was upgraded the same objects") {
    auto const last = version({"one", 5}, 20000, {"clients", "mail"});
    CHECK(compare_catalogs(*last, *version({"two", 9}, 20000, {"clients", "mail"})) == likeness::same_objects);
    CHECK(compare_catalogs(*last, *version({"two", 9}, 20000, {"clients", "mail"}, false, 40000)) == likeness::same_objects); // as pg_upgrade numbers constraints
    CHECK(compare_catalogs(*last, *version({"two", 9}, 30000, {"clients", "mail"})) == likeness::same_names);
    CHECK(compare_catalogs(*last, *version({"two", 9}, 20000, {"clients", "address"})) == likeness::different);
    CHECK(compare_catalogs(*last, *version({"two", 9}, 20000, {"clients", "mail", true})) == likeness::different);
}

TEST_CASE("versions that are adopted tell the same story of today's objects") {
    auto const current = version({"two", 9}, 30000, {"clients", "mail"});
    auto const versions = adopted(kept(), *current);
    REQUIRE(versions.size() == 2);
    CHECK(versions[0].generation == 3);
    CHECK(versions[1].at == 200);
    auto const* users = versions[0].schema->find("public", "users");
    REQUIRE(users != nullptr);
    CHECK(users->id == 30000);
    CHECK(users->find_column("email")->number == 2); // restored without the hole
    CHECK(users->find_column("email")->type == 30002);
    CHECK(users->constraints.at(0).id == 30005);
    CHECK(versions[0].schema->identity() == current->identity());
    CHECK(versions[0].schema->find("public", "old") == nullptr); // dropped before: nothing stands for it
    CHECK(versions[0].schema->find_type("public", "mood")->labels.at(0).id == 30003);

    auto all = versions;
    all.push_back({current, 8, 400});
    auto const h = history::restored(all);
    auto const changes = diff(*h->versions().front(), h->current());
    std::vector<std::string> texts;
    for (auto const& c : changes) texts.push_back(to_text(c));
    CHECK(texts == std::vector<std::string>{"table public.users renamed to clients", "column public.users.email renamed to mail"});
}

TEST_CASE("one version alone has nothing to hand on") { CHECK(adopted({{version({"one", 5}, 20000, {"a", "b"}), 1, 1}}, *version({"two", 9}, 1, {"a", "b"})).empty()); }
