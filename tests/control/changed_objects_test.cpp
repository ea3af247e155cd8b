#include "control/changed_objects.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::control;
using catalog::oid;

namespace {

using ids = std::vector<oid>;

std::shared_ptr<catalog::relation> table(oid id, std::string name) {
    auto r = std::make_shared<catalog::relation>();
    r->id = id;
    r->schema = "public";
    r->name = std::move(name);
    r->constraints.push_back({.id = id + 1000, .name = "c", .kind = 'c', .columns = {}});
    r->unique_indexes.push_back({.id = id + 2000, .name = "i", .columns = {1}, .predicate = {}, .expressions = {}});
    return r;
}

std::shared_ptr<catalog::type_entry> type(oid id, std::string name, oid of_relation = 0, oid array = 0) {
    auto t = std::make_shared<catalog::type_entry>();
    t->id = id;
    t->schema = "public";
    t->name = std::move(name);
    t->relation = of_relation;
    t->array = array;
    return t;
}

catalog::snapshot two_tables() {
    catalog::contents all;
    all.relations = {table(20000, "a"), table(20001, "b")};
    all.types = {type(30000, "a", 20000, 30001), type(30001, "_a"), type(30002, "mood")};
    return {{"1", 2}, all};
}

} // namespace

TEST_CASE("a notice of the event trigger names objects and who changed them") {
    auto const n = change_notice::read("pgmend:1 r16390,t16391,p7,c9 alice, psql 1, x, ALTER TABLE");
    CHECK_FALSE(n.what.anything);
    CHECK(n.what.relations == ids{16390});
    CHECK(n.what.types == ids{16391});
    CHECK(n.what.functions == ids{7});
    CHECK(n.what.constraints == ids{9});
    CHECK(n.who == "alice, psql 1, x, ALTER TABLE");
}

TEST_CASE("a notice that is not understood says that anything may have changed") {
    CHECK(change_notice::read("alice, psql, ALTER TABLE").what.anything); // of an earlier version of pgmend
    CHECK(change_notice::read("alice, psql, ALTER TABLE").who == "alice, psql, ALTER TABLE");
    for (auto const* text : {"", "pgmend:1 * bob, DROP SCHEMA", "pgmend:1 r16390,x5 bob", "pgmend:1 r bob", "pgmend:1 r1,,r2 bob", "pgmend:1 rr", "pgmend:2 r1 bob"})
        CHECK(change_notice::read(text).what.anything);
}

TEST_CASE("a constraint and an index stand for their table, a table for its row type, a type for its array") {
    auto const known = two_tables();
    changed_objects what;
    what.constraints = {21000};
    CHECK(with_dependents(what, known).relations == ids{20000});
    CHECK(with_dependents(what, known).types == ids{30000, 30001});
    what = {};
    what.relations = {22001};
    CHECK(with_dependents(what, known).relations == ids{20001, 22001});
}

TEST_CASE("a row type stands for its table, or its attributes") {
    changed_objects what;
    what.types = {30000};
    CHECK(with_dependents(what, two_tables()).relations == ids{20000});
}

TEST_CASE("what the server adds to the named objects is told apart from what was known to go with them") {
    changed_objects what;
    what.relations = {20000};
    what.types = {30000, 30001};
    changed_objects more;
    more.relations = {20000};
    more.types = {30001, 30000};
    CHECK_FALSE(what.add_new(more));
    more.relations.push_back(19999);
    CHECK(what.add_new(more));
    CHECK(what.relations == ids{19999, 20000});
}

TEST_CASE("of what was read again only what differs replaces something, and what was not found is gone") {
    auto const known = two_tables();
    changed_objects asked;
    asked.relations = {20000, 20001, 20002, 99999};
    asked.types = {30002};
    fresh_objects fresh;
    fresh.relations = {table(20000, "a"), table(20002, "c")};
    auto const what = compare(known, asked, fresh);
    REQUIRE(what.relations.changed.size() == 1);
    CHECK(what.relations.changed.front()->name == "c");
    CHECK(what.relations.gone == ids{20001});
    CHECK(what.types.gone == ids{30002});
    catalog::snapshot const next{known, what};
    CHECK(next.find("public", "a") == known.find("public", "a"));
    CHECK(next.find("public", "b") == nullptr);
    CHECK(next.find("public", "c")->id == 20002);
    CHECK(next.find_type("public", "mood") == nullptr);
    CHECK(object_counts::of(next) == object_counts{2, 2, 2, 2, 0});
    CHECK_FALSE(next.has_double_names(what));
}

TEST_CASE("a version with two relations of one name is noticed") {
    auto const known = two_tables();
    catalog::replacements what;
    what.relations.changed = {table(20000, "b")};
    CHECK(catalog::snapshot{known, what}.has_double_names(what));
}

TEST_CASE("the name of a type is part of an index's expression, a new type is not") {
    auto indexed = table(20000, "a");
    indexed->unique_indexes.front().predicate = "(m = 'sad'::mood)";
    catalog::contents all;
    all.relations = {indexed};
    all.types = {type(30002, "mood")};
    catalog::snapshot const known{{"1", 2}, all};
    catalog::replacements renamed;
    renamed.types.changed = {type(30002, "feeling")};
    CHECK(reaches_expressions(known, renamed));
    catalog::replacements added;
    added.types.changed = {type(30003, "feeling")};
    CHECK_FALSE(reaches_expressions(known, added));
    CHECK_FALSE(reaches_expressions(two_tables(), renamed));
}

TEST_CASE("what had a name is found in every version that is known, with what it rests on now") {
    auto const renamed = [](oid id, std::string name, oid column_type) {
        auto r = table(id, std::move(name));
        r->columns.push_back({.number = 1, .name = "x", .type = column_type});
        return r;
    };
    catalog::contents before;
    before.relations = {renamed(20000, "a", 30002), table(20001, "b")};
    before.types = {type(30002, "mood"), type(30003, "state")};
    auto const first = std::make_shared<catalog::snapshot const>(catalog::database_identity{"1", 2}, before);
    auto after = before;
    after.relations = {renamed(20000, "c", 30003), table(20001, "b")};
    auto const known = catalog::history::with(std::make_shared<catalog::history const>(first), std::make_shared<catalog::snapshot const>(catalog::database_identity{"1", 2}, after));

    auto const old = objects_called(*known, {"a", "nothing"});
    CHECK(old.what.relations == ids{20000});
    CHECK(old.what.types == ids{30003});
    CHECK(old.names == std::vector<std::string>{"a"});
    CHECK(objects_called(*known, {"c"}).what.relations == ids{20000});
    CHECK(objects_called(*known, {"mood"}).what.types == ids{30002});
    CHECK(objects_called(*known, {"nothing", "x"}).what.size() == 0);
}
