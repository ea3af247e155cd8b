#include "healing/case_file.hpp"
#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/rules/rule_file.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <cstdlib>

namespace pgmend::healing {

TEST_CASE("each healing case gives the text, or the refusal, that is written beside it") {
    auto const cases = testing::read_cases(std::string{PGMEND_TEST_DATA} + "/cases");
    REQUIRE(!cases.empty());
    for (auto const& it : cases) {
        DYNAMIC_SECTION(it.file << ": " << it.name) {
            testing::schema_script script;
            std::shared_ptr<catalog::history const> history;
            for (auto const& ddl : it.versions) {
                script.run(ddl);
                if (it.forgotten && &ddl != &it.versions.back()) {
                    (void)script.take();
                    continue;
                }
                history = history ? catalog::history::with(history, script.take()) : std::make_shared<catalog::history>(script.take());
            }
            session_view session;
            session.search_path = it.search_path;
            session.temporary_relations = it.temporary;
            session.client_encoding = "UTF8";
            question asked{it.sql, session, {}, it.shape_only, server_error{it.sqlstate, it.routine, it.position, {}, {}, {}, {}}, it.shape_only, {}, {}};
            if (it.before) asked.error.reset();
            using namespace std::chrono_literals;
            std::array const sources{rules::source{it.file, it.rules.empty() ? std::string{"rules: []"} : it.rules}};
            std::chrono::sys_seconds const now = std::chrono::sys_days{2026y / std::chrono::June / 1};
            auto loaded = rules::load(sources, now);
            for (auto const& problem : loaded.problems) UNSCOPED_INFO(yaml::format(problem));
            REQUIRE(loaded.ok());
            rules::rule_set const rules{std::move(loaded.rules), 1};
            auto const part = [&](std::size_t i) { return it.who.size() > i ? std::string_view{it.who[i]} : std::string_view{}; };
            asked.who = {part(2), part(0), part(1), now};
            auto const answer = judge(asked, {history.get(), &rules, nullptr, {}});
            INFO(it.sql);
            if (auto const* refused = std::get_if<refusal>(&answer)) {
                INFO(refused->reason);
                if (it.proposed) {
                    REQUIRE(refused->proposals.size() == 1);
                    CHECK(refused->proposals[0].what.sql == *it.proposed);
                    CHECK(refused->kind == refusal_kind::policy_propose);
                    continue;
                }
                REQUIRE(it.refused);
                CHECK(refused->reason.find(*it.refused) != std::string::npos);
            } else if (auto const* fit = std::get_if<fits>(&answer)) {
                if (it.passes) {
                    CHECK(!fit->drift);
                    CHECK(!fit->not_understood);
                    continue;
                }
                REQUIRE(it.silent);
                REQUIRE(fit->drift);
                INFO(fit->drift->pattern);
                CHECK(fit->drift->pattern.find(*it.silent) != std::string::npos);
            } else {
                auto const& healed = std::get<plan>(answer);
                INFO(healed.sql);
                REQUIRE(it.gives);
                CHECK(healed.sql == *it.gives);
                CHECK(!healed.pattern.empty());
            }
        }
    }
}

} // namespace pgmend::healing
