#include "pgmend/session/batch.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using session::read_batch;

TEST_CASE("an INSERT of several rows falls into them") {
    std::string const sql = "INSERT INTO public.\"Events\" (id, v) VALUES ($1, 'a)'), (2, $3::numeric(10,2)), (-3, now()) ;";
    auto const made = read_batch(sql);
    REQUIRE(made);
    CHECK(made->schema == "public");
    CHECK(made->table == "Events");
    CHECK(made->columns == 2);
    REQUIRE(made->rows.size() == 3);
    CHECK(made->parameters == std::vector<std::vector<std::uint32_t>>{{1}, {3}, {}});
    CHECK(session::rows_alone(sql, *made, 1, 2) == "INSERT INTO public.\"Events\" (id, v) VALUES (2, $3::numeric(10,2))");
    CHECK(session::rows_alone(sql, *made, std::vector<std::size_t>{0, 2}) == "INSERT INTO public.\"Events\" (id, v) VALUES ($1, 'a)'), (-3, now())");
    CHECK(session::rows_alone(sql, *made, std::vector<std::size_t>{}) == "INSERT INTO public.\"Events\" (id, v) SELECT NULL, NULL WHERE false");
}

TEST_CASE("the table of an INSERT is known from its beginning") {
    CHECK(session::table_inserted_into("INSERT INTO public.\"Events\" (id) VALUES ('not clo") == "Events");
    CHECK(session::table_inserted_into("-- x\n insert into Events") == "events");
    CHECK_FALSE(session::table_inserted_into("UPDATE events SET a = 1"));
    CHECK_FALSE(session::table_inserted_into("INSERT INTO"));
    CHECK_FALSE(session::table_inserted_into("WITH x AS (SELECT 1) INSERT INTO events VALUES (1)"));
}

TEST_CASE("constants of every kind may stand in a row") {
    CHECK(read_batch("insert into t values (DEFAULT, NULL, true, ARRAY[1,2], DATE '2024-01-01'), (1, 'x'::public.\"Kind\", $1::double precision, '{}'::int[], "
                     "'a'::timestamp with time zone)"));
}

TEST_CASE("a statement whose rows may not be the same on their own is left whole") {
    for (auto const* sql : {
             "INSERT INTO t VALUES (1)",                                    // one row
             "INSERT INTO t VALUES (1), (2) RETURNING id",
             "INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING",
             "WITH x AS (SELECT 1) INSERT INTO t VALUES (1), (2)",
             "INSERT INTO t SELECT 1 UNION ALL SELECT 2",
             "INSERT INTO t VALUES (1), ((SELECT max(id) FROM t))",
             "INSERT INTO t VALUES (1), (my_function())",
             "INSERT INTO t VALUES (1), (other.now())",
             "INSERT INTO t AS x VALUES (1), (2)",
             "INSERT INTO t VALUES (1), (2); SELECT 1",
             "INSERT INTO t VALUES (1), (2, 3)",                            // its own error
             "INSERT INTO t VALUES (1), (id)",
             "INSERT INTO t DEFAULT VALUES",
             "INSERT INTO t VALUES (1), ('not closed",
         }) {
        INFO(sql);
        CHECK_FALSE(read_batch(sql));
    }
}
