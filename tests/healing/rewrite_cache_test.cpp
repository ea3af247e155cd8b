#include "pgmend/healing/rewrite_cache.hpp"

#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace pgmend::healing {
namespace {

std::shared_ptr<catalog::history const> versions(std::initializer_list<char const*> ddl) {
    testing::schema_script script;
    std::shared_ptr<catalog::history const> history;
    for (auto const* text : ddl) {
        script.run(text);
        history = catalog::history::with(history, script.take());
    }
    return history;
}

opinion fitting(std::uint32_t view, std::uint64_t generation, std::vector<std::string> identifiers = {}) {
    opinion made;
    made.view = view;
    made.generation = generation;
    made.identifiers = std::move(identifiers);
    return made;
}

} // namespace

TEST_CASE("a text is classified once, and found by its exact bytes") {
    rewrite_cache cache{1U << 20};
    auto& first = cache.find("SELECT 1");
    CHECK(first.guardable);
    CHECK_FALSE(first.changes_session);
    CHECK(&cache.find("SELECT 1") == &first);
    CHECK(cache.find("SELECT  1").text == "SELECT  1");
    CHECK(cache.size() == 2);
    CHECK(cache.counts().hits == 0);
    CHECK(cache.known("SELECT 1", rewrite_cache::text_hash("SELECT 1")) == &first);
    CHECK(cache.known("SELECT 2", rewrite_cache::text_hash("SELECT 2")) == nullptr);
    CHECK(cache.counts().hits == 1);
    CHECK(cache.counts().misses == 2);
    CHECK(cache.find("SET search_path = x").changes_session);
    CHECK(cache.find("COMMIT").ends_transaction);
    CHECK(cache.find("BEGIN").begins_transaction);
    CHECK_FALSE(cache.find("SELECT 1; SELECT 2").guardable);
    CHECK_FALSE(cache.find("SET TRANSACTION READ ONLY").guardable);
    CHECK(cache.find("SELECT 'open").ends_transaction); // it may be anything
}

TEST_CASE("the cache stays within its bound, and keeps what is used") {
    rewrite_cache cache{64U << 10};
    for (int i = 0; i < 2000; ++i) {
        (void)cache.find("SELECT the_one");
        (void)cache.find("SELECT " + std::to_string(i));
        REQUIRE(cache.bytes() <= 64U << 10);
    }
    CHECK(cache.counts().evicted > 1000);
    auto const misses = cache.counts().misses;
    (void)cache.find("SELECT the_one");
    CHECK(cache.counts().misses == misses);
}

TEST_CASE("a text longer than the bound is forgotten at once, and nothing else breaks") {
    rewrite_cache cache{1000};
    (void)cache.find(std::string(5000, 'x'));
    CHECK(cache.find("SELECT 1").text == "SELECT 1");
    CHECK(cache.size() <= 2);
}

TEST_CASE("an opinion belongs to one view and one list of parameter types") {
    auto const history = versions({"CREATE TABLE users (id int, email text)"});
    rewrite_cache cache{1U << 20};
    auto& text = cache.find("SELECT email FROM users WHERE id = $1");
    auto made = fitting(1, 1);
    made.parameter_types = {23};
    cache.keep(text, made);
    CHECK(cache.find(text, 1, {23}, *history, 0) != nullptr);
    CHECK(cache.find(text, 2, {23}, *history, 0) == nullptr);
    CHECK(cache.find(text, 1, {20}, *history, 0) == nullptr);
    CHECK(cache.find(text, 1, {23}, *history, 1) == nullptr); // other rules
}

TEST_CASE("an opinion dies with a change of what it rests on, and outlives others") {
    auto const history = versions({"CREATE TABLE users (id int, email text); CREATE TABLE orders (id int, note text)",
                                   "ALTER TABLE users RENAME COLUMN email TO mail"});
    REQUIRE(history->generation() == 2);
    rewrite_cache cache{1U << 20};
    auto& users = cache.find("SELECT email FROM users");
    auto& orders = cache.find("SELECT note FROM orders");
    cache.keep(users, fitting(1, 1, identifiers(users.text)));
    cache.keep(orders, fitting(1, 1, identifiers(orders.text)));
    CHECK(cache.find(users, 1, {}, *history, 0) == nullptr);
    auto* const kept = cache.find(orders, 1, {}, *history, 0);
    REQUIRE(kept != nullptr);
    CHECK(kept->generation == 2);
    CHECK(cache.counts().outdated == 1);
}

TEST_CASE("of one text so many opinions are kept and no more") {
    rewrite_cache cache{1U << 20};
    auto& text = cache.find("SELECT 1");
    for (std::uint32_t view = 1; view < 100; ++view) cache.keep(text, fitting(view, 1));
    CHECK(text.opinions.size() == rewrite_cache::most_opinions);
    CHECK(text.opinions.back().view == 99);
    cache.forget_opinions();
    CHECK(text.opinions.empty());
}

} // namespace pgmend::healing
