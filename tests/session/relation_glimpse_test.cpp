#include "pgmend/session/relation_glimpse.hpp"

#include "session/frames.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace pgmend;
using namespace pgmend::test;
using session::relation_glimpse;

namespace {

using texts = std::vector<std::optional<std::string>>;

void be16(std::string& to, std::size_t n) { to += {static_cast<char>(n >> 8), static_cast<char>(n)}; }

std::string row(texts const& columns) {
    std::string body;
    be16(body, columns.size());
    for (auto const& it : columns) {
        be16(body, it ? 0 : 0xffff);
        be16(body, it ? it->size() : 0xffff);
        if (it) body += *it;
    }
    return frame('D', body);
}

texts column(std::string id, std::string schema, std::string table, std::string number, std::string name) {
    return {id, schema, table, "r", number, name, "25", "-1", "f", "f", "", ""};
}

} // namespace

TEST_CASE("the relations of some names are seen as one version") {
    relation_glimpse g{{"users", "say \"hi\""}};
    CHECK(g.begin().find(R"({"users","say \"hi\""})") != std::string::npos);
    std::string to_client;
    for (auto const& it : {row(column("20000", "public", "users", "1", "id")), row(column("20000", "public", "users", "3", "mail")),
                           row(column("20007", "crm", "users", "1", "id")), row({"20009", "public", "none", "r", {}, {}, {}, {}, {}, {}, {}, {}})})
        CHECK(g.on_server(it, to_client) == relation_glimpse::step::need_more);
    CHECK(g.on_server(frame('A', "x"), to_client) == relation_glimpse::step::need_more);
    CHECK(g.on_server(ready(), to_client) == relation_glimpse::step::answered);
    CHECK(to_client == frame('A', "x"));
    auto const seen = g.schema();
    REQUIRE(seen);
    auto const& now = seen->current();
    REQUIRE(now.find("public", "users"));
    CHECK(now.find("public", "users")->columns.size() == 2);
    CHECK(now.find("public", "users")->find_column("mail")->number == 3);
    CHECK(now.find("crm", "users")->id == 20007);
    CHECK(now.find("public", "none")->columns.empty());
}

TEST_CASE("what the server refuses or says otherwise is no version") {
    std::string to_client;
    relation_glimpse refused{{"users"}};
    (void)refused.on_server(error({"C42501"}), to_client);
    CHECK(refused.on_server(ready(), to_client) == relation_glimpse::step::answered);
    CHECK_FALSE(refused.schema());
    relation_glimpse other{{"users"}};
    (void)other.on_server(row({"1"}), to_client);
    CHECK_FALSE(other.schema());
}

TEST_CASE("what rules make of a text's names is asked about, too") {
    auto const renamed = [](std::string name, rules::action does) {
        rules::rule made;
        made.name = std::move(name);
        made.does = std::move(does);
        return made;
    };
    rules::object_name const clients{"crm", "clients"};
    rules::rule_set const rules{{renamed("one", rules::object_renamed{rules::object_kind::table, {"", "customers"}, clients}),
                                 renamed("two", rules::object_renamed{rules::object_kind::table, clients, {"crm", "people"}}),
                                 renamed("other", rules::object_renamed{rules::object_kind::table, {"", "orders"}, {"", "sales"}}),
                                 renamed("column", rules::column_renamed{{"public", "users", "email"}, "mail"})},
                                1};
    auto const names = relation_glimpse::names_for("SELECT email FROM customers", rules, {"shop", "app", "", {}});
    for (auto const* it : {"customers", "clients", "people", "users", "email"}) CHECK(std::count(names.begin(), names.end(), it) == 1);
    CHECK(std::count(names.begin(), names.end(), "sales") == 0);
}
