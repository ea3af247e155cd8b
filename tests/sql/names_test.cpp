#include "pgmend/sql/names.hpp"

#include <catch2/catch.hpp>

namespace pgmend::sql {

TEST_CASE("a name is quoted where PostgreSQL's quote_ident quotes it") {
    CHECK(quoted_name("email_2") == "email_2");
    CHECK(quoted_name("_x") == "_x");
    CHECK(quoted_name("Email") == "\"Email\"");
    CHECK(quoted_name("2x") == "\"2x\"");
    CHECK(quoted_name("a b") == "\"a b\"");
    CHECK(quoted_name("a\"b") == "\"a\"\"b\"");
    CHECK(quoted_name("größe") == "\"größe\"");
    CHECK(quoted_name("a$") == "\"a$\"");
    CHECK(quoted_name("") == "\"\"");
}

TEST_CASE("key words are quoted unless they are unreserved") {
    CHECK(quoted_name("select") == "\"select\"");
    CHECK(quoted_name("user") == "\"user\"");
    CHECK(quoted_name("between") == "\"between\"");
    CHECK(quoted_name("left") == "\"left\"");
    CHECK(quoted_name("name") == "name");
    CHECK(quoted_name("value") == "value");
}

TEST_CASE("a literal with a backslash is not written, since its meaning depends on a setting") {
    CHECK(quoted_literal("it's") == "'it''s'");
    CHECK_FALSE(quoted_literal("a\\b"));
}

TEST_CASE("names inside literals are split and folded like PostgreSQL does") {
    using parts = std::vector<std::string>;
    CHECK(split_name("Public.Users") == parts{"public", "users"});
    CHECK(split_name("\"Public\".\"a\"\"b\"") == parts{"Public", "a\"b"});
    CHECK(split_name(" users ") == parts{"users"});
    CHECK_FALSE(split_name("16384"));
    CHECK_FALSE(split_name(""));
    CHECK_FALSE(split_name("a."));
    CHECK_FALSE(split_name("a b"));
    CHECK_FALSE(split_name("\"a"));
}

TEST_CASE("positions in characters become positions in bytes and back") {
    std::string const text = "aö€😀z";
    CHECK(byte_offset(text, 0) == 0U);
    CHECK(byte_offset(text, 2) == 3U);
    CHECK(byte_offset(text, 4) == 10U);
    CHECK(byte_offset(text, 5) == 11U);
    CHECK_FALSE(byte_offset(text, 6));
    CHECK(count_characters(text, 10) == 4);
    CHECK(count_characters(text, 11) == 5);
}

} // namespace pgmend::sql
