#include "pgmend/sql/lexer.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace pgmend::sql {
namespace {

std::vector<std::string> pieces(std::string_view text) {
    std::vector<std::string> out;
    for (auto const& token : scan(text).tokens) out.emplace_back(text.substr(token.begin, token.end - token.begin));
    return out;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("words, numbers, operators and punctuation are tokens; white space and comments are not") {
    CHECK(pieces("SELECT a.b, -1.5e3 FROM t--x\n/* /* nested */ */WHERE c<>$1") ==
          list{"SELECT", "a", ".", "b", ",", "-", "1.5e3", "FROM", "t", "WHERE", "c", "<>", "$1"});
    CHECK(pieces("a/*x*/b") == list{"a", "b"});
    CHECK(pieces("1..10") == list{"1", "..", "10"});
    CHECK(pieces(".5 5. 5.e3") == list{".5", "5.", "5.e3"});
    CHECK(pieces("a<--x\n1") == list{"a", "<", "1"});
    CHECK(pieces("a=-1 b>=+-2 c@-d e-+f") == list{"a", "=", "-", "1", "b", ">=", "+", "-", "2", "c", "@-", "d", "e", "-", "+", "f"});
    CHECK(pieces("a::b[1]") == list{"a", ":", ":", "b", "[", "1", "]"});
    CHECK(pieces("größe") == list{"größe"});
    CHECK(pieces("a$1 $1") == list{"a$1", "$1"});
}

TEST_CASE("every kind of quoted constant is one token") {
    CHECK(pieces("'it''s' E'a\\'b' B'01' X'1F' N'n' U&'\\0061' $$a'b$$ $q$ $$ $q$") ==
          list{"'it''s'", "E'a\\'b'", "B'01'", "X'1F'", "N'n'", "U&'\\0061'", "$$a'b$$", "$q$ $$ $q$"});
    CHECK(pieces("e 'x'") == list{"e", "'x'"});
    CHECK(pieces("\"a\"\"b\" U&\"c\"") == list{"\"a\"\"b\"", "U&\"c\""});
}

TEST_CASE("constants on successive lines are one constant, with the escapes of the first") {
    CHECK(pieces("'a'\n  'b'") == list{"'a'\n  'b'"});
    CHECK(pieces("'a' -- c\n 'b', 1") == list{"'a' -- c\n 'b'", ",", "1"});
    CHECK(pieces("'a' 'b'") == list{"'a'", "'b'"});
    CHECK(pieces("E'a'\n'b\\'c'") == list{"E'a'\n'b\\'c'"});
}

TEST_CASE("what is left open makes the list incomplete") {
    for (auto const* text : {"'a", "\"a", "/* a", "/* /* */", "$$a", "$q$ a $$", "E'a\\'"}) {
        INFO(text);
        CHECK_FALSE(scan(text).complete);
    }
    CHECK(scan("").complete);
    CHECK(scan("$a").complete);
}

TEST_CASE("a literal whose end depends on standard_conforming_strings is noted") {
    CHECK(scan("'a\\' , 'b'").depends_on_backslashes);
    CHECK_FALSE(scan("'a\\b'").depends_on_backslashes);
    CHECK_FALSE(scan("E'a\\'b'").depends_on_backslashes);
}

TEST_CASE("the depth of brackets is counted") {
    CHECK(scan("((a[1]))").deepest == 3);
    CHECK(scan("()()").deepest == 1);
}

} // namespace pgmend::sql
