#include "../../src/control/field_text.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::control;

TEST_CASE("numbers are found in arrays and in vectors") {
    CHECK(to_numbers<std::int16_t>("{1,-2,30}") == std::vector<std::int16_t>{1, -2, 30});
    CHECK(to_numbers<std::uint32_t>("23 25 4294967295") == std::vector<std::uint32_t>{23, 25, 4294967295});
    CHECK(to_numbers<std::int16_t>("").empty());
    CHECK(to_numbers<std::int16_t>("{}").empty());
}

TEST_CASE("texts are found in arrays, with quotes, escapes and NULLs") {
    using texts = std::vector<std::optional<std::string>>;
    CHECK(to_texts("{a,b c}") == texts{"a", "b c"});
    CHECK(to_texts(R"({"",NULL,"NULL","a,b","say \"x\" \\"})") == texts{"", std::nullopt, "NULL", "a,b", R"(say "x" \)"});
    CHECK(to_texts("{}").empty());
    CHECK(to_texts("").empty());
    CHECK(to_texts("{unfinished").empty());
}
