#include "pgmend/session/bound_labels.hpp"

#include "pgmend/base/bytes.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace pgmend;
using session::with_labels;

namespace {

std::optional<std::string> now(base::byte_view label) {
    if (label == "happy") return "glad";
    if (label == "so so") return R"(it's "ok")";
    return std::nullopt;
}

std::string array_of(std::vector<std::optional<std::string>> const& labels) {
    std::string out;
    for (auto const number : {1U, 0U, 16384U, static_cast<std::uint32_t>(labels.size()), 1U}) base::append_u32(out, number);
    for (auto const& it : labels) {
        base::append_u32(out, it ? static_cast<std::uint32_t>(it->size()) : 0xffffffffU);
        if (it) out += *it;
    }
    return out;
}

} // namespace

TEST_CASE("a value that is a label which was renamed") {
    CHECK(with_labels("happy", false, now) == "glad");
    CHECK(with_labels("sad", false, now) == std::nullopt);
    CHECK(with_labels("{happy}", false, now) == std::nullopt);
}

TEST_CASE("labels in arrays, in text") {
    CHECK(with_labels("{happy}", true, now) == R"({"glad"})");
    CHECK(with_labels("{sad,happy,NULL}", true, now) == R"({sad,"glad",NULL})");
    CHECK(with_labels("{sad}", true, now) == std::nullopt);
    CHECK(with_labels("{}", true, now) == std::nullopt);
    CHECK(with_labels(R"({"happy","so so",sad,"sad"})", true, now) == R"({"glad","it's \"ok\"",sad,"sad"})");
    CHECK(with_labels(R"({"ha\ppy","a\"b","happy"})", true, now) == R"({"glad","a\"b","glad"})");
    // What has spaces or several dimensions, or is no array, is left alone.
    for (auto const* value : {"{ happy}", "{happy }", "{{happy}}", "{happy", "", "{", "{}", "{happy,", "{happy}x", "{\"happy", "{\"happy\"", "{\"happy\\", R"({ha\ppy})", "{\"happy\"x}"}) CHECK(with_labels(value, true, now) == std::nullopt);
}

TEST_CASE("labels in arrays, in binary form") {
    CHECK(with_labels(array_of({"sad", "happy", std::nullopt, "so so"}), true, now) == array_of({"sad", "glad", std::nullopt, R"(it's "ok")"}));
    CHECK(with_labels(array_of({"sad"}), true, now) == std::nullopt);
    auto const whole = array_of({"happy", "happy"});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        auto const part = with_labels(base::byte_view{whole}.substr(0, size), true, now);
        CHECK((!part || *part == array_of({"happy"}).substr(0, 12) + whole.substr(12, 8) + array_of({"glad"}).substr(20)));
    }
}

TEST_CASE("a Bind with other values") {
    std::vector<base::byte_view> const values{"happy", "happy", "x"};
    std::string frame;
    wire::append_bind(frame, "portal", "statement", values);
    std::vector<base::byte_view> const others{"happy", "glad", "x"};
    std::string expected;
    wire::append_bind(expected, "portal", "statement", others);
    std::vector<std::uint32_t> const types{25, 16384, 25};
    std::vector<session::bound_value> const changed{{16384, "happy", "glad"}};
    auto const found = session::bind_with_values(base::byte_view{frame}.substr(5), types, changed);
    REQUIRE(found);
    CHECK(*found == expected.substr(5));
    CHECK(session::bind_with_values("not well-formed", types, changed) == std::nullopt);
}
