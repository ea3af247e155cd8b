#include "pgmend/migrations/name_story.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include <fmt/format.h>

using namespace pgmend;
using texts = std::vector<std::string>;

namespace {

std::string told(rules::rule const& r) {
    if (auto const* says = std::get_if<rules::column_renamed>(&r.does))
        return fmt::format("{}.{}.{} > {}", says->column.schema, says->column.table, says->column.column, says->now);
    if (auto const* says = std::get_if<rules::label_renamed>(&r.does)) return fmt::format("label {}.{} > {}", says->type.name, says->label, says->now);
    auto const& says = std::get<rules::object_renamed>(r.does);
    return fmt::format("{}.{} > {}.{}", says.object.schema, says.object.name, says.now.schema, says.now.name);
}

migrations::name_story story(texts const& files) {
    migrations::name_story all;
    for (std::size_t i = 0; i < files.size(); ++i) {
        for (auto const& a : migrations::read_script(files[i]).actions) all.run(a.what, {fmt::format("{}.sql", i + 1), a.line});
    }
    return all;
}

texts renames(texts const& files) {
    texts out;
    for (auto const& r : story(files).renames()) out.push_back(told(r));
    std::ranges::sort(out);
    return out;
}

std::shared_ptr<catalog::relation> table(catalog::oid id, std::string name, texts const& columns) {
    auto r = std::make_shared<catalog::relation>();
    r->id = id;
    r->schema = "public";
    r->name = std::move(name);
    for (auto const& c : columns) r->columns.push_back({.number = static_cast<std::int16_t>(r->columns.size() + 1), .name = c});
    return r;
}

} // namespace

TEST_CASE("a chain of renames leads each old name to the name of today") {
    CHECK(renames({"CREATE TABLE a (x int); ALTER TABLE a RENAME TO b", "ALTER TABLE b RENAME x TO y; ALTER TABLE b RENAME TO c; ALTER TABLE c RENAME y TO z"}) ==
          texts{"public.a > public.c", "public.b > public.c", "public.c.x > z", "public.c.y > z"});
    CHECK(renames({"ALTER TABLE a SET SCHEMA crm; ALTER TABLE crm.a RENAME TO b"}) == texts{"crm.a > crm.b", "public.a > crm.b"});
    CHECK(renames({"ALTER TYPE mood RENAME VALUE 'a' TO 'b'; ALTER TYPE mood RENAME TO m; ALTER SEQUENCE s RENAME TO t; ALTER FUNCTION f() RENAME TO g"}) ==
          texts{"label m.a > b", "public.f > public.g", "public.mood > public.m", "public.s > public.t"});
}

TEST_CASE("a name that was taken back, or that belongs to something else, leads nowhere") {
    CHECK(renames({"ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME TO a"}) == texts{"public.b > public.a"});
    CHECK(renames({"ALTER TABLE a RENAME TO b; CREATE TABLE a (id int)"}).empty());
    CHECK(renames({"ALTER TABLE t RENAME x TO y; ALTER TABLE t ADD COLUMN x int"}).empty());
    CHECK(renames({"ALTER TABLE t RENAME x TO tmp; ALTER TABLE t RENAME y TO x; ALTER TABLE t RENAME tmp TO y"}) == texts{"public.t.tmp > y"}); // swapped
    CHECK(renames({"ALTER TABLE a RENAME TO b; DROP TABLE b; CREATE TABLE b (id int)"}).empty());
    CHECK(renames({"ALTER TABLE t RENAME x TO y; ALTER TABLE t DROP COLUMN y; ALTER TABLE t ADD COLUMN y int"}).empty());
    CHECK(renames({"CREATE TABLE t (x int); DROP TABLE t; CREATE TABLE t (x int); ALTER TABLE t RENAME TO u"}).empty()); // which t?
    CHECK(renames({"DROP TABLE IF EXISTS t; CREATE TABLE t (x int); ALTER TABLE t RENAME TO u"}) == texts{"public.t > public.u"});
    CHECK(renames({"CREATE TABLE IF NOT EXISTS t (x int); CREATE TABLE IF NOT EXISTS t (x int); ALTER TABLE t RENAME TO u"}) == texts{"public.t > public.u"});
}

TEST_CASE("names without a schema are in the first one of search_path, as each migration sets it") {
    CHECK(renames({"SET search_path = app, public; ALTER TABLE a RENAME TO b; RESET search_path; ALTER TABLE a RENAME TO c"}) ==
          texts{"app.a > app.b", "public.a > public.c"});
    CHECK(renames({"ALTER TABLE crm.a RENAME x TO y; ALTER SCHEMA crm RENAME TO sales"}) == texts{"crm.a > sales.a", "sales.a.x > y"});
}

TEST_CASE("a rule tells where its migration is, and that nobody wrote it") {
    auto const all = story({"SELECT 1;\nALTER TABLE a RENAME TO b"}).renames();
    REQUIRE(all.size() == 1);
    CHECK(all[0].where == rules::origin{"1.sql", 2, 1});
    CHECK(all[0].learned);
    CHECK_FALSE(all[0].overrides());
    CHECK(all[0].name == "1.sql:2:a");
}

TEST_CASE("what was dropped is told") {
    auto const lost = story({"DROP TABLE a;\nALTER TABLE b DROP COLUMN x;"}).lost();
    REQUIRE(lost.size() == 2);
    CHECK(lost[0].what == "table public.a");
    CHECK(lost[1].what == "column public.b.x");
    CHECK(lost[1].where.line == 2);
}

TEST_CASE("only what the catalog bears out is kept") {
    catalog::contents all;
    all.relations = {table(20000, "clients", {"id", "mail", "old"}), table(20001, "orders", {"id"})};
    catalog::snapshot const schema{{"1", 2}, all};
    std::vector<migrations::lost_name> lost;
    auto const good = migrations::borne_out(story({"ALTER TABLE users RENAME TO clients; ALTER TABLE clients RENAME email TO mail; ALTER TABLE clients RENAME old TO gone;"
                                                   "ALTER TABLE orders RENAME TO bills; ALTER TABLE x RENAME TO y"}).renames(), schema, lost);
    texts kept;
    for (auto const& r : good) kept.push_back(told(r));
    CHECK(kept == texts{"public.users > public.clients", "public.clients.email > mail"});
    CHECK(lost.size() == 3);
    for (auto const& l : lost) CHECK_FALSE(l.why.empty());
}
