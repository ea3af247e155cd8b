#include "pgmend/control/breaker_memory.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <map>

using namespace pgmend;
using namespace std::chrono_literals;
using backend::breaker_state;

namespace {

/// Keeps the newest entry of each key.
class table final : public state::store {
  public:
    void keep(std::vector<state::change>, kept answer, std::chrono::steady_clock::time_point) override { answer({}); }
    void note(state::change what) override {
        auto const& it = std::get<state::entry>(what);
        entries.insert_or_assign(it.key, it);
    }
    void load_patterns(std::function<void(base::result<std::vector<learning::pattern>>)> answer) override { answer({}); }
    void load_drift(std::function<void(base::result<std::vector<state::drift_row>>)> answer) override { answer({}); }
    void load_entries(state::entry::table_type, std::function<void(base::result<std::vector<state::entry>>)> answer) override {
        std::vector<state::entry> out;
        for (auto const& [key, it] : entries) out.push_back(it);
        answer(std::move(out));
    }
    [[nodiscard]] condition now() const override { return {}; }

    std::map<std::string, state::entry> entries;
};

struct process {
    process(table& kept, std::string owner) {
        for (auto const* name : {"primary", "primary.statements", "state"}) (void)breakers.get(name, base::steady::now());
        control::remember_breakers(breakers, kept, std::move(owner));
    }
    void break_down(std::string_view name) {
        for (int i = 0; i < 5; ++i) breakers.find(name)->failed_meanwhile("refused", base::steady::now());
    }
    breaker_state of(std::string_view name) { return breakers.find(name)->describe(base::steady::now()).state; }

    backend::breaker_registry breakers{7};
};

} // namespace

TEST_CASE("a restart finds the breaker open that was open, and the others closed") {
    table kept;
    process{kept, {}}.break_down("primary");
    process next{kept, {}};
    CHECK(next.of("primary") == breaker_state::open);
    CHECK(next.of("primary.statements") == breaker_state::closed);
    CHECK(next.breakers.find("primary")->describe(base::steady::now()).reason == "refused");
}

TEST_CASE("what is older than max_open_for is not believed") {
    table kept;
    process{kept, {}}.break_down("primary");
    kept.entries.at("primary").at -= 61s;
    CHECK(process{kept, {}}.of("primary") == breaker_state::closed);
}

TEST_CASE("in a store that several share each has its own breakers") {
    table kept;
    process{kept, "a:6432"}.break_down("primary");
    CHECK(process{kept, "b:6432"}.of("primary") == breaker_state::closed);
    CHECK(process{kept, "a:6432"}.of("primary") == breaker_state::open);
    CHECK(process{kept, {}}.of("primary") == breaker_state::closed);
}

TEST_CASE("the store does not keep what it thinks of itself") {
    table kept;
    process{kept, {}}.break_down("state");
    CHECK(kept.entries.empty());
}
