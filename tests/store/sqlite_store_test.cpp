#include "pgmend/store/sqlite_store.hpp"

#include <catch2/catch.hpp>

#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <future>

using namespace pgmend;
using catalog::history;
using catalog::snapshot;

namespace {

struct scratch_file {
    scratch_file() {
        auto name = (std::filesystem::temp_directory_path() / "pgmend-store-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        directory = name;
    }
    ~scratch_file() { std::filesystem::remove_all(directory); }
    [[nodiscard]] std::string path() const { return (directory / "state.db").string(); }
    std::filesystem::path directory;
};

catalog::database_identity const here{"7301", 5};

std::shared_ptr<snapshot const> version(std::string name, catalog::database_identity identity = here) {
    auto table = std::make_shared<catalog::relation const>(catalog::relation{16400, "public", std::move(name), 'r', {{.number = 1, .name = "id", .type = 23}}});
    auto system = std::make_shared<catalog::relation const>(catalog::relation{1259, "pg_catalog", "pg_class", 'r'});
    return std::make_shared<snapshot const>(std::move(identity), std::vector<snapshot::relation_ptr>{table, system});
}

catalog::version_store::kept load(store::sqlite_store& from, std::shared_ptr<snapshot const> current) {
    auto const promise = std::make_shared<std::promise<catalog::version_store::kept>>();
    from.load("shop", std::move(current), [promise](catalog::version_store::kept k) { promise->set_value(std::move(k)); });
    return promise->get_future().get();
}

std::shared_ptr<history const> saved(store::sqlite_store& to, std::shared_ptr<history const> h, std::initializer_list<char const*> names) {
    for (auto const* name : names) {
        h = history::with(h, version(name), 1000);
        to.save("shop", h, {"trigger", "postgres, psql, ALTER TABLE"});
    }
    return h;
}

void execute(std::string const& path, char const* sql) {
    sqlite3* file = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &file) == SQLITE_OK);
    CHECK(sqlite3_exec(file, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(file);
}

} // namespace

TEST_CASE("versions come back in order, with numbers, times and the server's own objects") {
    scratch_file const file;
    {
        store::sqlite_store first{file.path()};
        auto const none = load(first, version("a"));
        CHECK(none.known);
        CHECK(none.versions.empty());
        saved(first, nullptr, {"a", "b", "c"});
    }
    store::sqlite_store second{file.path()};
    auto const kept = load(second, version("c"));
    REQUIRE(kept.versions.size() == 3);
    CHECK(kept.versions[0].generation == 1);
    CHECK(kept.versions[2].generation == 3);
    CHECK(kept.versions[1].at == 1000);
    CHECK(kept.versions[0].schema->find("public", "a")->id == 16400);
    CHECK(kept.versions[2].schema->find("pg_catalog", "pg_class") != nullptr);
    CHECK(load(second, version("c", {"7301", 6})).versions.empty());
    CHECK(load(second, version("c", {"7302", 5})).versions.empty());

    saved(second, history::restored(kept.versions), {"d"});
    second.stop();
    auto const all = store::read_all(file.path());
    REQUIRE(all.has_value());
    REQUIRE(all->size() == 1);
    CHECK(all->front().name == "shop");
    REQUIRE(all->front().rows.size() == 4);
    CHECK(all->front().rows[3].changes == "table public.c renamed to d");
    CHECK(all->front().rows[3].severity == "minor");
    CHECK(all->front().rows[3].by == "postgres, psql, ALTER TABLE");
    CHECK(all->front().versions[3]->find("public", "d") != nullptr);
}

TEST_CASE("a damaged version is set aside with those after it, and the ones before it stay") {
    scratch_file const file;
    {
        store::sqlite_store first{file.path()};
        load(first, version("a"));
        saved(first, nullptr, {"a", "b", "c", "d"});
    }
    execute(file.path(), "UPDATE schema_versions SET delta = zeroblob(length(delta)) WHERE number = 3");
    store::sqlite_store second{file.path()};
    auto const kept = load(second, version("d"));
    CHECK(kept.known);
    CHECK(kept.versions.size() == 2);
    CHECK(load(second, version("d")).versions.size() == 2);
    saved(second, history::restored(kept.versions), {"e"});
    CHECK(load(second, version("e")).versions.size() == 3);
}

TEST_CASE("a file that is no database is renamed, and a new one begun") {
    scratch_file const file;
    std::ofstream{file.path()} << std::string(5000, 'x');
    store::sqlite_store store{file.path()};
    CHECK(load(store, version("a")).known);
    saved(store, nullptr, {"a"});
    CHECK(load(store, version("a")).versions.size() == 1);
    std::size_t damaged = 0;
    for (auto const& entry : std::filesystem::directory_iterator{file.directory})
        damaged += entry.path().filename().string().find(".damaged-") != std::string::npos;
    CHECK(damaged == 1);
}

TEST_CASE("a file of a newer pgmend is left alone, and nothing is known") {
    scratch_file const file;
    execute(file.path(), "PRAGMA user_version = 99");
    store::sqlite_store store{file.path()};
    CHECK_FALSE(load(store, version("a")).known);
    saved(store, nullptr, {"a"});
    store.stop();
    CHECK_FALSE(load(store, version("a")).known);
    CHECK(store::read_all(file.path()).has_error());
    CHECK(store::read_all((file.directory / "nothing").string()).error().code == base::errc::not_found);
}

TEST_CASE("a thousand versions keep the file small, and the history whole") {
    scratch_file const file;
    store::sqlite_store store{file.path()};
    load(store, version("a"));
    std::shared_ptr<history const> h;
    for (int i = 0; i < 1000; ++i) {
        h = history::with(h, version("t" + std::to_string(i)));
        store.save("shop", h, {});
    }
    auto const kept = load(store, version("t999"));
    CHECK(kept.versions.size() <= 4 * history::most_versions);
    CHECK(kept.versions.back().generation == 1000);
    CHECK(kept.versions.back().schema->find("public", "t999") != nullptr);
}

// ------------------------------------------------------------------------------------------- records

namespace {

using namespace std::chrono_literals;

learning::pattern pattern(std::uint64_t id, std::string text) {
    learning::pattern p;
    p.id = id;
    p.database = "shop";
    p.text = std::move(text);
    p.from = learning::evidence::approved;
    p.state = learning::pattern_state::active;
    p.note = "it's fine";
    p.successes = 2;
    p.first_seen = p.last_used = learning::time_point{5s};
    return p;
}

base::result<void> keep(store::sqlite_store& to, std::vector<state::change> changes,
                        std::chrono::steady_clock::time_point not_after = std::chrono::steady_clock::time_point::max()) {
    auto const promise = std::make_shared<std::promise<base::result<void>>>();
    to.keep(std::move(changes), [promise](base::result<void> kept) { promise->set_value(std::move(kept)); }, not_after);
    return promise->get_future().get();
}

base::result<std::vector<learning::pattern>> patterns_of(store::sqlite_store& from) {
    auto const promise = std::make_shared<std::promise<base::result<std::vector<learning::pattern>>>>();
    from.load_patterns([promise](auto found) { promise->set_value(std::move(found)); });
    return promise->get_future().get();
}

} // namespace

TEST_CASE("patterns come back as they were; a decision replaces counts, a use adds to them") {
    scratch_file const file;
    {
        store::sqlite_store it{file.path()};
        REQUIRE(keep(it, {state::pattern_change{pattern(7, "a -> b"), true, 0, 0}}).has_value());
        it.note(state::pattern_change{pattern(7, "a -> b"), false, 3, 1});
        auto suspended = pattern(9, "c -> d");
        suspended.state = learning::pattern_state::suspended;
        suspended.rejected = true;
        REQUIRE(keep(it, {state::pattern_change{suspended, true, 0, 0}}).has_value());
    }
    store::sqlite_store it{file.path()};
    auto const found = patterns_of(it).value();
    REQUIRE(found.size() == 2);
    auto expected = pattern(7, "a -> b");
    expected.successes = 5;
    expected.failures = 1;
    CHECK(found[0] == expected);
    CHECK(found[1].rejected);
    REQUIRE(keep(it, {state::pattern_change{pattern(7, "a -> b"), true, 0, 0}, state::pattern_removed{"shop", "c -> d"}}).has_value());
    CHECK(patterns_of(it).value() == std::vector{pattern(7, "a -> b")});
}

TEST_CASE("audit records, dead letters, drift and entries come back") {
    scratch_file const file;
    state::audit_row audit;
    audit.database = "shop";
    audit.pattern = "dropped column";
    audit.values = {{"public.users.legacy", 0, "$1", "secret", false}, {"public.users.legacy", 1, "NULL", "", true}};
    state::dead_letter letter;
    letter.rule = "bulk";
    letter.statement = "INSERT INTO t VALUES (1)";
    letter.state = "waiting";
    state::drift_row drift{"shop", "app", "web", "f", "p", state::drift_outcome::healed, "lineage", "before", "after", "", 2, {}, state::time_point{3s}};
    {
        store::sqlite_store it{file.path()};
        REQUIRE(keep(it, {audit, letter, state::drift_change{drift}, state::drift_change{drift}}).has_value());
        it.note(state::entry{state::entry::table_type::circuit_breaker_state, "primary", "open", {}});
        it.note(state::entry{state::entry::table_type::circuit_breaker_state, "primary", "closed", {}});
        std::promise<std::vector<state::entry>> entries;
        it.load_entries(state::entry::table_type::circuit_breaker_state, [&](auto found) { entries.set_value(found.value()); });
        auto const found = entries.get_future().get();
        REQUIRE(found.size() == 1);
        CHECK(found[0].value == "closed");
    }
    auto const all = store::read_records(file.path()).value();
    REQUIRE(all.audit.size() == 1);
    REQUIRE(all.audit[0].values.size() == 2);
    CHECK(all.audit[0].values[0].value == "secret");
    CHECK(all.audit[0].values[1].is_null);
    REQUIRE(all.dead_letters.size() == 1);
    CHECK(all.dead_letters[0].id == 1);
    drift.count = 4;
    CHECK(all.drift == std::vector{drift});
}

TEST_CASE("a file with versions of schemas alone gets the other tables") {
    scratch_file const file;
    { store::sqlite_store it{file.path()}; }
    execute(file.path(), "DROP TABLE patterns; DROP TABLE pattern_outcomes; DROP TABLE drift; DROP TABLE heal_audit; DROP TABLE heal_audit_values;"
                         "DROP TABLE transaction_logs; DROP TABLE circuit_breaker_state; DROP TABLE optimizer_decisions; DROP TABLE dead_letters;"
                         "PRAGMA user_version = 1");
    store::sqlite_store it{file.path()};
    CHECK(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value());
}

TEST_CASE("a file of a newer pgmend is refused by name") {
    scratch_file const file;
    { store::sqlite_store it{file.path()}; }
    CHECK(store::check_file(file.path()).has_value());
    execute(file.path(), "PRAGMA user_version = 99");
    CHECK(store::check_file(file.path()).error().text.find("a newer pgmend made this file (its tables have version 99") != std::string::npos);
    store::sqlite_store it{file.path()};
    CHECK_FALSE(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value());
    CHECK(it.now().newer);
}

TEST_CASE("what nobody waits for any more is not written") {
    scratch_file const file;
    store::sqlite_store it{file.path()};
    auto const late = keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}, std::chrono::steady_clock::now());
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().code == base::errc::timeout);
    CHECK(patterns_of(it)->empty());
}

TEST_CASE("while the file cannot be written, what is noted waits within a bound, and the rest is counted") {
    scratch_file const file;
    auto const missing = (file.directory / "not-there" / "state.db").string();
    store::sqlite_store it{missing, {.flush_every = 1ms, .retry_every = 1ms, .most_waiting = 3}};
    CHECK_FALSE(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value());
    for (int i = 0; i < 5; ++i) it.note(state::pattern_change{pattern(7, "a"), false, 1, 0});
    CHECK(it.now().dropped == 2);
    CHECK(it.now().waiting == 3);
    CHECK_FALSE(it.now().up);
    std::filesystem::create_directory(file.directory / "not-there");
    std::vector<learning::pattern> found;
    for (int i = 0; i < 5000 && found.empty(); ++i) {
        if (auto some = patterns_of(it)) found = std::move(*some);
        if (found.empty()) std::this_thread::sleep_for(1ms);
    }
    REQUIRE(found.size() == 1);
    CHECK(found[0].successes == 4);
    CHECK(it.now().up);
}

TEST_CASE("a place that only fails is left alone while its circuit breaker is open, and is written to when that has closed") {
    scratch_file const file;
    auto const missing = (file.directory / "not-there" / "state.db").string();
    backend::breaker_settings settings;
    settings.consecutive_failures = 2;
    settings.open_for = 1h;
    settings.most_open_for = 1h;
    settings.half_open_probes = 1;
    backend::breaker_registry breakers{7, settings};
    auto& breaker = breakers.get("state", base::steady::now());
    store::sqlite_store it{missing, {.flush_every = 1ms, .retry_every = 0ms, .breaker = &breaker}};
    for (int i = 0; i < 5; ++i) CHECK_FALSE(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value());
    auto const seen = breaker.describe(base::steady::now());
    CHECK(seen.state == backend::breaker_state::open);
    CHECK(seen.counted.failures == 2);
    std::filesystem::create_directory(file.directory / "not-there");
    CHECK_FALSE(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value()); // nobody has looked
    breaker.looks_healthy(base::steady::now());
    CHECK(keep(it, {state::pattern_change{pattern(7, "a"), true, 0, 0}}).has_value());
    CHECK(breaker.closed());
}

TEST_CASE("a database that was made again under its name finds what was kept of the other one, beside its own") {
    scratch_file const file;
    {
        store::sqlite_store first{file.path()};
        (void)load(first, version("a"));
        saved(first, nullptr, {"a", "b"});
        first.stop();
    }
    store::sqlite_store second{file.path()};
    auto const found = load(second, version("b", {"7302", 9}));
    CHECK(found.versions.empty());
    REQUIRE(found.namesake.size() == 2);
    CHECK(found.namesake.back().schema->find("public", "b") != nullptr);
    CHECK(found.namesake.back().schema->identity() == here);
    CHECK(load(second, version("b")).namesake.empty());
}
