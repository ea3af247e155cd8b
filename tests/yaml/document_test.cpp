#include "pgmend/yaml/document.hpp"
#include "pgmend/yaml/measure.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>

using namespace pgmend;
using namespace std::chrono_literals;

namespace {

std::string first_mistake(std::string const& text, yaml::limits within = {}) {
    auto const parsed = yaml::parse_document(text, within);
    return parsed.mistakes.empty() ? "none" : parsed.mistakes.front().message;
}

} // namespace

TEST_CASE("aliases within aliases are counted as if they were written out") {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 10; ++i) {
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int k = 0; k < 10; ++k) bomb += (k > 0 ? ", *a" : "*a") + std::to_string(i - 1);
        bomb += "]\n";
    }
    CHECK(first_mistake(bomb) == "more than 10000 values, aliases written out");
    CHECK(first_mistake("a: &a [*a]") == "an alias inside of what it stands for");
}

TEST_CASE("deep nesting ends at its limit, however deep the text goes") {
    CHECK(first_mistake(std::string(31, '[') + std::string(31, ']')) == "none");
    CHECK(first_mistake(std::string(33, '[') + std::string(33, ']')) == "more than 32 levels deep");
    CHECK(first_mistake(std::string(100000, '[')) == "more than 32 levels deep");
    CHECK(first_mistake("a: [[[]]]", {.most_nodes = 100, .most_depth = 3}) == "more than 3 levels deep");
}

TEST_CASE("many keys of one mapping do not take quadratic time") {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "k" + std::to_string(i) + ": 1\n";
    text += "k5: 2\n";
    auto const begin = std::chrono::steady_clock::now();
    CHECK(first_mistake(text, {.most_nodes = 1000000}) == "duplicate key \"k5\"; it is already in line 6");
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("a duplicate key that could hold a password is not shown") {
    CHECK(first_mistake("password=a b: 1\npassword=a b: 2\n") == "duplicate key; it is already in line 1");
}

TEST_CASE("durations have a unit, and are shown in the largest that fits") {
    CHECK(yaml::parse_duration("5m") == 300000ms);
    CHECK(yaml::parse_duration("250 ms") == 250ms);
    CHECK(!yaml::parse_duration("5"));
    CHECK(!yaml::parse_duration("5d"));
    CHECK(!yaml::parse_duration("-5s"));
    CHECK(!yaml::parse_duration("99999999999999999999h"));
    for (auto const d : {0ms, 1ms, 1500ms, 60000ms, 3600000ms, 5400000ms}) CHECK(yaml::parse_duration(yaml::show_duration(d)) == d);
    CHECK(yaml::show_duration(5400000ms) == "90m");
}
