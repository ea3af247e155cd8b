#include "pgmend/control/learner.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>
#include <mutex>

using namespace pgmend;
using namespace std::chrono_literals;
using control::decision;
using learning::evidence;
using learning::pattern_state;

namespace {

struct fixture {
    explicit fixture(control::learner_settings settings = {}) : learner{book, settings} { learner.start(); }

    std::vector<learning::pattern> all() {
        std::promise<std::vector<learning::pattern>> promise;
        learner.describe([&](std::vector<learning::pattern> patterns) { promise.set_value(std::move(patterns)); });
        return promise.get_future().get();
    }

    base::result<learning::pattern> decide(decision what, std::uint64_t id) {
        std::promise<base::result<learning::pattern>> promise;
        learner.decide(what, id, [&](base::result<learning::pattern> answer) { promise.set_value(std::move(answer)); });
        return promise.get_future().get();
    }

    base::published<learning::pattern_book> book{std::make_shared<learning::pattern_book const>()};
    control::learner learner;
};

} // namespace

TEST_CASE("a proposal is in the book at once for who asks, and once only") {
    fixture it;
    for (int i = 0; i < 3; ++i) it.learner.proposed("shop", "column a -> b", evidence::similarity, "read as b");
    auto const all = it.all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].state == pattern_state::proposed);
    CHECK(all[0].note == "read as b");
    CHECK(all[0].database == "shop");
}

TEST_CASE("an approval has been published by the time it is answered") {
    fixture it;
    it.learner.proposed("shop", "column a -> b", evidence::similarity, "");
    auto const id = it.all().at(0).id;
    CHECK_FALSE(it.book.get()->approved("shop", "column a -> b"));
    auto const approved = it.decide(decision::approve, id);
    REQUIRE(approved.has_value());
    CHECK(approved->from == evidence::approved);
    CHECK(it.book.get()->approved("shop", "column a -> b"));
    REQUIRE(it.decide(decision::suspend, id).has_value());
    CHECK(it.book.get()->suspended("shop", "column a -> b"));
    REQUIRE(it.decide(decision::resume, id).has_value());
    CHECK(it.book.get()->approved("shop", "column a -> b"));
}

TEST_CASE("a decision that is not possible says why") {
    fixture it;
    CHECK(it.decide(decision::approve, 7).error().text == "there is no pattern 7");
    it.learner.proposed("shop", "a", evidence::hint, "");
    auto const id = it.all().at(0).id;
    CHECK(it.decide(decision::suspend, id).error().text == "pattern 1 is proposed: only an active one can be suspended");
    REQUIRE(it.decide(decision::reject, id).has_value());
    CHECK(it.decide(decision::resume, id).error().text == "pattern 1 was rejected: APPROVE PATTERN 1 makes it active");
    CHECK(it.decide(decision::reject, id).error().text == "pattern 1 is rejected already");
    REQUIRE(it.decide(decision::approve, id).has_value());
    CHECK(it.decide(decision::approve, id).error().text == "pattern 1 is active already");
}

TEST_CASE("uses are counted, and publish nothing") {
    fixture it;
    auto const before = it.book.get();
    for (int i = 0; i < 1000; ++i) it.learner.used("shop", "a", evidence::lineage, true);
    it.learner.used("shop", "a", evidence::lineage, false);
    auto const all = it.all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].state == pattern_state::active);
    CHECK(all[0].successes == 1000);
    CHECK(all[0].failures == 1);
    CHECK(it.book.get() == before);
}

TEST_CASE("a pattern that fails too often is suspended for the planner without anybody asking") {
    fixture it;
    for (int i = 0; i < 5; ++i) it.learner.used("shop", "a", evidence::lineage, false);
    auto const until = std::chrono::steady_clock::now() + 30s;
    while (!it.book.get()->suspended("shop", "a") && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    CHECK(it.book.get()->suspended("shop", "a"));
}

TEST_CASE("observations beyond the bound are dropped and counted, those of a pattern that waits already are not") {
    control::learner_settings settings;
    settings.batch = 10min;
    settings.most_waiting = 2;
    fixture it{settings};
    for (auto const* pattern : {"a", "b", "c", "a"}) it.learner.used("shop", pattern, evidence::lineage, true);
    CHECK(it.learner.dropped() == 1);
    auto const all = it.all();
    REQUIRE(all.size() == 2);
    CHECK(all[0].successes + all[1].successes == 3);
}

TEST_CASE("observations from many threads are all counted") {
    fixture it;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) it.learner.used("shop", "a", evidence::lineage, true);
        });
    for (auto& thread : threads) thread.join();
    CHECK(it.all().at(0).successes == 8000);
}

TEST_CASE("a learner that has stopped answers in the calling thread and takes observations without harm") {
    fixture it;
    it.learner.stop();
    it.learner.used("shop", "a", evidence::lineage, true);
    CHECK(it.all().empty());
    CHECK_FALSE(it.decide(decision::approve, 1).has_value());
    it.learner.stop();
}

TEST_CASE("a hundred thousand patterns cost an observation nothing") {
    control::learner_settings settings;
    settings.most_waiting = 200000;
    fixture it{settings};
    for (int i = 0; i < 100000; ++i) it.learner.used("shop", "column t.c" + std::to_string(i), evidence::lineage, true);
    REQUIRE(it.all().size() == 100000);
    REQUIRE(it.decide(decision::suspend, 77).has_value());
    CHECK(it.book.get()->patterns().size() == 1); // what is copied for the planner
}

namespace {

/// A store in memory; `down` makes it refuse.
class fake_store final : public state::store {
  public:
    void keep(std::vector<state::change> changes, kept answer, std::chrono::steady_clock::time_point) override {
        if (down) return answer(base::fail(base::errc::system, "disk full"));
        for (auto& it : changes) note(std::move(it));
        answer({});
    }
    void note(state::change what) override {
        std::lock_guard const lock{mutex};
        all.push_back(std::move(what));
    }
    void load_patterns(std::function<void(base::result<std::vector<learning::pattern>>)> answer) override { answer(std::vector<learning::pattern>{}); }
    void load_drift(std::function<void(base::result<std::vector<state::drift_row>>)> answer) override { answer(std::vector<state::drift_row>{}); }
    void load_entries(state::entry::table_type, std::function<void(base::result<std::vector<state::entry>>)> answer) override { answer(std::vector<state::entry>{}); }
    condition now() const override { return {}; }

    std::vector<state::change> taken() {
        std::lock_guard const lock{mutex};
        return all;
    }
    std::mutex mutex;
    std::vector<state::change> all;
    std::atomic<bool> down{false};
};

struct with_store {
    explicit with_store(std::vector<learning::pattern> kept = {}) {
        learner.keep_in(&store);
        learner.restore(std::move(kept));
        learner.start();
    }
    std::vector<learning::pattern> all() {
        std::promise<std::vector<learning::pattern>> promise;
        learner.describe([&](std::vector<learning::pattern> patterns) { promise.set_value(std::move(patterns)); });
        return promise.get_future().get();
    }
    base::result<learning::pattern> decide(decision what, std::uint64_t id) {
        std::promise<base::result<learning::pattern>> promise;
        learner.decide(what, id, [&](base::result<learning::pattern> answer) { promise.set_value(std::move(answer)); });
        return promise.get_future().get();
    }
    fake_store store;
    base::published<learning::pattern_book> book{std::make_shared<learning::pattern_book const>()};
    control::learner learner{book};
};

learning::pattern approved(std::uint64_t id, std::string text) {
    learning::pattern p;
    p.id = id;
    p.database = "shop";
    p.text = std::move(text);
    p.from = evidence::approved;
    p.state = pattern_state::active;
    p.last_used = p.first_seen = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    return p;
}

std::shared_ptr<catalog::history const> schema_with(std::string column) {
    auto table = std::make_shared<catalog::relation const>(
        catalog::relation{16400, "public", "users", 'r', {{.number = 1, .name = std::move(column), .type = 25}}});
    return std::make_shared<catalog::history const>(
        std::make_shared<catalog::snapshot const>(catalog::database_identity{"1", 5}, std::vector<catalog::snapshot::relation_ptr>{table}));
}

} // namespace

TEST_CASE("what was decided before a restart holds at once, and ids go on") {
    with_store it{{approved(7, "column public.users.email -> mail")}};
    CHECK(it.book.get()->approved("shop", "column public.users.email -> mail"));
    it.learner.proposed("shop", "b", evidence::hint, "");
    CHECK(it.all().at(1).id == 8);
}

TEST_CASE("a decision is with the store before it is answered") {
    with_store it;
    it.learner.proposed("shop", "b", evidence::hint, "");
    auto const id = it.all().at(0).id;
    REQUIRE(it.decide(decision::approve, id).has_value());
    auto const kept = it.store.taken();
    REQUIRE(!kept.empty());
    auto const& last = std::get<state::pattern_change>(kept.back());
    CHECK(last.decided);
    CHECK(last.now.from == evidence::approved);
}

TEST_CASE("an approval that cannot be kept changes nothing; a suspension holds all the same") {
    with_store it{{approved(7, "a")}};
    it.learner.proposed("shop", "b", evidence::hint, "");
    auto const id = it.all().at(1).id;
    it.store.down = true;
    CHECK(it.decide(decision::approve, id).error().text == "nothing was changed: the decision could not be kept: disk full");
    CHECK_FALSE(it.book.get()->approved("shop", "b"));
    CHECK(it.all().at(1).state == pattern_state::proposed);
    CHECK(it.decide(decision::suspend, 7).error().text == "pattern 7 is suspended now, but a restart would forget it: disk full");
    CHECK(it.book.get()->suspended("shop", "a"));
}

TEST_CASE("counts go to the store as what was added") {
    with_store it{{approved(7, "a")}};
    for (int i = 0; i < 3; ++i) it.learner.used("shop", "a", evidence::approved, true);
    it.learner.used("shop", "a", evidence::approved, false);
    it.learner.stop();
    auto const kept = it.store.taken();
    REQUIRE(kept.size() == 1);
    auto const& change = std::get<state::pattern_change>(kept[0]);
    CHECK_FALSE(change.decided);
    CHECK(change.more_successes == 3);
    CHECK(change.more_failures == 1);
}

TEST_CASE("a pattern whose old name exists again is retired; one that a person suspended stays so") {
    auto suspended = approved(8, "column public.users.email -> other");
    suspended.state = pattern_state::suspended;
    with_store it{{approved(7, "column public.users.email -> mail"), suspended}};
    it.learner.schemas_are({{"shop", schema_with("mail")}});
    CHECK(it.all().at(0).state == pattern_state::active);
    it.learner.schemas_are({{"elsewhere", schema_with("email")}});
    CHECK(it.all().at(0).state == pattern_state::active);
    auto const back = catalog::history::with(schema_with("mail"), schema_with("email")->versions().front());
    it.learner.schemas_are({{"shop", back}});
    CHECK(it.all().at(0).state == pattern_state::retired);
    CHECK(it.all().at(0).reason == "its old name exists again");
    CHECK(it.all().at(1).state == pattern_state::suspended);
    CHECK_FALSE(it.book.get()->approved("shop", "column public.users.email -> mail"));
}

TEST_CASE("other limits hold for the uses that come after them") {
    fixture it;
    it.learner.used("shop", "a", evidence::lineage, false);
    it.learner.used("shop", "a", evidence::lineage, false);
    it.learner.configure({.least_trials = 3});
    CHECK(it.all().at(0).state == pattern_state::active);
    it.learner.used("shop", "a", evidence::lineage, false);
    CHECK(it.all().at(0).state == pattern_state::suspended);
    CHECK(it.book.get()->suspended("shop", "a"));
}

TEST_CASE("another instance's decision holds although the pattern is in use here at that moment") {
    with_store it{{approved(7, "a")}};
    for (int i = 0; i < 3; ++i) it.learner.used("shop", "a", evidence::approved, true);
    auto suspended = approved(7, "a");
    suspended.state = pattern_state::suspended;
    suspended.successes = 40;
    it.learner.adopt({suspended});
    auto const all = it.all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].state == pattern_state::suspended);
    CHECK(all[0].successes == 43);
    CHECK(it.book.get()->suspended("shop", "a"));
    it.learner.stop();
    auto const kept = it.store.taken();
    REQUIRE(kept.size() == 1);
    CHECK_FALSE(std::get<state::pattern_change>(kept[0]).decided);
    CHECK(std::get<state::pattern_change>(kept[0]).more_successes == 3);
}

TEST_CASE("another instance's decision is taken over, under the id that it has there") {
    with_store it;
    it.learner.proposed("shop", "mine", evidence::hint, "");
    REQUIRE(it.all().at(0).id == 1);
    it.learner.adopt({approved(1, "theirs")});
    auto const all = it.all();
    REQUIRE(all.size() == 2);
    CHECK(all[0].text == "theirs");
    CHECK(all[1].text == "mine");
    CHECK(it.book.get()->approved("shop", "theirs"));
}
