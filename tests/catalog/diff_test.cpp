#include "healing/schema_script.hpp"
#include "pgmend/catalog/diff.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgmend;
using namespace pgmend::catalog;
using healing::testing::schema_script;

namespace {

struct versions {
    std::shared_ptr<snapshot const> before;
    std::shared_ptr<snapshot const> after;
};

versions run(std::string_view first, std::string_view then) {
    schema_script script;
    script.run(first);
    versions v{script.take(), nullptr};
    script.run(then);
    v.after = script.take();
    return v;
}

/// Each change as `severity: text`.
std::vector<std::string> told(std::string_view first, std::string_view then) {
    auto const v = run(first, then);
    std::vector<std::string> texts;
    for (auto const& c : diff(*v.before, *v.after)) texts.push_back(std::string{to_text(c.level)} + ": " + to_text(c));
    return texts;
}

using texts = std::vector<std::string>;
std::string const users = "CREATE SCHEMA crm; CREATE TABLE users (id int PRIMARY KEY, name text, email varchar(20))";

} // namespace

TEST_CASE("no change is told of a schema that is the same") { CHECK(told(users, "").empty()); }

TEST_CASE("renames and moves are minor") {
    CHECK(told(users, "ALTER TABLE users RENAME COLUMN email TO mail") == texts{"minor: column public.users.email renamed to mail"});
    CHECK(told(users, "ALTER TABLE users RENAME TO clients") == texts{"minor: table public.users renamed to clients"});
    CHECK(told(users, "ALTER TABLE users RENAME TO clients; ALTER TABLE clients SET SCHEMA crm; ALTER TABLE crm.clients RENAME name TO n") ==
          texts{"minor: table public.users moved to crm", "minor: table public.users renamed to clients",
                "minor: column public.users.name renamed to n"});
    CHECK(told(users, "ALTER TABLE users RENAME CONSTRAINT users_pkey TO pk") ==
          texts{"minor: constraint public.users.users_pkey renamed to pk"});
}

TEST_CASE("what is in a schema that is renamed has not moved") {
    CHECK(told("CREATE SCHEMA a; CREATE TABLE a.t (id int); CREATE TYPE a.e AS ENUM ('x'); CREATE FUNCTION a.f() RETURNS int AS $$ x $$",
               "ALTER SCHEMA a RENAME TO b") == texts{"minor: schema a renamed to b"});
}

TEST_CASE("what is dropped is major, what is added is not") {
    CHECK(told(users, "DROP TABLE users; CREATE TABLE others (id int)") == texts{"major: table public.users dropped", "info: table public.others added"});
    CHECK(told(users, "ALTER TABLE users DROP COLUMN name; ALTER TABLE users ADD COLUMN age int") ==
          texts{"major: column public.users.name dropped", "info: column public.users.age added"});
    CHECK(told(users, "ALTER TABLE users ADD COLUMN age int NOT NULL") == texts{"major: column public.users.age added: needs a value"});
    CHECK(told(users, "ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 0") == texts{"info: column public.users.age added"});
    CHECK(told(users, "DROP SCHEMA crm; CREATE SCHEMA s; CREATE SEQUENCE q") ==
          texts{"major: schema crm dropped", "info: schema s added", "info: sequence public.q added"});
}

TEST_CASE("a name that is used again is critical") {
    CHECK(told(users, "ALTER TABLE users DROP COLUMN name; ALTER TABLE users ADD COLUMN name text") ==
          texts{"critical: column public.users.name replaced: dropped -> new"});
    CHECK(told(users, "ALTER TABLE users RENAME name TO old; ALTER TABLE users ADD COLUMN name text") ==
          texts{"minor: column public.users.name renamed to old", "critical: column public.users.name replaced: now old -> new"});
    CHECK(told(users, "ALTER TABLE users RENAME name TO x; ALTER TABLE users RENAME email TO name; ALTER TABLE users RENAME x TO email") ==
          texts{"minor: column public.users.name renamed to email", "critical: column public.users.name replaced: now email -> was email",
                "minor: column public.users.email renamed to name", "critical: column public.users.email replaced: now name -> was name"});
    CHECK(told(users, "DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, name text, email varchar(20))") ==
          texts{"critical: table public.users replaced: dropped -> new"});
    CHECK(told("CREATE TABLE a (id int); CREATE TABLE b (id int)", "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a") ==
          texts{"minor: table public.a renamed to c", "minor: table public.b renamed to a",
                "critical: table public.a replaced: now public.c -> was public.b"});
}

TEST_CASE("a view that is made again with the same columns is no event") {
    CHECK(told(users + "; CREATE VIEW v AS SELECT id FROM users", "DROP VIEW v; CREATE VIEW v AS SELECT id FROM users") ==
          texts{"info: view public.v replaced: dropped -> new"});
    CHECK(told(users + "; CREATE VIEW v AS SELECT id FROM users", "DROP VIEW v; CREATE VIEW v AS SELECT id, name FROM users") ==
          texts{"critical: view public.v replaced: dropped -> new"});
}

TEST_CASE("retyping is minor where every value fits") {
    auto const level = [](std::string_view from, std::string_view to) {
        auto const v = run("CREATE TABLE t (c " + std::string{from} + ")", "ALTER TABLE t ALTER c TYPE " + std::string{to});
        auto const changes = diff(*v.before, *v.after);
        REQUIRE(changes.size() == 1);
        CHECK(changes[0].kind == change_kind::retyped);
        return std::string{to_text(changes[0].level)};
    };
    CHECK(level("int", "bigint") == "minor");
    CHECK(level("smallint", "numeric") == "minor");
    CHECK(level("varchar(20)", "text") == "minor");
    CHECK(level("varchar(20)", "varchar(30)") == "minor");
    CHECK(level("varchar(20)", "varchar") == "minor");
    CHECK(level("numeric(10,2)", "numeric(12,2)") == "minor");
    CHECK(level("varchar(20)", "varchar(10)") == "major");
    CHECK(level("varchar", "varchar(10)") == "major");
    CHECK(level("numeric(10,2)", "numeric(12,4)") == "major");
    CHECK(level("bigint", "int") == "major");
    CHECK(level("int", "numeric(5,0)") == "major");
    CHECK(level("timestamp", "timestamptz") == "major");
    CHECK(level("char(5)", "text") == "major");
    CHECK(told("CREATE TABLE t (c varchar(20), d int[])", "ALTER TABLE t ALTER c TYPE numeric(10,2), ALTER d TYPE bigint[]") ==
          texts{"major: column public.t.c retyped: varchar(20) -> numeric(10,2)", "major: column public.t.d retyped: int4[] -> int8[]"});
}

TEST_CASE("a value that must be given now is major") {
    CHECK(told(users, "ALTER TABLE users ALTER name SET NOT NULL") == texts{"major: column public.users.name required"});
    CHECK(told("CREATE TABLE t (a int NOT NULL DEFAULT 1, b int DEFAULT 1, c int NOT NULL)",
               "ALTER TABLE t ALTER a DROP DEFAULT; ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE t ALTER c DROP NOT NULL") ==
          texts{"major: column public.t.a required", "minor: column public.t.b required", "info: column public.t.c relaxed"});
    CHECK(told("CREATE TABLE t (a int, b int DEFAULT 1)", "ALTER TABLE t ALTER a SET DEFAULT 1; ALTER TABLE t ALTER b DROP DEFAULT") ==
          texts{"info: column public.t.a altered: has a default", "minor: column public.t.b altered: has no default"});
    CHECK(told("CREATE TABLE t (a int NOT NULL DEFAULT 1)", "ALTER TABLE t ALTER a ADD GENERATED ALWAYS AS IDENTITY") ==
          texts{"major: column public.t.a altered: identity ALWAYS"});
}

TEST_CASE("a lost or changed unique key is major, a new one minor") {
    CHECK(told(users, "ALTER TABLE users DROP CONSTRAINT users_pkey") == texts{"major: constraint public.users.users_pkey dropped"});
    CHECK(told(users, "ALTER TABLE users ADD CONSTRAINT u UNIQUE (name)") == texts{"minor: constraint public.users.u added"});
    CHECK(told(users, "ALTER TABLE users DROP CONSTRAINT users_pkey; ALTER TABLE users ADD PRIMARY KEY (id, name)") ==
          texts{"major: column public.users.name required", "major: constraint public.users.users_pkey replaced"});
    CHECK(told(users, "ALTER TABLE users DROP CONSTRAINT users_pkey; ALTER TABLE users ADD PRIMARY KEY (id)").empty());
    auto const indexed = users + "; CREATE UNIQUE INDEX i ON users (email)";
    CHECK(told(indexed, "DROP INDEX i") == texts{"major: index public.users.i dropped"});
    CHECK(told(indexed, "DROP INDEX i; CREATE UNIQUE INDEX i ON users (email) WHERE id > 0") == texts{"major: index public.users.i altered"});
    CHECK(told(indexed, "ALTER INDEX i RENAME TO j") == texts{"info: index public.users.i renamed to j"});
    CHECK(told(users, "CREATE UNIQUE INDEX i ON users (email)") == texts{"minor: index public.users.i added"});
}

TEST_CASE("types and labels are told of, arrays and row types are not") {
    CHECK(told("CREATE TYPE mood AS ENUM ('sad', 'ok')", "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'; ALTER TYPE mood ADD VALUE 'high'; ALTER TYPE mood RENAME TO state") ==
          texts{"minor: type public.mood renamed to state", "minor: label public.mood.sad renamed to low", "info: label public.mood.high added"});
    CHECK(told("CREATE TYPE mood AS ENUM ('sad')", "DROP TYPE mood") == texts{"major: type public.mood dropped"});
    CHECK(told("CREATE TYPE mood AS ENUM ('sad')", "DROP TYPE mood; CREATE TYPE mood AS ENUM ('ok')") == texts{"major: type public.mood replaced"});
}

TEST_CASE("a composite type's attributes are told of like columns, and it like a type, once") {
    std::string const address = "CREATE TYPE address AS (street text, code int)";
    CHECK(told("", address) == texts{"info: type public.address added"});
    CHECK(told(address, "ALTER TYPE address RENAME ATTRIBUTE street TO road") == texts{"minor: column public.address.street renamed to road"});
    CHECK(told(address, "ALTER TYPE address RENAME TO place") == texts{"minor: type public.address renamed to place"});
    CHECK(told(address, "DROP TYPE address") == texts{"major: type public.address dropped"});
    auto const v = run(address + "; CREATE TABLE users (id int, home address)", "ALTER TYPE address RENAME ATTRIBUTE street TO road");
    CHECK(touched_names(*v.before, *v.after) == texts{"address", "road", "street", "users"});
}

TEST_CASE("functions are told of by their arguments") {
    std::string const total = "CREATE SCHEMA crm; CREATE FUNCTION total(a int) RETURNS int AS $$ 1 $$";
    CHECK(told(total, "ALTER FUNCTION total RENAME TO sum_up; ALTER FUNCTION sum_up SET SCHEMA crm") ==
          texts{"minor: function public.total moved to crm", "minor: function public.total renamed to sum_up"});
    CHECK(told(total, "CREATE FUNCTION total(a text) RETURNS int AS $$ 1 $$") == texts{"minor: function public.total(text) added"});
    CHECK(told(total, "DROP FUNCTION total(int)") == texts{"major: function public.total(int4) dropped"});
    CHECK(told(total, "DROP FUNCTION total(int); CREATE FUNCTION total(b int) RETURNS text AS $$ 1 $$") ==
          texts{"info: function public.total(int4) replaced"});
    CHECK(told(total, "CREATE OR REPLACE FUNCTION total(a int) RETURNS int STABLE AS $$ 1 $$") ==
          texts{"info: function public.total(int4) altered"});
}

TEST_CASE("a summary puts the worst first, is bounded and says how many more there are") {
    auto const v = run(users, "ALTER TABLE users ADD COLUMN a int; ALTER TABLE users RENAME name TO n; ALTER TABLE users DROP COLUMN email");
    auto const changes = diff(*v.before, *v.after);
    CHECK(worst(changes) == severity::major);
    CHECK(summary(changes) == "column public.users.email dropped; column public.users.name renamed to n; column public.users.a added");
    CHECK(summary(changes, 40) == "column public.users.email dropped; and 2 more");
    CHECK(summary({}).empty());
    CHECK(worst({}) == severity::info);
}

TEST_CASE("touched names are all whose meaning can differ") {
    auto const touched = [](std::string_view first, std::string_view then) {
        auto const v = run(first, then);
        return touched_names(*v.before, *v.after);
    };
    CHECK(touched(users, "").empty());
    CHECK(touched(users + "; CREATE TABLE o (id int)", "ALTER TABLE users RENAME COLUMN email TO mail") == texts{"email", "mail", "users"});
    CHECK(touched(users, "ALTER TABLE users RENAME TO clients") == texts{"_clients", "_users", "clients", "users"});
    CHECK(touched(users, "ALTER TABLE users ADD COLUMN age int") == texts{"age", "users"});
    CHECK(touched(users, "ALTER TABLE users ADD CONSTRAINT u UNIQUE (name)") == texts{"u", "users"});
    CHECK(touched("CREATE SCHEMA a; CREATE TABLE a.t (id int)", "ALTER SCHEMA a RENAME TO b") == texts{"_t", "a", "b", "t"});
    CHECK(touched("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (m mood)", "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'") ==
          texts{"low", "mood", "sad"});
    CHECK(touched("CREATE FUNCTION f(int) RETURNS int AS $$ 1 $$", "ALTER FUNCTION f RENAME TO g") == texts{"f", "g"});
}

TEST_CASE("what has a row of a changed relation in it is touched") {
    auto const v = run(users + "; CREATE FUNCTION one() RETURNS users AS $$ 1 $$; CREATE FUNCTION many(users[]) RETURNS int AS $$ 1 $$;"
                               "CREATE DOMAIN checked AS users; CREATE TABLE log (old checked, at int); CREATE FUNCTION other() RETURNS int AS $$ 1 $$",
                       "ALTER TABLE users ADD COLUMN age int");
    CHECK(touched_names(*v.before, *v.after) == texts{"age", "log", "many", "one", "users"});
}

TEST_CASE("a fingerprint does not depend on oids, holes or the order of making, but on all else") {
    auto const print = [](std::string_view ddl) {
        schema_script script;
        script.run(ddl);
        return fingerprint(*script.take());
    };
    auto const first = print("CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY)");
    CHECK(first.size() == 32);
    CHECK(first == print("CREATE TABLE gone (i int); DROP TABLE gone; CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE a (z int, x int, y text);"
                         "ALTER TABLE a DROP COLUMN z"));
    for (auto const* other : {"CREATE TABLE a (x int, y text); CREATE TABLE b (id int)", "CREATE TABLE a (y text, x int); CREATE TABLE b (id int PRIMARY KEY)",
                              "CREATE TABLE a (x int, y varchar); CREATE TABLE b (id int PRIMARY KEY)",
                              "CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY); CREATE SCHEMA s",
                              "CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY); CREATE TYPE e AS ENUM ('x')",
                              "CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS int AS $$ 1 $$"}) {
        INFO(other);
        CHECK(first != print(other));
    }
}
