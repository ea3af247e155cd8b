#include "pgmend/healing/bound_labels.hpp"

#include "healing/schema_script.hpp"
#include "pgmend/base/bytes.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

namespace pgmend::healing {
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
    CHECK(with_labels(" { happy , so so\t}", true, now) == R"( { "glad" , "it's \"ok\""	})");
    // What has several dimensions, or is no array, is left alone.
    for (auto const* value : {"{{happy}}", "[1:1]={happy}", "{happy", "", "{", "{}", "{happy,", "{happy,}", "{happy}x", "{\"happy", "{\"happy\"", "{\"happy\\", R"({ha\ppy})", "{\"happy\"x}"}) CHECK(with_labels(value, true, now) == std::nullopt);
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

namespace {

/// A schema before and after, and what else decides.
struct world {
    testing::schema_script script;
    std::shared_ptr<catalog::history const> history;
    rules::rule_set rules;
    learning::pattern_book book;
    healing::policy policy;
    session_view session;

    explicit world(std::string_view change) {
        script.run("CREATE TYPE mood AS ENUM ('sad', 'happy', 'so so'); CREATE TABLE people (id int, feels mood, felt mood[])");
        history = std::make_shared<catalog::history>(script.take());
        then(change);
        session.search_path = {"pg_catalog", "public"};
        session.client_encoding = "UTF8";
    }
    void then(std::string_view change) {
        script.run(change);
        history = catalog::history::with(history, script.take());
    }
    [[nodiscard]] catalog::oid type(std::int16_t column) const { return history->current().find("public", "people")->find_column(column)->type; }
    [[nodiscard]] value_verdict ask(std::vector<std::pair<std::int16_t, std::string>> const& values, std::string_view sql = "SELECT id FROM people WHERE feels = $1") const {
        question asked{sql, session, {}, {}, server_error{"22P02", "enum_in", {}, {}, {}, {}, {}}, {}, {}, {}};
        std::vector<bound_value> bound;
        for (auto const& [column, value] : values) bound.push_back({column == 0 ? 25 : type(column), value, {}});
        return judge_values(asked, std::move(bound), {history.get(), &rules, &book, policy});
    }
    [[nodiscard]] std::string text(std::vector<std::pair<std::int16_t, std::string>> const& values, std::string_view sql = "SELECT id FROM people WHERE feels = $1") const {
        auto const answer = ask(values, sql);
        if (auto const* refused = std::get_if<refusal>(&answer)) return std::string{name_of(refused->kind)};
        std::string out;
        for (auto const& it : std::get<value_plan>(answer).values) out += it.is + ";";
        return out;
    }
};

constexpr std::string_view renamed_label = "ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'";

} // namespace

TEST_CASE("a renamed label among the values of a statement is planned, and its text stays") {
    world const w{renamed_label};
    auto const answer = w.ask({{2, "happy"}, {2, "sad"}, {0, "happy"}, {3, "{sad,happy}"}});
    auto const& made = std::get<value_plan>(answer);
    CHECK(made.values == std::vector<bound_value>{{w.type(2), "happy", "glad"}, {w.type(3), "{sad,happy}", R"({sad,"glad"})"}});
    CHECK(made.what.sql == "SELECT id FROM people WHERE feels = $1");
    CHECK(made.what.edits.empty());
    CHECK(made.what.patterns == std::vector<std::string>{"enum public.mood.happy -> public.mood.glad"});
    CHECK(made.what.evidence == evidence::lineage);
    CHECK(made.what.once);
    CHECK_FALSE(made.what.writes());
    auto const written = w.ask({{2, "happy"}}, "UPDATE people SET feels = $1");
    CHECK(std::get<value_plan>(written).what.writes());
}

TEST_CASE("values that were never labels, or whose labels exist, are no drift") {
    world w{renamed_label};
    CHECK(w.text({{2, "never"}}) == "not_drift");
    CHECK(w.text({{2, "happy"}, {2, "never"}}) == "not_drift");
    CHECK(w.text({{3, "{happy,never}"}}) == "not_drift");
    CHECK(w.text({{2, "sad"}, {0, "happy"}}) == "not_drift");
    w.then("ALTER TYPE mood RENAME VALUE 'sad' TO 'happy'"); // the old name is another one's
    CHECK(w.text({{2, "happy"}}) == "not_drift");
    CHECK(w.text({{2, "sad"}}) == "happy;");
}

TEST_CASE("policy, suspension and the client's encoding decide about labels among the values") {
    world w{renamed_label};
    REQUIRE(w.policy.set_writes(evidence::lineage, action::propose));
    CHECK(w.text({{2, "happy"}}) == "glad;");
    auto const waiting = w.ask({{2, "happy"}}, "UPDATE people SET feels = $1");
    auto const& refused = std::get<refusal>(waiting);
    CHECK(refused.kind == refusal_kind::policy_propose);
    REQUIRE(refused.proposals.size() == 1);
    CHECK(refused.proposals[0].what.sql == "UPDATE people SET feels = $1");
    CHECK(refused.proposals[0].what.writes());
    w.policy.set_reads(evidence::lineage, action::off);
    CHECK(w.text({{2, "happy"}}) == "policy_off");
    w.policy = {};
    auto const id = w.book.record("", "enum public.mood.happy -> public.mood.glad", learning::evidence::lineage, true, {})->id;
    w.book.suspend(id, "", {});
    CHECK(w.text({{2, "happy"}}) == "suspended");
    world other{"ALTER TYPE mood RENAME VALUE 'happy' TO 'fröhlich'"};
    CHECK(other.text({{2, "happy"}}) == "fröhlich;");
    other.session.client_encoding = "LATIN1";
    CHECK(other.text({{2, "happy"}}) == "not_understood");
    CHECK(other.text({{2, "fröhlich"}}) == "not_drift");
}

} // namespace pgmend::healing
