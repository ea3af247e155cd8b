#include "pgmend/rules/catalog_check.hpp"
#include "pgmend/rules/rule_file.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace pgmend;

namespace {

using list = std::vector<std::string>;

std::shared_ptr<catalog::relation const> table(catalog::oid id, std::string schema, std::string name, list const& columns, char kind = 'r') {
    auto out = std::make_shared<catalog::relation>();
    out->id = id;
    out->schema = std::move(schema);
    out->name = std::move(name);
    out->kind = kind;
    for (auto const& c : columns) out->columns.push_back({.number = static_cast<std::int16_t>(out->columns.size() + 1), .name = c, .type = 25});
    return out;
}

catalog::snapshot shop() {
    auto mood = std::make_shared<catalog::type_entry>();
    mood->id = 20001;
    mood->schema = "public";
    mood->name = "mood";
    mood->kind = 'e';
    mood->labels = {{1, "unhappy"}, {2, "ok"}};
    auto total = std::make_shared<catalog::function_entry>();
    total->id = 20002;
    total->schema = "billing";
    total->name = "total";
    catalog::contents all;
    all.relations = {table(10, "public", "users", {"id", "email_address", "created_at"}), table(11, "crm", "clients", {"id", "name"}), table(12, "public", "orders", {"id", "region"}),
                     table(13, "app", "ids", {}, 'S')};
    all.types = {mood};
    all.functions = {total};
    return catalog::snapshot{{"1", 5}, all};
}

rules::rule_set set_of(std::string const& items) {
    std::array const sources{rules::source{"r.yaml", "rules:\n" + items}};
    auto l = rules::load(sources, {});
    INFO(yaml::format(l.problems));
    REQUIRE(l.ok());
    return rules::rule_set{std::move(l.rules), 1};
}

list against(std::string const& items, std::span<rules::named_schema const> databases) {
    list out;
    for (auto const& p : rules::check_against(set_of(items), databases)) out.push_back(yaml::format(p));
    return out;
}

list about(std::string const& items) {
    auto const schema = shop();
    std::array const databases{rules::named_schema{"shop", &schema}};
    return against(items, databases);
}

} // namespace

TEST_CASE("rules that fit the schema are not spoken of") {
    CHECK(about(R"(
  - { name: a, column: public.users.email, now: email_address }
  - { name: b, table: customers, now: crm.clients }
  - { name: c, column: customers.full_name, now: name }
  - { name: d, column: users.legacy_flag, gone: { read: "false" } }
  - { name: e, column: orders.region, default: "'eu'" }
  - { name: f, enum: mood.sad, now: unhappy }
  - { name: g, function: calc_total, now: billing.total }
  - { name: h, sequence: ids, now: app.ids }
  - { name: i, table: users, star: [id, email, created_at] }
  - { name: j, statement: "SELECT a FROM gone WHERE b = $1", replace: "SELECT id AS a FROM users WHERE id = $1" }
  - { name: k, type: feeling, now: mood }
)") == list{});
}

TEST_CASE("a rule whose new name does not exist is warned about where it stands") {
    CHECK(about("  - { name: a, column: users.email, now: email_adress }") ==
          list{R"(r.yaml:2:5: warning: rule a: in database shop public.users has no column "email_adress"; did you mean "email_address"?)"});
    CHECK(about("  - { name: a, column: usres.email, now: x }") ==
          list{R"(r.yaml:2:5: warning: rule a: in database shop there is no table usres, and no rule says what it is called now; did you mean "users"?)"});
    CHECK(about("  - { name: a, table: customers, now: crm.client }") == list{R"(r.yaml:2:5: warning: rule a: in database shop there is no table crm.client; did you mean "clients"?)"});
    CHECK(about("  - { name: a, table: customers, now: ids }") == list{R"(r.yaml:2:5: warning: rule a: in database shop ids is a sequence)"});
    CHECK(about("  - { name: a, table: crm.customers, now: users }") == list{R"(r.yaml:2:5: warning: rule a: in database shop there is no table crm.users; did you mean "users"?)"});
    CHECK(about("  - { name: a, enum: mood.sad, now: unhapy }") == list{R"(r.yaml:2:5: warning: rule a: in database shop public.mood has no label "unhapy"; did you mean "unhappy"?)"});
    CHECK(about("  - { name: a, enum: tone.sad, now: x }") == list{"r.yaml:2:5: warning: rule a: in database shop there is no enum tone"});
    CHECK(about("  - { name: a, function: f, now: total2 }") == list{"r.yaml:2:5: warning: rule a: in database shop there is no function total2"});
    CHECK(about("  - { name: a, column: orders.state, default: '1' }") == list{R"(r.yaml:2:5: warning: rule a: in database shop public.orders has no column "state")"});
    CHECK(about("  - { name: a, column: users.created_at, gone: { read: now() } }") == list{R"(r.yaml:2:5: warning: rule a: in database shop public.users still has the column "created_at")"});
    CHECK(about("  - { name: a, table: users, star: [id, crated_at] }") ==
          list{R"(r.yaml:2:5: warning: rule a: in database shop public.users has no column "crated_at"; did you mean "created_at"?)"});
    CHECK(about("  - { name: a, column: users.email, now: nothing, mode: off }") == list{});
}

TEST_CASE("a replacement must be understood, and answer with the columns of its statement") {
    CHECK(about("  - { name: a, statement: SELECT a FROM gone, replace: SELECT emial AS a FROM users }").size() == 1);
    CHECK(about("  - { name: a, statement: SELECT a FROM gone, replace: SELECT id AS a FROM userss }").size() == 1);
    CHECK(about("  - { name: a, statement: SELECT id FROM users, replace: \"SELECT id, created_at FROM users\" }") ==
          list{"r.yaml:2:5: warning: rule a: in database shop replace answers with 2 columns, statement with 1"});
    CHECK(about("  - { name: a, statement: SELECT id FROM users, replace: SELECT id AS key FROM users }") ==
          list{R"(r.yaml:2:5: warning: rule a: in database shop column 1 of replace's answer is called "key", of statement's "id")"});
}

TEST_CASE("a rule needs to fit one of the databases it may be for") {
    auto const good = shop();
    catalog::snapshot const empty{{"1", 6}, std::vector<catalog::snapshot::relation_ptr>{}};
    std::array const databases{rules::named_schema{"other", &empty}, rules::named_schema{"shop", &good}};
    CHECK(against("  - { name: a, column: users.email, now: email_address }", databases) == list{});
    CHECK(against("  - { name: a, column: users.email, now: email_address, when: { database: other } }", databases) ==
          list{"r.yaml:2:5: warning: rule a: in database other there is no table users, and no rule says what it is called now"});
    CHECK(against("  - { name: a, column: users.email, now: email_address, when: { database: third } }", databases) == list{});
    // Told is the one that it is for, although it does not fit there either.
    CHECK(against("  - { name: a, column: users.email, now: emial }", databases) ==
          list{R"(r.yaml:2:5: warning: rule a: in database shop public.users has no column "emial", and the rule fits no other database)"});
    CHECK(against("  - { name: a, table: x, now: y }", databases) ==
          list{"r.yaml:2:5: warning: rule a: in database other there is no table y, and the rule fits no other database"});
}
