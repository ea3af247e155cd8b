#include "pgmend/sql/abridged.hpp"

#include <catch2/catch.hpp>

namespace pgmend::sql {
namespace {

std::string repeated(std::string_view what, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += what;
    return out;
}

/// The abridged text; the text itself where nothing is left out.
std::string short_of(std::string const& text) {
    auto const it = abridge(text);
    return it ? it->text : text;
}

} // namespace

TEST_CASE("constant rows of VALUES behind the first are left out") {
    auto const rows = repeated(", (2, 'two', -1.5, NULL, default, '2024-01-01'::date, E'\\n', (3), true)", 20);
    CHECK(short_of("INSERT INTO t (a, b) VALUES (1, 'one'::date)" + rows + " ON CONFLICT DO NOTHING RETURNING a;") ==
          "INSERT INTO t (a, b) VALUES (1, 'one'::date) ON CONFLICT DO NOTHING RETURNING a;");
    CHECK(short_of("INSERT INTO t VALUES (now(), \"x\")" + repeated(",(now(), \"x\")", 20)) == "INSERT INTO t VALUES (now(), \"x\")");
    CHECK(short_of("SELECT * FROM (VALUES (1)" + repeated(",\n-- a comment, (\n(2)", 20) + ") AS v(x), t") == "SELECT * FROM (VALUES (1)) AS v(x), t");
}

TEST_CASE("elements of IN and ARRAY behind the first are left out") {
    CHECK(short_of("SELECT email FROM t WHERE id IN (1" + repeated(", 2", 50) + ") AND x = ANY (ARRAY['a'::text" + repeated(",'b'::text", 50) + "]) ORDER BY email") ==
          "SELECT email FROM t WHERE id IN (1) AND x = ANY (ARRAY['a'::text]) ORDER BY email");
}

TEST_CASE("parameters are left out, and it is said which are nowhere else") {
    using numbers = std::vector<std::uint32_t>;
    auto const all = abridge("INSERT INTO t VALUES ($1, $2)" + repeated(", ($3, $5)", 10) + repeated(", ($4, $2), (1, 'a')", 10) + " RETURNING $5");
    REQUIRE(all);
    CHECK(all->text == "INSERT INTO t VALUES ($1, $2) RETURNING $5");
    CHECK(all->parameters == numbers{3, 4});
    auto const none = abridge("INSERT INTO t VALUES ($1, $2)" + repeated(", (1, 2)", 20));
    REQUIRE(none);
    CHECK(none->parameters.empty());
    auto const huge = abridge("SELECT 1 WHERE a IN ($1" + repeated(", $99999999999, $0, $4294967295", 20) + ")");
    REQUIRE(huge);
    CHECK(huge->parameters == numbers{0, 4294967295});
}

TEST_CASE("what may mean something else stays") {
    for (std::string const& text : std::initializer_list<std::string>{
             "INSERT INTO t VALUES (1)" + repeated(", (email)", 20),                      // a name that the first row does not have
             "INSERT INTO t VALUES (1)" + repeated(", ((SELECT 1))", 20),                 // a query
             "INSERT INTO t VALUES (1)" + repeated(", (2 * 3)", 20),                      // an operator
             "INSERT INTO t VALUES (1)" + repeated(", (now())", 20),                      // a function
             "INSERT INTO t VALUES (nextval('a'))" + repeated(", (nextval('b'))", 20),    // constants that are names
             "INSERT INTO t VALUES ('a'::regclass)" + repeated(", ('b'::RegClass)", 20), "INSERT INTO t VALUES ('a'::\"regclass\")" + repeated(", ('b'::\"regclass\")", 20),
             "INSERT INTO t VALUES (a)" + repeated(", (a.b)", 20),                        // a field
             "SELECT 1 FROM t WHERE a IN (SELECT 1" + repeated(", 2", 50) + ")",          //
             "SELECT 1 FROM t WHERE f(1" + repeated(", 2", 50) + ")",                     // no list
             "INSERT INTO t VALUES (1), (2), (3)",                                        // short
             "INSERT INTO t VALUES (1)" + repeated(", (2)", 20) + " 'not closed",         //
             "INSERT INTO t VALUES ('\\')" + repeated(", ('\\')", 20),                    // depends on a setting
             "INSERT INTO t VALUES (", "INSERT INTO t VALUES (1),", "SELECT 1 IN (", "SELECT ARRAY[", ""})
        CHECK(short_of(text) == text);
    CHECK(short_of("INSERT INTO t VALUES (1)" + repeated(", (2)", 20) + ", (email), (3)" + repeated(", (4)", 20)) == "INSERT INTO t VALUES (1), (email)");
}

TEST_CASE("offsets lead back to the whole text") {
    std::string const begin = "INSERT INTO t (email) VALUES ", middle = "('a')", left_out = repeated(", ('b')", 30), end = " RETURNING email";
    auto const it = abridge(begin + middle + left_out + end);
    REQUIRE(it);
    CHECK(it->text == begin + middle + end);
    REQUIRE(it->cuts.size() == 1);
    CHECK(it->cuts[0].bytes == left_out.size());
    auto const at = [](std::size_t n) { return static_cast<std::uint32_t>(n); };
    CHECK(it->whole_offset(0) == 0);
    CHECK(it->whole_offset(at(begin.size())) == begin.size());
    CHECK(it->whole_offset(at(begin.size() + middle.size())) == begin.size() + middle.size() + left_out.size());
    CHECK(it->whole_offset(at(it->text.size())) == begin.size() + middle.size() + left_out.size() + end.size());
    CHECK(it->concerns_list({at(begin.size()), at(begin.size() + 1)}));
    CHECK(it->concerns_list({at(begin.size() + 2), at(begin.size() + 2)}));
    CHECK_FALSE(it->concerns_list({at(begin.size()), at(begin.size())}));
    CHECK_FALSE(it->concerns_list({0, at(begin.size())}));
    CHECK_FALSE(it->concerns_list({at(begin.size() + middle.size()), at(it->text.size())}));
}

} // namespace pgmend::sql
