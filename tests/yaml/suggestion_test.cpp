#include "pgmend/yaml/suggestion.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace pgmend;

TEST_CASE("the edit distance counts exchanged neighbours once") {
    CHECK(yaml::edit_distance("backends", "backends") == 0);
    CHECK(yaml::edit_distance("bakcends", "backends") == 1);
    CHECK(yaml::edit_distance("", "abc") == 3);
    CHECK(yaml::edit_distance("Listen", "listen") == 0);
    CHECK(yaml::edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("a suggestion is made only when one candidate is clearly the closest") {
    std::array<std::string_view, 3> const names{"host", "port", "post"};
    CHECK(yaml::closest("hots", names) == "host");
    CHECK(yaml::closest("nost", names).empty()); // host and post are as close
    CHECK(yaml::closest("elephant", names).empty());
    CHECK(yaml::closest("x", names).empty());
}

TEST_CASE("quoted text is one short line") {
    CHECK(yaml::in_quotes("a\nb\x1b[0m") == R"("a\x0ab\x1b[0m")");
    CHECK(yaml::in_quotes("\xff") == "\"\xef\xbf\xbd\"");
    CHECK(yaml::in_quotes(std::string(100, 'x')) == "\"" + std::string(60, 'x') + "...\"");
}
