#include "admin/http_machine.hpp"
#include "admin/http_routes.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::admin;
using step = http_machine::step;

namespace {

std::string const request = "GET /api/v1/drift?limit=5&user=a%20b&x HTTP/1.1\r\nHost: localhost:1\r\nAccept: text/plain\r\nAuthorization: Bearer t\r\n\r\n";

} // namespace

TEST_CASE("a request is read whole however its bytes come") {
    for (std::size_t cut = 0; cut <= request.size(); ++cut) {
        http_machine it;
        auto next = it.on_bytes(request.substr(0, cut));
        if (cut < request.size()) {
            REQUIRE(next == step::read);
            next = it.on_bytes(request.substr(cut));
        }
        REQUIRE(next == step::request);
        CHECK(it.request().method == "GET");
        CHECK(it.request().path == "/api/v1/drift");
        CHECK(it.request().asked("limit") == "5");
        CHECK(it.request().asked("user") == "a b");
        CHECK(it.request().asked("nothing").empty());
        CHECK(it.request().host == "localhost:1");
        CHECK(it.request().authorization == "Bearer t");
    }
}

TEST_CASE("requests that come together are answered one after the other, and the last one may close") {
    http_machine it;
    REQUIRE(it.on_bytes(request + "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") == step::request);
    auto const first = it.answer({200, "text/plain", "hello", {{"ETag", "\"1\""}}});
    CHECK(first.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(first.find("ETag: \"1\"\r\n") != std::string::npos);
    CHECK(first.ends_with("\r\n\r\nhello"));
    CHECK_FALSE(it.closing());
    REQUIRE(it.on_bytes({}) == step::request);
    CHECK(it.request().method == "HEAD");
    auto const second = it.answer({200, "text/plain", "hello", {}});
    CHECK(second.find("Content-Length: 5\r\n") != std::string::npos);
    CHECK(second.ends_with("\r\n\r\n"));
    CHECK(it.closing());
}

TEST_CASE("what is no request, or too large, is refused and the connection closed") {
    std::pair<std::string, unsigned> const bad[] = {
        {std::string("\0\1\2\r\n\r\n", 7), 400},
        {"GET / HTTP/1.1\r\nX: " + std::string(20000, 'a'), 431},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n" + std::string(0x2000, 'x'), 413},
        {"GET relative HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400}};
    for (auto const& [bytes, status] : bad) {
        http_machine it;
        REQUIRE(it.on_bytes(bytes) == step::refuse);
        CHECK(it.refusal().status == status);
        (void)it.answer(it.refusal());
        CHECK(it.closing());
    }
}

TEST_CASE("a table as JSON: numbers, nulls, quotes, what is not UTF-8, and a choice of rows") {
    using namespace pgmend::session;
    console_column const columns[] = {{"name"}, {"n", console_type::integer}};
    std::vector<console_row> const rows{{"a\"\\\n<", "1"}, {"\xff", std::nullopt}, {"nan", "nan"}};
    CHECK(table_as_json(columns, rows, {}, 10) ==
          "{\"columns\":[\"name\",\"n\"],\"rows\":[\n{\"name\":\"a\\\"\\\\\\u000a\\u003c\",\"n\":1},\n{\"name\":\"\xef\xbf\xbd\",\"n\":null},\n{\"name\":\"nan\",\"n\":\"nan\"}\n]}\n");
    CHECK(table_as_json(columns, rows, {{"n", "1"}, {"no_such_column", "x"}}, 10).find("nan") == std::string::npos);
    CHECK(table_as_json(columns, rows, {}, 0) == "{\"columns\":[\"name\",\"n\"],\"rows\":[\n]}\n");
}

TEST_CASE("the page's files are in the program") {
    REQUIRE(find_page_file("/") != nullptr);
    CHECK(find_page_file("/") == find_page_file("/index.html"));
    for (auto const* name : {"/page.js", "/style.css", "/icon.svg"}) REQUIRE(find_page_file(name) != nullptr);
    CHECK(find_page_file("/")->content.starts_with("<!doctype html>"));
    CHECK(find_page_file("/")->content.ends_with("</html>\n"));
    CHECK(find_page_file("/page") == nullptr);
}
