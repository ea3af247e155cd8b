#include "pgmend/state/report.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace std::chrono_literals;

namespace {
state::drift_row row() {
    return {"shop", "app", "web", "00ff", "column public.users.email -> mail", state::drift_outcome::healed, "lineage", "SELECT email\nFROM users WHERE a | ?",
            "SELECT mail AS email\nFROM users WHERE a | ?", "", 3, state::time_point{1700000000s}, state::time_point{1700000060s}};
}
} // namespace

TEST_CASE("the report names who sends a statement, how often, and what to write instead") {
    std::vector const rows{row()};
    CHECK(state::report(rows, state::report_format::text) ==
          "web as app in shop: 3 times, 2023-11-14T22:13:20Z to 2023-11-14T22:14:20Z\n"
          "  healed by column public.users.email -> mail (lineage)\n"
          "  - SELECT email\n  - FROM users WHERE a | ?\n  + SELECT mail AS email\n  + FROM users WHERE a | ?\n");
}

TEST_CASE("a pattern that its reason names is named once") {
    auto refused = row();
    refused.outcome = state::drift_outcome::refused;
    refused.reason = "a heal waits for approval: " + refused.pattern;
    std::vector const rows{refused};
    CHECK(state::report(rows, state::report_format::text).find("\n  failed: a heal waits for approval: column public.users.email -> mail\n") != std::string::npos);
}

TEST_CASE("a cell of the Markdown table holds any statement") {
    std::vector const rows{row()};
    auto const text = state::report(rows, state::report_format::markdown);
    CHECK(text.find("| `SELECT email FROM users WHERE a \\| ?` | `SELECT mail AS email FROM users WHERE a \\| ?` |\n") != std::string::npos);
}

TEST_CASE("the JSON report of nothing is an empty array") {
    CHECK(state::report({}, state::report_format::json) == "[]\n");
    std::vector const rows{row()};
    CHECK(state::report(rows, state::report_format::json).find(R"("count": 3)") != std::string::npos);
}
