#include "pgmend/rules/pattern_rules.hpp"
#include "pgmend/rules/rule_file.hpp"

#include <catch2/catch.hpp>

#include <fmt/format.h>

using namespace pgmend;
using learning::evidence;
using learning::pattern_state;

namespace {

learning::pattern pattern(std::string text, evidence from = evidence::lineage, pattern_state state = pattern_state::active) {
    static std::uint64_t id = 0;
    learning::pattern p;
    p.id = ++id;
    p.database = "shop";
    p.text = std::move(text);
    p.from = from;
    p.state = state;
    p.successes = 12;
    return p;
}

/// The pattern that a rule stands for.
std::vector<std::string> texts_of(rules::rule const& r) {
    using namespace rules;
    if (auto const* a = std::get_if<column_renamed>(&r.does)) return {fmt::format("column {}.{}.{} -> {}", a->column.schema, a->column.table, a->column.column, a->now)};
    if (auto const* a = std::get_if<label_renamed>(&r.does))
        return {fmt::format("enum {}.{}.{} -> {}.{}.{}", a->type.schema, a->type.name, a->label, a->type.schema, a->type.name, a->now)};
    if (auto const* a = std::get_if<object_renamed>(&r.does)) {
        auto const* kind = a->kind == object_kind::function ? "function" : a->kind == object_kind::type ? "type" : "relation";
        return {fmt::format("{} {}.{} -> {}.{}", kind, a->object.schema, a->object.name, a->now.schema, a->now.name)};
    }
    auto const& a = std::get<column_gone>(r.does);
    std::vector<std::string> out;
    auto const column = fmt::format("{}.{}.{}", a.column.schema, a.column.table, a.column.column);
    if (a.read) out.push_back("dropped column " + column + ": read as NULL");
    if (a.write == column_gone::write_answer::keep_in_audit) out.push_back("dropped column " + column + ": written value left out");
    return out;
}

} // namespace

TEST_CASE("active patterns are exported as rules that read back to the same patterns") {
    std::vector<std::string> const texts{
        "column public.users.email -> email_address", "column public.Odd Table.e mail -> \"quoted\"", "relation public.users -> crm.clients",
        "relation public.old_seq -> public.new_seq", "function public.total -> billing.total", "type public.mood -> public.feeling",
        "enum public.mood.sad.very -> public.mood.unhappy", "dropped column public.users.legacy: read as NULL",
        "dropped column public.users.legacy: written value left out"};
    std::vector<learning::pattern> patterns;
    for (auto const& it : texts) patterns.push_back(pattern(it));
    patterns.push_back(pattern("column public.a.b -> c", evidence::similarity, pattern_state::proposed));
    patterns.push_back(pattern("rule mine", evidence::rule));
    patterns.push_back(pattern("ambiguous column public.users.email"));
    auto const made = rules::rules_of(patterns, [](auto const&, auto const&, auto const& name) { return name == "new_seq"; });
    CHECK(made.left_out == std::vector<std::string>{"no rule can say: ambiguous column public.users.email"});
    auto const text = rules::export_text(made);
    CHECK(text.find("the catalog's own history: first seen 1970-01-01, 12 heals") != std::string::npos);
    std::vector<rules::source> const sources{{"exported.yaml", text}};
    auto const read = rules::load(sources, std::chrono::sys_seconds{});
    INFO(text);
    REQUIRE(read.problems.empty());
    REQUIRE(read.rules.size() == 8);
    std::vector<std::string> back;
    for (auto const& r : read.rules) {
        CHECK(r.when.databases == std::vector<std::string>{"shop"});
        for (auto& it : texts_of(r)) back.push_back(std::move(it));
    }
    CHECK(back == texts);
    CHECK(std::get<rules::object_renamed>(read.rules[3].does).kind == rules::object_kind::sequence);
}

TEST_CASE("rules of one name get numbers") {
    std::vector const patterns{pattern("column public.users.email -> a"), pattern("column crm.users.email -> b")};
    auto const made = rules::rules_of(patterns, [](auto const&, auto const&, auto const&) { return false; });
    CHECK(made.rules.at(0).name == "users-email");
    CHECK(made.rules.at(1).name == "users-email-2");
}

TEST_CASE("what was renamed twice has one rule, by the pattern used last") {
    std::vector patterns{pattern("column public.users.email -> mail"), pattern("column public.users.email -> address"), pattern("column public.users.email -> post"),
                         pattern("relation public.a -> public.b"), pattern("dropped column public.users.x: read as NULL"), pattern("column public.users.x -> y")};
    patterns[1].last_used += std::chrono::hours{2};
    patterns[2].last_used += std::chrono::hours{1};
    auto const made = rules::rules_of(patterns, [](auto const&, auto const&, auto const&) { return false; });
    auto const id = [&](std::size_t i) { return fmt::format("pattern {}", patterns[i].id); };
    CHECK(made.left_out == std::vector<std::string>{id(1) + " is newer than " + id(0) + ": column public.users.email -> mail",
                                                    id(1) + " is newer than " + id(2) + ": column public.users.email -> post",
                                                    id(5) + " is newer than " + id(4) + ": dropped column public.users.x: read as NULL"});
    auto const text = rules::export_text(made);
    INFO(text);
    std::vector<rules::source> const sources{{"exported.yaml", text}};
    auto const read = rules::load(sources, std::chrono::sys_seconds{});
    CHECK(read.problems.empty());
    REQUIRE(read.rules.size() == 3);
    CHECK(texts_of(read.rules[0]) == std::vector<std::string>{"column public.users.email -> address"});
}

TEST_CASE("exported rules have names that a rule file may have, whatever the objects are called") {
    std::string const longest(63, 'x');
    std::string umlauts;
    for (int i = 0; i < 31; ++i) umlauts += "ü";
    std::vector<std::string> const texts{"column public._users._id -> id",       "column public.-.; -> b", "relation public.Größe -> public.größe",
                                         "column public." + longest + "." + longest + " -> b", "column public." + umlauts + "." + umlauts + " -> b"};
    std::vector<learning::pattern> patterns;
    for (auto const& it : texts) patterns.push_back(pattern(it));
    patterns.push_back(pattern("enum public.mood.two\nlines -> other.mood.a"));
    auto const text = rules::export_text(rules::rules_of(patterns, [](auto const&, auto const&, auto const&) { return false; }));
    INFO(text);
    std::vector<rules::source> const sources{{"exported.yaml", text}};
    auto const read = rules::load(sources, std::chrono::sys_seconds{});
    CHECK(read.problems.empty());
    REQUIRE(read.rules.size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts_of(read.rules[i]) == std::vector<std::string>{texts[i]});
    CHECK(read.rules[0].name == "users--id");
    CHECK(read.rules[2].name == "größe");
    CHECK(read.rules[4].name.size() == 89); // 90 would be half an ü
}
