#include "pgmend/config/learned_rules.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::chrono_literals;

namespace {

std::chrono::sys_seconds const now{500000h};

rules::rule renamed(std::string name) {
    rules::rule made;
    made.name = std::move(name);
    made.where = {"1_users.sql", 3};
    made.does = rules::column_renamed{{"public", "users", "email"}, "mail"};
    return made;
}

} // namespace

TEST_CASE("what was learned of two databases in a shared state has names of its own, and the user's go first") {
    std::vector<rules::source> const texts{{"shop", config::learned_text("shop", {renamed("users-email"), renamed("mine")})},
                                           {"crm", config::learned_text("crm", {renamed("users-email")})}};
    config::loaded_rules all;
    all.rules.push_back(renamed("mine"));
    config::add_learned_rules(texts, now, all);
    REQUIRE(all.ok());
    REQUIRE(all.rules.size() == 3);
    CHECK(all.rules[1].name == "users-email");
    CHECK(all.rules[1].when.databases == std::vector<std::string>{"shop"});
    CHECK(all.rules[1].learned);
    CHECK(all.rules[2].name == "users-email-2");
    CHECK(all.rules[2].when.databases == std::vector<std::string>{"crm"});
}

TEST_CASE("a text that is no rule file is a warning, and the others are taken") {
    std::vector<rules::source> const texts{{"shop", "rules: 5"}, {"crm", config::learned_text("crm", {renamed("users-email")})}};
    config::loaded_rules all;
    config::add_learned_rules(texts, now, all);
    CHECK(all.ok());
    CHECK_FALSE(all.problems.empty());
    CHECK(all.rules.size() == 1);
}
