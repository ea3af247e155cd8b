#include "pgmend/learning/pattern_book.hpp"

#include "pgmend/learning/confidence.hpp"

#include <catch2/catch.hpp>

#include <random>

namespace pgmend::learning {
namespace {

constexpr std::string_view email = "column public.users.email -> email_address";

time_point hour(int n) { return time_point{} + std::chrono::hours{n}; }

} // namespace

TEST_CASE("confidence is the lower bound of Wilson's interval") {
    CHECK(confidence(0, 0) == 0);
    CHECK(confidence(1, 0) == Approx(0.2065).margin(0.0001));
    CHECK(confidence(10, 0) == Approx(0.7225).margin(0.0001));
    CHECK(confidence(50, 50) == Approx(0.4038).margin(0.0001));
    CHECK(confidence(0, 10) == Approx(0).margin(0.0001));
    CHECK(confidence(1000, 0) > confidence(100, 0));
    CHECK(confidence(1'000'000'000, 0) < 1);
}

TEST_CASE("a proposal waits for a person, and heals only after approval") {
    pattern_book book;
    auto const proposed = book.propose("shop", email, evidence::similarity, "closest name", hour(1));
    REQUIRE(proposed);
    CHECK(proposed->to == pattern_state::proposed);
    CHECK_FALSE(book.propose("shop", email, evidence::similarity, "closest name", hour(2)));
    CHECK_FALSE(book.approved("shop", email));
    CHECK_FALSE(book.suspended("shop", email));
    auto const before = book.generation();
    REQUIRE(book.approve(proposed->id, hour(3)));
    CHECK(book.generation() != before);
    CHECK(book.approved("shop", email));
    CHECK_FALSE(book.approved("other", email));
    CHECK(book.find(proposed->id)->from == evidence::approved);
    CHECK_FALSE(book.approve(proposed->id, hour(4)));
    CHECK_FALSE(book.approve(99, hour(4)));
}

TEST_CASE("what a person rejected is neither proposed again nor resumed") {
    pattern_book book;
    auto const id = book.propose("shop", email, evidence::hint, "", hour(1))->id;
    REQUIRE(book.reject(id, hour(2)));
    CHECK(book.suspended("shop", email));
    CHECK_FALSE(book.propose("shop", email, evidence::hint, "", hour(3)));
    CHECK_FALSE(book.resume(id, hour(3)));
    CHECK_FALSE(book.reject(id, hour(3)));
    CHECK(book.approve(id, hour(4)));
    CHECK(book.approved("shop", email));
}

TEST_CASE("the first use makes a pattern active, and suspending it is undone by resuming") {
    pattern_book book;
    auto const used = book.record("shop", email, evidence::lineage, true, hour(1));
    REQUIRE(used);
    CHECK(used->to == pattern_state::active);
    CHECK_FALSE(book.record("shop", email, evidence::lineage, true, hour(2)));
    CHECK(book.find(used->id)->successes == 2);
    CHECK_FALSE(book.approved("shop", email)); // by lineage, not by a person
    auto const before = book.generation();
    CHECK_FALSE(book.record("shop", email, evidence::lineage, true, hour(2)));
    CHECK(book.generation() == before); // counts alone change no plan
    REQUIRE(book.suspend(used->id, "asked to", hour(3)));
    CHECK(book.suspended("shop", email));
    REQUIRE(book.resume(used->id, hour(4)));
    CHECK_FALSE(book.suspended("shop", email));
    CHECK(book.find(used->id)->successes == 0);
}

TEST_CASE("failures suspend a pattern, but not a single one") {
    pattern_book book;
    auto const id = book.record("shop", email, evidence::lineage, false, hour(1))->id;
    CHECK_FALSE(book.suspended("shop", email));
    for (int i = 0; i < 3; ++i) CHECK_FALSE(book.record("shop", email, evidence::lineage, false, hour(2)));
    auto const last = book.record("shop", email, evidence::lineage, false, hour(3));
    REQUIRE(last);
    CHECK(last->to == pattern_state::suspended);
    CHECK(book.find(id)->reason == "it failed too often");
    pattern_book good;
    good.record("shop", email, evidence::lineage, true, hour(1));
    for (int i = 0; i < 50; ++i) good.record("shop", email, evidence::lineage, true, hour(1));
    CHECK_FALSE(good.record("shop", email, evidence::lineage, false, hour(2)));
}

TEST_CASE("what nobody used is retired, and comes back when it is used again") {
    pattern_book book{{.retire_after = std::chrono::hours{10}}};
    auto const id = book.record("shop", email, evidence::lineage, true, hour(1))->id;
    CHECK(book.retire_unused(hour(11)).empty());
    auto const retired = book.retire_unused(hour(12));
    REQUIRE(retired.size() == 1);
    CHECK(retired[0].id == id);
    CHECK(book.retire_unused(hour(20)).empty());
    auto const again = book.record("shop", email, evidence::lineage, true, hour(21));
    REQUIRE(again);
    CHECK(again->to == pattern_state::active);
    REQUIRE(book.retire(id, "the old name is back", hour(22)));
    CHECK(book.find(id)->reason == "the old name is back");
    CHECK_FALSE(book.retire(id, "again", hour(22)));
}

TEST_CASE("other limits hold from then on") {
    pattern_book book;
    auto const id = book.record("shop", email, evidence::lineage, true, hour(1))->id;
    CHECK(book.retire_unused(hour(12)).empty());
    book.set_limits({.lowest_trust = 0, .retire_after = std::chrono::minutes{30}});
    REQUIRE(book.retire_unused(hour(12)).size() == 1);
    (void)book.record("shop", email, evidence::lineage, true, hour(13));
    for (int i = 0; i < 20; ++i) CHECK_FALSE(book.record("shop", email, evidence::lineage, false, hour(13)));
    book.set_limits({.lowest_trust = 0.5, .least_trials = 5});
    CHECK(book.record("shop", email, evidence::lineage, false, hour(14))->to == pattern_state::suspended);
    CHECK(book.find(id)->state == pattern_state::suspended);
}

TEST_CASE("a book is bounded: the oldest retired and proposed patterns go, decisions of people stay") {
    pattern_book book{{.most_patterns = 3}};
    auto const kept = book.propose("d", "a", evidence::hint, "", hour(1))->id;
    book.approve(kept, hour(1));
    book.propose("d", "b", evidence::hint, "", hour(2));
    book.propose("d", "c", evidence::hint, "", hour(3));
    book.propose("d", "e", evidence::hint, "", hour(4));
    CHECK(book.patterns().size() == 3);
    CHECK(book.find("d", "b") == nullptr);
    CHECK(book.approved("d", "a"));
    pattern_book full{{.most_patterns = 1}};
    full.approve(full.propose("d", "a", evidence::hint, "", hour(1))->id, hour(1));
    CHECK_FALSE(full.propose("d", "b", evidence::hint, "", hour(2)));
    CHECK(full.patterns().size() == 1);
}

TEST_CASE("a stored pattern comes back as it was, and ids are not used again") {
    pattern_book book;
    auto const id = book.record("shop", email, evidence::lineage, true, hour(1))->id;
    pattern_book other;
    other.put(*book.find(id));
    CHECK(*other.find("shop", email) == *book.find(id));
    CHECK(other.propose("shop", "x", evidence::hint, "", hour(2))->id > id);
}

TEST_CASE("the counts of a book are those of its patterns, whatever happens to it") {
    std::mt19937 random{20261128};
    auto const up_to = [&](unsigned n) { return random() % n; };
    pattern_book book{{.most_patterns = 20, .retire_after = std::chrono::hours{30}}};
    for (int i = 0; i < 5000; ++i) {
        auto const text = std::string(1 + up_to(40), 'a');
        auto const id = 1 + up_to(60);
        auto const now = hour(i);
        switch (up_to(9)) {
            case 0: book.propose("d", text, evidence::hint, "a note", now); break;
            case 1: book.record("d", text, evidence::lineage, up_to(2) == 0, now); break;
            case 2: book.approve(id, now); break;
            case 3: book.reject(id, now); break;
            case 4: book.suspend(id, "why", now); break;
            case 5: book.resume(id, now); break;
            case 6: book.retire(id, "why", now); break;
            case 7: book.retire_unused(now); break;
            default: {
                pattern stored;
                stored.id = id;
                stored.database = "d";
                stored.text = text;
                stored.state = static_cast<pattern_state>(up_to(4));
                if (up_to(2) == 0) book.put(stored);
                else book.adopt(stored);
            }
        }
        pattern_book again;
        std::array<std::uint64_t, 4> by_state{};
        for (auto const& [at, it] : book.patterns()) {
            ++by_state[static_cast<std::size_t>(it.state)];
            again.put(it);
        }
        REQUIRE(book.counts().by_state == by_state);
        REQUIRE(book.counts().bytes == again.counts().bytes);
    }
}

TEST_CASE("the decisions of a book are what is suspended and what is approved, and answer the planner alike") {
    pattern_book book;
    book.propose("shop", "a", evidence::similarity, "", hour(1));
    book.propose("shop", "b", evidence::similarity, "", hour(1));
    book.propose("shop", "c", evidence::similarity, "", hour(1));
    book.record("shop", "d", evidence::lineage, true, hour(1));
    book.record("shop", "e", evidence::lineage, true, hour(1));
    auto const quiet = book.generation();
    CHECK(quiet == pattern_book{}.generation()); // nothing of this changes a plan
    book.approve(1, hour(1));
    book.reject(2, hour(1));
    book.suspend(4, "", hour(1));
    CHECK(book.generation() != quiet);
    auto const decisions = book.decisions();
    CHECK(decisions.patterns().size() == 3);
    CHECK(decisions.generation() == book.generation());
    for (auto const* text : {"a", "b", "c", "d", "e", "f"}) {
        CHECK(decisions.suspended("shop", text) == book.suspended("shop", text));
        CHECK(decisions.approved("shop", text) == book.approved("shop", text));
    }
    auto const before = book.generation();
    book.retire(1, "", hour(1)); // approved before
    CHECK(book.generation() != before);
}

} // namespace pgmend::learning
