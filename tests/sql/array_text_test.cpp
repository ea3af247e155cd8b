#include "pgmend/sql/array_text.hpp"

#include <catch2/catch.hpp>

using pgmend::sql::array_element;
using pgmend::sql::array_element_of;
using pgmend::sql::array_elements;

TEST_CASE("the elements of an array's text, as array_in reads them") {
    using found = std::vector<array_element>;
    CHECK(array_elements("{}") == found{});
    CHECK(array_elements(" { } ") == found{});
    CHECK(array_elements("{a}") == found{{1, 2, "a"}});
    CHECK(array_elements(R"({a,"b c",NULL,nUll,"null"})") == found{{1, 2, "a"}, {3, 8, "b c"}, {9, 13, std::nullopt}, {14, 18, std::nullopt}, {19, 25, "null"}});
    CHECK(array_elements(R"({"a\"\\b,}{ "})") == found{{1, 13, R"(a"\b,}{ )"}});
    CHECK(array_elements("{ a b ,\t\"c\" }") == found{{2, 5, "a b"}, {8, 11, "c"}});
    CHECK(array_elements(R"({""})") == found{{1, 3, ""}});
}

TEST_CASE("what is no array of one dimension, or is written in another way, has no elements") {
    for (auto const* text : {"", " ", "a", "{", "}", "{a", "{a,", "{,}", "{a,}", "{a,,b}", "{a}b", "{{a}}", "[0:0]={a}", R"({a\b})", R"({a"b"})", R"({"a"b})", R"({"a)", R"({"a\)"}) CHECK_FALSE(array_elements(text));
}

TEST_CASE("an element is written so that it is read again") {
    for (auto const* value : {"", "a", "NULL", "a b", R"(it's "ok", a\b)", "{a}"}) {
        auto const read = array_elements("{" + array_element_of(value) + "}");
        REQUIRE(read);
        REQUIRE(read->size() == 1);
        CHECK(read->front().value == value);
    }
}
