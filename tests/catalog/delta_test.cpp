#include "healing/schema_script.hpp"
#include "pgmend/catalog/delta.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace pgmend;
using namespace pgmend::catalog;
using healing::testing::schema_script;

namespace {

std::string_view const first = "CREATE SCHEMA crm; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);"
                               "CREATE TABLE users (id bigserial PRIMARY KEY, email varchar(20) UNIQUE, m mood NOT NULL, g int GENERATED ALWAYS AS IDENTITY);"
                               "CREATE UNIQUE INDEX low ON users (lower(email), id) WHERE id > 0; CREATE VIEW v AS SELECT id, email FROM users;"
                               "CREATE FUNCTION f(a int, VARIADIC b int[]) RETURNS TABLE (x int, y text) STABLE AS $$ execute $$";
std::string_view const then = "ALTER TABLE users RENAME email TO mail; ALTER TABLE users SET SCHEMA crm; ALTER TYPE mood RENAME VALUE 'sad' TO 'low';"
                              "DROP VIEW v; DROP FUNCTION f; CREATE TABLE orders (id int); ALTER SCHEMA public RENAME TO main";

contents decoded(snapshot const* before, std::string const& bytes) {
    auto all = decode_delta(before, bytes);
    REQUIRE(all.has_value());
    return *all;
}

} // namespace

TEST_CASE("a version is what its delta makes of the version before") {
    schema_script script;
    script.run(first);
    auto const one = script.take();
    script.run(then);
    auto const two = script.take();

    auto const whole = encode_delta(nullptr, *one);
    snapshot const again{one->identity(), with_system_objects(decoded(nullptr, whole), *one)};
    CHECK(again.same_schema(*one));
    CHECK(fingerprint(again) == fingerprint(*one));
    CHECK(again.has_system_function("lower"));

    auto const step = encode_delta(one.get(), *two);
    CHECK(step.size() < whole.size());
    snapshot const next{one->identity(), decoded(&again, step), &again};
    CHECK(next.same_schema(*two));
    CHECK(next.find_schema("main")->id == 2200);
    CHECK(encode_delta(two.get(), *two).size() < 20);
}

TEST_CASE("bytes that are no delta are refused, however they came about") {
    schema_script script;
    script.run(first);
    auto const one = script.take();
    auto const whole = encode_delta(nullptr, *one);
    CHECK(decode_delta(nullptr, "").has_error());
    CHECK(decode_delta(nullptr, "\x02").has_error());
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK(decode_delta(nullptr, whole.substr(0, size)).has_error());
    CHECK(decode_delta(nullptr, whole + "x").has_error());
    std::mt19937 random{7};
    std::size_t refused = 0;
    for (int i = 0; i < 20000; ++i) { // must end, and stay within its bounds; sanitizers watch
        auto damaged = whole;
        for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
        refused += decode_delta(nullptr, damaged).has_error();
    }
    CHECK(refused > 1000);
}

TEST_CASE("a restored history goes on with its numbers") {
    schema_script script;
    script.run("CREATE TABLE users (id int, email text)");
    auto const one = script.take();
    script.run("ALTER TABLE users RENAME email TO mail");
    auto const two = script.take();
    auto h = history::restored({{one, 7, 100}, {two, 9, 200}});
    CHECK(h->generation() == 9);
    CHECK(h->versions().size() == 2);
    CHECK(h->steps()[1]->at == 200);
    CHECK(to_text(h->steps()[1]->changes.at(0)) == "column public.users.email renamed to mail");
    CHECK(h->touched_since(7).any_of({"mail"}));
    script.run("ALTER TABLE users RENAME mail TO m");
    h = history::with(h, script.take());
    CHECK(h->generation() == 10);
    CHECK(h->versions().size() == 3);
}
