#include "pgmend/backend/bulkhead.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

using namespace pgmend::backend;
using answer = bulkhead::answer;
using ids = std::vector<bulkhead::session_id>;

namespace {

bulkhead_limits limits(std::uint32_t backend, std::uint32_t database, std::uint32_t user, std::uint32_t waiting = 100) {
    return {.per_backend = backend, .per_database = database, .per_user = user, .waiting = waiting};
}

} // namespace

TEST_CASE("without limits everybody is admitted") {
    bulkhead b{{}};
    for (std::uint64_t id = 1; id <= 1000; ++id) CHECK(b.enter(id, {"a", "d", "u"}).what == answer::admitted);
    CHECK(b.connected() == 1000);
}

TEST_CASE("who meets a limit waits its turn, and the limit is named") {
    bulkhead b{limits(0, 0, 2)};
    CHECK(b.enter(1, {"a", "d", "u"}).what == answer::admitted);
    CHECK(b.enter(2, {"a", "e", "u"}).what == answer::admitted);
    auto const third = b.enter(3, {"a", "d", "u"});
    CHECK(third.what == answer::queued);
    REQUIRE(third.met);
    CHECK(third.met->setting == "limits.per_user");
    CHECK(third.met->what == "user");
    CHECK(third.met->name == "u");
    CHECK(third.met->limit == 2);
    CHECK(b.enter(4, {"a", "d", "u"}).met->waiting == 1);
    CHECK(b.leave(1) == ids{3});
    CHECK(b.leave(3) == ids{4});
    CHECK(b.leave(2).empty());
    CHECK(b.leave(4).empty());
    CHECK(b.connected() == 0);
}

TEST_CASE("a crowd of one user's sessions delays nobody else's") {
    bulkhead b{limits(3, 0, 1)};
    CHECK(b.enter(1, {"a", "d", "u"}).what == answer::admitted);
    for (std::uint64_t id = 10; id < 20; ++id) CHECK(b.enter(id, {"a", "d", "u"}).what == answer::queued);
    CHECK(b.enter(2, {"a", "d", "v"}).what == answer::admitted);
    CHECK(b.enter(3, {"a", "d", "w"}).what == answer::admitted);
    auto const full = b.enter(4, {"a", "d", "x"});
    CHECK(full.met->setting == "limits.per_backend");
    CHECK(b.leave(2) == ids{4}); // not one of u's, which are ahead of it
    CHECK(b.leave(1) == ids{10});
}

TEST_CASE("no more than so many wait for the same limit, and those for others may") {
    bulkhead b{limits(0, 0, 1, 2)};
    for (auto const* user : {"u", "v"}) {
        auto const base = user[0] * 100ULL;
        CHECK(b.enter(base, {"a", "d", user}).what == answer::admitted);
        CHECK(b.enter(base + 1, {"a", "d", user}).what == answer::queued);
        CHECK(b.enter(base + 2, {"a", "d", user}).what == answer::queued);
        auto const refused = b.enter(base + 3, {"a", "d", user});
        CHECK(refused.what == answer::refused);
        CHECK(refused.met->waiting == 2);
    }
    CHECK(b.leave('u' * 100ULL + 1).empty()); // tired of waiting
    CHECK(b.enter('u' * 100ULL + 4, {"a", "d", "u"}).what == answer::queued);
    CHECK(b.leave('u' * 100ULL) == ids{'u' * 100ULL + 2});
}

TEST_CASE("a higher limit admits who waits, and none admits all") {
    bulkhead b{limits(0, 1, 0)};
    for (std::uint64_t id = 1; id <= 4; ++id) (void)b.enter(id, {"a", "d", "u"});
    CHECK(b.configure(limits(0, 2, 0)) == ids{2});
    CHECK(b.configure({}) == ids{3, 4});
}

TEST_CASE("whatever happens, no limit is passed, nobody is lost, and nobody waits without a reason") {
    std::uint32_t seed = 5;
    auto const next = [&seed](std::uint32_t below) {
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % below;
    };
    bulkhead b{limits(6, 4, 3, 5)};
    std::map<std::uint64_t, passenger> in;
    std::map<std::uint64_t, passenger> waiting;
    auto const count = [&](auto&& same) {
        std::uint32_t n = 0;
        for (auto const& [id, who] : in) n += same(who) ? 1 : 0;
        return n;
    };
    for (std::uint64_t id = 1; id < 20000; ++id) {
        passenger const who{std::string(1, static_cast<char>('a' + next(2))), std::string(1, static_cast<char>('d' + next(3))), std::string(1, static_cast<char>('u' + next(4)))};
        auto const verdict = b.enter(id, who);
        if (verdict.what == answer::admitted) in.emplace(id, who);
        if (verdict.what == answer::queued) waiting.emplace(id, who);
        auto& from = next(3) == 0 ? waiting : in;
        if (!from.empty()) {
            auto const victim = std::next(from.begin(), next(static_cast<std::uint32_t>(from.size())))->first;
            auto const admitted = b.leave(victim);
            from.erase(victim);
            for (auto const each : admitted) {
                REQUIRE(waiting.contains(each));
                in.emplace(each, waiting.at(each));
                waiting.erase(each);
            }
        }
        REQUIRE(b.connected() == in.size());
        REQUIRE(b.waiting() == waiting.size());
        auto const full = [&](passenger const& p) {
            return count([&](auto const& o) { return o.backend == p.backend; }) >= 6 || count([&](auto const& o) { return o.database == p.database; }) >= 4 ||
                   count([&](auto const& o) { return o.user == p.user; }) >= 3;
        };
        for (auto const& [each, p] : in) {
            REQUIRE(count([&](auto const& o) { return o.backend == p.backend; }) <= 6);
            REQUIRE(count([&](auto const& o) { return o.database == p.database; }) <= 4);
            REQUIRE(count([&](auto const& o) { return o.user == p.user; }) <= 3);
        }
        for (auto const& [each, p] : waiting) REQUIRE(full(p));
    }
}
