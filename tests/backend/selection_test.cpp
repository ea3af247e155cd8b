#include "pgmend/backend/selection.hpp"

#include <catch2/catch.hpp>

using namespace pgmend::backend;
using namespace std::chrono_literals;
using order = std::vector<std::size_t>;
using want = wanted_session;

namespace {

candidate server(std::string_view name, server_role role, std::optional<std::chrono::milliseconds> lag = 0ms) {
    return {name, configured_role::automatic, role, false, true, lag};
}
candidate primary(std::string_view name) { return server(name, server_role::primary); }
candidate replica(std::string_view name, std::optional<std::chrono::milliseconds> lag = 0ms) { return server(name, server_role::replica, lag); }

choice choose_of(std::vector<candidate> const& all, want wanted) { return choose(all, wanted, 10s); }

} // namespace

TEST_CASE("a single server serves everything, whatever is known of it") {
    candidate only{"a", configured_role::primary, server_role::replica, true, false, std::nullopt};
    for (auto const w : {want::any, want::read_write, want::read_only, want::primary, want::standby, want::prefer_standby})
        CHECK(choose_of({only}, w).order == order{0});
}

TEST_CASE("of several servers each gets what it may serve") {
    std::vector const all{replica("a"), primary("b"), replica("c")};
    CHECK(choose_of(all, want::primary).order == order{1});
    CHECK(choose_of(all, want::read_write).order == order{1});
    CHECK(choose_of(all, want::standby).order == order{0, 2});
    CHECK(choose_of(all, want::prefer_standby).order == order{0, 2, 1});
    CHECK(choose_of(all, want::read_only).order == order{0, 2});
    CHECK(choose_of(all, want::any).order == order{1, 0, 2});
}

TEST_CASE("a primary that is read-only by default is for readers") {
    auto p = primary("a");
    p.read_only = true;
    CHECK(choose_of({p, replica("b", std::nullopt)}, want::read_write).order.empty());
    CHECK(choose_of({p, replica("b", std::nullopt)}, want::read_only).order == order{0});
}

TEST_CASE("two primaries are reported and never chosen between") {
    auto const chosen = choose_of({primary("a"), primary("b"), replica("c")}, want::primary);
    CHECK(chosen.order.empty());
    CHECK(chosen.conflict);
    CHECK(chosen.refused == "backends \"a\" and \"b\" both say that they are the primary");
    CHECK(choose_of({primary("a"), primary("b"), replica("c")}, want::prefer_standby).order == order{2});
    CHECK(choose_of({primary("a"), primary("b"), replica("c")}, want::any).order == order{2});
}

TEST_CASE("a second primary that its setting calls a replica is a conflict, too") {
    auto b = primary("b");
    b.configured = configured_role::replica;
    CHECK(choose_of({primary("a"), b}, want::primary).conflict);
}

TEST_CASE("a server of another cluster, of an unknown one, or in the wrong role is never used") {
    auto other = primary("b");
    other.same_cluster = false;
    CHECK(choose_of({server("a", server_role::unknown), other}, want::primary).order.empty());
    CHECK(choose_of({primary("a"), other}, want::primary).order == order{0}); // nor is it a conflict
    auto demoted = replica("a");
    demoted.configured = configured_role::primary;
    auto const chosen = choose_of({demoted, replica("b")}, want::primary);
    CHECK(chosen.order.empty());
    CHECK(chosen.refused.find("is a replica, but its setting says primary") != std::string::npos);
    CHECK(choose_of({demoted, replica("b")}, want::standby).order == order{1});
    auto promoted = primary("b");
    promoted.configured = configured_role::replica;
    CHECK(choose_of({server("a", server_role::unknown), promoted}, want::primary).order.empty());
}

TEST_CASE("a replica that is too far behind, or nobody knows how far, gets no clients") {
    CHECK(choose_of({primary("a"), replica("b", 10s)}, want::standby).order == order{1});
    auto const late = choose_of({primary("a"), replica("b", 10001ms)}, want::standby);
    CHECK(late.order.empty());
    CHECK(late.refused == "backend \"b\" is 10001 ms behind, more than max_replay_lag");
    CHECK(choose_of({primary("a"), replica("b", std::nullopt)}, want::standby).order.empty());
    CHECK(choose_of({primary("a"), replica("b", std::nullopt)}, want::prefer_standby).order == order{0});
}

TEST_CASE("libpq's words for sessions are understood, and no others") {
    for (auto const w : {want::any, want::read_write, want::read_only, want::primary, want::standby, want::prefer_standby})
        CHECK(wanted_session_of(name_of(w)) == w);
    CHECK_FALSE(wanted_session_of("master"));
    CHECK_FALSE(wanted_session_of(""));
}
