#include "rules_made.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::rules;
using namespace std::chrono_literals;

namespace {

std::string name_of(rule const* r) { return r == nullptr ? "none" : r->name; }

text_pattern pattern(std::string_view expression) { return text_pattern::compile(expression).value(); }

} // namespace

TEST_CASE("a column rule is found by table and column, and by schema where it names one") {
    rule_set const set{{made("any", column_renamed{{"", "users", "email"}, "mail"}), made("crm", column_renamed{{"crm", "users", "email"}, "address"})}, 1};
    CHECK(name_of(set.column("public", "users", "email", who())) == "any");
    CHECK(name_of(set.column("", "users", "email", who())) == "any");
    CHECK(name_of(set.column("crm", "users", "email", who())) == "crm");
    CHECK(name_of(set.column("public", "orders", "email", who())) == "none");
    CHECK(name_of(set.column("public", "users", "mail", who())) == "none");
    CHECK(name_of(set.column("public", "usersemail", "", who())) == "none");
}

TEST_CASE("a rule with a condition goes before one without, where it holds") {
    auto special = made("special", column_renamed{{"", "users", "email"}, "address"});
    special.when.application_name = pattern("^legacy");
    special.when.databases = {"shop", "crm"};
    rule_set const set{{made("general", column_renamed{{"", "users", "email"}, "mail"}), special}, 1};
    auto client = who();
    CHECK(name_of(set.column("public", "users", "email", client)) == "general");
    client.application_name = "legacy-reports";
    CHECK(name_of(set.column("public", "users", "email", client)) == "special");
    client.application_name = "my-legacy-reports";
    CHECK(name_of(set.column("public", "users", "email", client)) == "general");
    client.application_name = "legacy";
    client.database = "other";
    CHECK(name_of(set.column("public", "users", "email", client)) == "general");
}

TEST_CASE("a rule applies through its last day, and not after") {
    auto r = made("r", object_renamed{object_kind::table, {"", "customers"}, {"crm", "clients"}});
    r.expires = std::chrono::year{2026} / 5 / 31;
    rule_set const set{{r}, 1};
    auto client = who();
    client.now = std::chrono::sys_days{std::chrono::year{2026} / 5 / 31} + 23h + 59min + 59s;
    CHECK(name_of(set.object(object_kind::table, "public", "customers", client)) == "r");
    client.now += 1s;
    CHECK(name_of(set.object(object_kind::table, "public", "customers", client)) == "none");
}

TEST_CASE("a rule that is off is listed, and never found by what it is about") {
    auto r = made("r", star_pinned{{"", "users"}, {"id"}});
    r.mode = rule_mode::off;
    rule_set const set{{r}, 1};
    CHECK(name_of(set.star("public", "users", who())) == "none");
    CHECK(set.names().empty());
    CHECK(name_of(set.find("r")) == "r");
}

TEST_CASE("tables, functions, types and sequences of one name are kept apart") {
    rule_set const set{{made("t", object_renamed{object_kind::table, {"", "x"}, {"", "y"}}), made("f", object_renamed{object_kind::function, {"", "x"}, {"", "y"}})}, 1};
    CHECK(name_of(set.object(object_kind::table, "s", "x", who())) == "t");
    CHECK(name_of(set.object(object_kind::function, "s", "x", who())) == "f");
    CHECK(name_of(set.object(object_kind::sequence, "s", "x", who())) == "none");
}

TEST_CASE("a rule that moves a table of any schema has nothing to say of the table where it is now") {
    rule_set const set{{made("move", object_renamed{object_kind::table, {"", "customers"}, {"crm", "customers"}})}, 1};
    CHECK(name_of(set.object(object_kind::table, "public", "customers", who())) == "move");
    CHECK(name_of(set.object(object_kind::table, "", "customers", who())) == "move");
    CHECK(name_of(set.object(object_kind::table, "crm", "customers", who())) == "none");
}

TEST_CASE("a table's defaults are one for each column") {
    auto tagged = made("eu", column_default{{"", "orders", "region"}, "'eu'"});
    tagged.when.users = {"app"};
    rule_set const set{{made("world", column_default{{"", "orders", "region"}, "'world'"}), made("state", column_default{{"", "orders", "state"}, "0"}), tagged}, 1};
    auto const found = set.defaults("public", "orders", who());
    REQUIRE(found.size() == 2);
    CHECK(name_of(found[0]) == "eu");
    CHECK(name_of(found[1]) == "state");
    CHECK(set.defaults("public", "region", who()).empty());
}

TEST_CASE("labels are found with and without their type") {
    rule_set const set{{made("a", label_renamed{{"", "mood"}, "sad", "unhappy"}), made("b", label_renamed{{"", "tone"}, "sad", "flat"})}, 1};
    CHECK(name_of(set.label("public", "tone", "sad", who())) == "b");
    CHECK(name_of(set.label("public", "mood", "Sad", who())) == "none");
    CHECK(set.labels("sad", who()).size() == 2);
}

TEST_CASE("the names of a set are those that old code writes") {
    rule_set const set{{made("a", column_renamed{{"s", "users", "email"}, "mail"}), made("b", object_renamed{object_kind::table, {"", "customers"}, {"crm", "clients"}}),
                        made("c", column_default{{"", "orders", "region"}, "1"}), made("d", label_renamed{{"", "mood"}, "sad", "x"}),
                        made("e", column_gone{{"", "t", "email"}, "NULL"}), made("f", replacing("SELECT a", "SELECT b"))}, 1};
    CHECK(set.names() == std::vector<std::string>{"customers", "email", "orders", "sad"});
    CHECK(set.has_statements());
}

TEST_CASE("of two statement rules the one whose condition holds is used") {
    auto first = made("first", replacing("SELECT total FROM invoices WHERE id = $1", "SELECT 1 WHERE 1 = $1"));
    first.when.users = {"report"};
    rule_set const set{{made("second", replacing("select total from invoices where id=$1", "SELECT sum FROM bills WHERE id = $1")), first}, 1};
    auto found = set.replacement(scanned_text{"SELECT total FROM invoices WHERE id = 7"}, who());
    REQUIRE(found);
    CHECK(found->by->name == "second");
    CHECK(found->edit.sql == "SELECT sum FROM bills WHERE id = 7");
    auto client = who();
    client.user = "report";
    CHECK(set.replacement(scanned_text{"SELECT total FROM invoices WHERE id = 7"}, client)->by->name == "first");
    CHECK(!set.replacement(scanned_text{"SELECT total FROM invoices WHERE id > 7"}, client));
}

TEST_CASE("a regular expression that is none is refused with the reason; a hostile one ends quickly") {
    CHECK(text_pattern::compile("(a").error().text.starts_with("not a regular expression: "));
    CHECK(text_pattern::compile(std::string(1001, 'a')).error().code == pgmend::base::errc::too_large);
    CHECK(text_pattern::compile("((a{1000}){1000}){1000}").has_error());
    CHECK(!pattern("(a*)*b").found_in(std::string(100000, 'a')));
}

TEST_CASE("each statement rule has a word by which texts that it is not for are passed over") {
    auto const word = [](char const* text) { return statement_shape::compile(text).value().telling_word(); };
    CHECK(word("SELECT id, total FROM Invoices WHERE customer = $1") == "invoices");
    CHECK(word("SELECT count(*) FROM \"Very Old\"") == "very old");
    CHECK(word("SELECT 1") == "");
    CHECK(word("SELECT NULL, true") == "");
    rule_set const set{{made("a", replacing("SELECT id FROM invoices", "SELECT 1")), made("b", replacing("SELECT id, id FROM invoices", "SELECT 1, 2"))}, 1};
    CHECK(set.statement_words() == std::vector<std::string>{"invoices"});
    CHECK_FALSE(set.has_wordless_statements());
    rule_set const odd{{made("a", replacing("SELECT 7", "SELECT 8"))}, 2};
    CHECK(odd.statement_words().empty());
    CHECK(odd.has_wordless_statements());
}

TEST_CASE("a table whose batches are split is known by its name") {
    auto r = made("r", batch_split{{"crm", "events"}, true});
    r.when.databases = {"shop"};
    rule_set const set{{r}, 1};
    CHECK(set.splits("events"));
    CHECK(set.splits("events", who()));
    CHECK_FALSE(set.splits("event"));
    auto elsewhere = who();
    elsewhere.database = "other";
    CHECK_FALSE(set.splits("events", elsewhere));
}
