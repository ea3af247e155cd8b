#include "pgmend/sql/commenter.hpp"

#include <catch2/catch.hpp>

#include <string>

using pgmend::sql::comment_tags;
using pgmend::sql::is_traceparent;
using tags = std::vector<std::pair<std::string, std::string>>;

TEST_CASE("sqlcommenter's tags are read from the end or the beginning of a text") {
    tags const expected{{"application", "web shop"}, {"route", "/polls 1000"}};
    CHECK(comment_tags("SELECT 1 /*application='web%20shop',route='%2Fpolls%201000'*/") == expected);
    CHECK(comment_tags("SELECT 1 /*application='web%20shop',route='%2Fpolls%201000'*/ ;\n") == expected);
    CHECK(comment_tags("/*application='web%20shop', route='%2Fpolls 1000'*/ SELECT 1") == expected);
    CHECK(comment_tags("select 1 /*a='it\\'s'*/") == tags{{"a", "it's"}});
}

TEST_CASE("what is no sqlcommenter comment has no tags") {
    for (auto const* sql : {"", "select 1", "select 1 /* hello */", "select 1 /**/", "/*", "*/", "/*/", "select '/*' || '*/'", "select 1 /*a=1*/",
                            "select 1 /*a='b*/", "select 1 /*a='b\\*/", "select 1 /*='b'*/", "select 1 /*two words='b'*/"})
        CHECK(comment_tags(sql).empty());
}

TEST_CASE("tags are cut, and hold no control characters") {
    CHECK(comment_tags("select 1 /*a='" + std::string(5000, 'x') + "'*/").front().second.size() == 256);
    CHECK(comment_tags("select 1 /*a='b%0A%1bc'*/") == tags{{"a", "b  c"}});
    CHECK(comment_tags("select 1 /*a='100%'*/") == tags{{"a", "100%"}});
    std::string many = "select 1 /*";
    for (int i = 0; i < 100; ++i) many += "k='v',";
    CHECK(comment_tags(many + "*/").size() == 32);
}

TEST_CASE("a trace context is recognized by its form") {
    CHECK(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    CHECK_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"));
    CHECK_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01"));
    CHECK_FALSE(is_traceparent("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}
