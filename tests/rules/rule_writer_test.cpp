#include "pgmend/rules/rule_file.hpp"
#include "pgmend/rules/rule_writer.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace pgmend;

namespace {

std::vector<rules::rule> read(std::string const& text) {
    std::array const sources{rules::source{"r.yaml", text}};
    auto l = rules::load(sources, {});
    INFO(text << yaml::format(l.problems));
    REQUIRE(l.ok());
    for (auto& r : l.rules) r.where = {};
    return std::move(l.rules);
}

} // namespace

TEST_CASE("rules that are written read back to the same rules") {
    auto const all = read(R"(rules:
  - { name: a, column: public.users.email, now: email_address }
  - { name: b, column: '"Users"."E.Mail ""x"""', now: '"Ü y"', mode: off }
  - { name: c, column: users.legacy_flag, gone: { read: "CASE WHEN a = 'x' THEN \"B\" ELSE E'\\n' END", write: keep-in-audit } }
  - { name: d, column: t.x, gone: { write: discard }, expires: 2027-01-05 }
  - { name: e, column: orders.region, default: "'eu'", when: { database: shop, user: [a b, "null"], application_name: '^\d+"x"' } }
  - { name: f, enum: 'mood."very. sad"', now: '"#1"', comment: "two\nlines: # and \ttab" }
  - { name: g, enum: app.mood.null, now: '"" "' }
  - { name: h, function: f, now: s.g }
  - { name: i, type: '"select"', now: t2 }
  - { name: j, sequence: s, now: app.s, mode: observe }
  - { name: k, table: users, star: [id, '"Select"', "\"a b\""] }
  - { name: l, table: events, on_error: { split: rows, dead_letter: true } }
  - { name: m, statement: SELECT 1, fallback: { stale: 90s } }
  - { name: m2, statement: SELECT 2, fallback: { replica: true, stale: 90s } }
  - { name: m3, statement: SELECT 3, fallback: { replica: true } }
  - { name: m4, statement: SELECT 4, fallback: { error: true } }
  - name: n
    statement: |
      SELECT id, total -- as it was
      FROM invoices
      WHERE customer = $1 AND state = 'open: \ #'
    replace: >-
      SELECT id, net AS total FROM bills WHERE customer = $1;
)");
    auto const text = rules::write_rule_file(all);
    INFO(text);
    CHECK(read(text) == all);
    CHECK(rules::write_rule_file(read(text)) == text);
}

TEST_CASE("what is written is what a person would have written") {
    auto const all = read(R"(rules: [ { "name": "users-email", "column": "public.users.email", "now": "email_address", "comment": "seen 12 times" },
        { name: flag, column: users.flag, gone: { read: "false" }, when: { application_name: "^old" } } ])");
    CHECK(rules::write_rule_file(all, true) == "rules:\n"
                                               "  # seen 12 times\n"
                                               "  - { name: users-email, column: public.users.email, now: email_address }\n"
                                               "  - { name: flag, column: users.flag, gone: { read: \"false\" }, when: { application_name: \"^old\" } }\n");
    CHECK(rules::write_rule_file({}) == "rules: []\n");
}
