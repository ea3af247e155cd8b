#include "healing/schema_script.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using healing::testing::schema_script;

namespace {

std::shared_ptr<catalog::snapshot const> after(std::string_view ddl) {
    schema_script script;
    script.run(ddl);
    return script.take();
}

} // namespace

TEST_CASE("a script makes columns as PostgreSQL does") {
    auto const s = after("CREATE TABLE t (id bigserial PRIMARY KEY, n numeric(10,2) NOT NULL DEFAULT (1 + 2), v varchar(20) UNIQUE,"
                         " at timestamp with time zone DEFAULT now(), k int GENERATED ALWAYS AS IDENTITY,"
                         " g int GENERATED ALWAYS AS (k * 2) STORED, l text[], r int REFERENCES u (id) ON DELETE SET NULL,"
                         " CONSTRAINT both UNIQUE (n, v));"
                         "ALTER TABLE t ALTER COLUMN v SET NOT NULL, ALTER l TYPE int[] USING NULL, DROP COLUMN r;"
                         "ALTER TABLE t ALTER n DROP DEFAULT; ALTER TABLE t ADD COLUMN r int");
    auto const* t = s->find("public", "t");
    REQUIRE(t != nullptr);
    auto const column = [&](std::string_view name) { return *t->find_column(name); };
    CHECK(column("id") == catalog::column{.number = 1, .name = "id", .type = 20, .type_modifier = -1, .not_null = true, .has_default = true});
    CHECK(column("n") == catalog::column{.number = 2, .name = "n", .type = 1700, .type_modifier = (10 << 16 | 2) + 4, .not_null = true});
    CHECK(column("v") == catalog::column{.number = 3, .name = "v", .type = 1043, .type_modifier = 24, .not_null = true});
    CHECK(column("at").type == 1184);
    CHECK(column("at").has_default);
    CHECK(column("k").identity == 'a');
    CHECK(column("g").generated == 's');
    CHECK(column("l").type == 1007);
    CHECK(column("r").number == 9);
    REQUIRE(t->constraints.size() == 3);
    CHECK(t->constraints[0].name == "t_pkey");
    CHECK(t->constraints[1].name == "t_v_key");
    CHECK(t->constraints[2].name == "both");
    CHECK(t->constraints[2].columns == std::vector<std::int16_t>{2, 3});
    CHECK(t->unique_indexes.size() == 3);
    CHECK(s->find("public", "t_id_seq")->kind == 'S');
    CHECK(s->find_type("public", "t")->relation == t->id);
    CHECK(s->find_type("public", "_t")->element == s->find_type("public", "t")->id);
}

TEST_CASE("a script makes, renames and drops keys and unique indexes") {
    auto const s = after("CREATE SCHEMA crm; CREATE TABLE t (a int, b text, c bool);"
                         "CREATE UNIQUE INDEX ON t (a) WHERE c; CREATE UNIQUE INDEX low ON t (lower(b), a); CREATE INDEX plain ON t (c);"
                         "ALTER TABLE t ADD CONSTRAINT one UNIQUE (b); ALTER TABLE t RENAME CONSTRAINT one TO first;"
                         "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (c); DROP INDEX low; ALTER TABLE t DROP CONSTRAINT t_c_key;"
                         "ALTER TABLE t ADD CONSTRAINT two UNIQUE USING INDEX t_a_idx");
    auto const& t = *s->find("public", "t");
    REQUIRE(t.unique_indexes.size() == 2);
    CHECK(t.unique_indexes[0].name == "two");
    CHECK(t.unique_indexes[0].predicate == "c");
    CHECK(t.unique_indexes[1].name == "first");
    REQUIRE(t.constraints.size() == 2);
    CHECK(t.constraints[0].name == "first");
    CHECK(t.constraints[1].kind == 'u');
}

TEST_CASE("a script makes enums, functions and schemas, whose oids survive renames") {
    schema_script script;
    script.run("CREATE SCHEMA crm; CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE DOMAIN mail AS text;"
               "CREATE FUNCTION total(a int, b mood DEFAULT 'sad') RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT 1 $$;"
               "CREATE OR REPLACE FUNCTION crm.list(int, OUT x text, OUT y int) RETURNS SETOF record LANGUAGE sql AS $$ SELECT set_config('a', 'b', false), 1 $$;"
               "CREATE FUNCTION rows(VARIADIC v int[]) RETURNS TABLE (p text, q double precision) LANGUAGE sql AS $$ SELECT 1 $$");
    auto const before = script.take();
    script.run("ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy'; ALTER TYPE mood ADD VALUE 'ok' BEFORE 'it''s'; ALTER TYPE mood SET SCHEMA crm;"
               "ALTER TYPE crm.mood RENAME TO feeling; ALTER FUNCTION total(int, crm.feeling) RENAME TO sum_up; ALTER SCHEMA crm RENAME TO sales;"
               "DROP FUNCTION rows");
    auto const s = script.take();
    auto const* mood = before->find_type("public", "mood");
    REQUIRE(mood != nullptr);
    CHECK(mood->labels[1].label == "it's");
    auto const* feeling = s->find_type("sales", "feeling");
    REQUIRE(feeling != nullptr);
    CHECK(feeling->id == mood->id);
    REQUIRE(feeling->labels.size() == 3);
    CHECK(feeling->labels[0] == catalog::enum_label{mood->labels[0].id, "unhappy"});
    CHECK(feeling->labels[1].label == "ok");
    CHECK(s->find_type("sales", "_feeling")->id == mood->array);
    CHECK(before->find_type("public", "mail")->base == 25);

    auto const total = before->find_functions("public", "total");
    REQUIRE(total.size() == 1);
    CHECK(total[0]->arguments == std::vector<catalog::oid>{23, mood->id});
    CHECK(total[0]->defaults == 1);
    CHECK(total[0]->result == 20);
    CHECK(total[0]->volatility == 's');
    CHECK_FALSE(total[0]->changes_session);
    CHECK(s->find_functions("public", "sum_up")[0]->id == total[0]->id);
    auto const list = s->find_functions("sales", "list");
    REQUIRE(list.size() == 1);
    CHECK(list[0]->arguments == std::vector<catalog::oid>{23});
    CHECK(list[0]->output_names == std::vector<std::string>{"x", "y"});
    CHECK(list[0]->changes_session);
    auto const rows = before->find_functions("public", "rows");
    CHECK(rows[0]->variadic == 23);
    CHECK(rows[0]->returns_set);
    CHECK(rows[0]->output_names == std::vector<std::string>{"p", "q"});
    CHECK(s->find_functions("public", "rows").empty());
    CHECK(s->has_schema("sales"));
    CHECK_FALSE(s->has_schema("crm"));
    CHECK(s->has_system_function("lower"));
}
