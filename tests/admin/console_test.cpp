#include "pgmend/admin/console.hpp"

#include "admin/commands.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <future>
#include <sstream>

using namespace pgmend;

namespace {

std::shared_ptr<net::live_settings const> one_server(net::backend_set& backends) {
    auto live = std::make_shared<net::live_settings>();
    live->servers.push_back(std::make_shared<net::backend_server const>(net::backend_server{{}, nullptr, backends.state_of("primary")}));
    return live;
}

struct fixture {
    std::shared_ptr<net::backend_set> backends{std::make_shared<net::backend_set>()};
    net::services services{one_server(*backends), backends};
    control::learner learner{services.book};
    std::vector<net::session_figures> sessions;
    admin::console console{sources()};

    fixture() { learner.start(); }

    admin::console_sources sources() {
        admin::console_sources s;
        s.version = "9.9";
        s.services = &services;
        s.learner = &learner;
        s.sessions = [this](auto answer) { answer(sessions); };
        s.configuration = [](auto answer) { answer({{"listen", "here"}}); };
        s.reload = [](auto answer) { answer("p.yaml:1:1: error: no\n"); };
        s.shutdown = [] {};
        return s;
    }

    session::console_answer run(std::string_view text) {
        auto const found = console.commands().find(text);
        if (auto const* const error = std::get_if<session::console_error>(&found)) return *error;
        std::promise<session::console_answer> promise;
        console.run(std::get<session::console_command>(found), "postgres", [&](session::console_answer a) { promise.set_value(std::move(a)); });
        return promise.get_future().get();
    }

    std::vector<session::console_row> rows(std::string_view text) {
        auto const found = std::get<session::console_command>(console.commands().find(text));
        auto out = std::get<std::vector<session::console_row>>(run(text));
        for (auto const& row : out) CHECK(row.size() == found.columns.size());
        return out;
    }

    std::string error(std::string_view text) { return std::get<session::console_error>(run(text)).message; }
};

} // namespace

TEST_CASE("the console's commands are found in any case, and a wrong one says what was meant") {
    fixture it;
    CHECK(it.rows("show version").at(0).at(0) == "pgmend 9.9");
    CHECK(it.rows("Show Help") == it.rows("SHOW"));
    CHECK(it.error("SHOW PATERNS") == R"(the console has no command "SHOW PATERNS"; did you mean "SHOW PATTERNS"?)");
    CHECK(it.error("show pattern 7") == R"(the console has no command "SHOW PATTERN"; did you mean "SHOW PATTERNS"?)");
    CHECK(it.error("APROVE PATTERN 3") == R"(the console has no command "APROVE PATTERN"; did you mean "APPROVE PATTERN"?)");
    CHECK(it.error("SHOW server_version") == R"(the console has no command "SHOW SERVER_VERSION": SHOW HELP lists them)");
    CHECK(it.error("APPROVE PATTERN") == "APPROVE PATTERN takes the number of a pattern, which SHOW PATTERNS tells: APPROVE PATTERN 7");
    CHECK(it.error("APPROVE PATTERN x") == it.error("APPROVE PATTERN"));
    CHECK(it.error("APPROVE PATTERN 99999999999999999999") == it.error("APPROVE PATTERN"));
    CHECK(it.error("SELECT c.relname FROM pg_catalog.pg_class c") == "this is pgmend's console, which understands no SQL: SHOW HELP lists its commands");
    CHECK(it.error("SHOW HELP me").starts_with("the console has no command"));
}

TEST_CASE("what PgBouncer's console has beyond is an error that says where to look") {
    fixture it;
    CHECK(it.error("show fds") == R"(the console has no command "SHOW FDS": no socket is handed over to a new process; SHOW CLIENTS and SHOW SERVERS list the connections)");
    CHECK(it.error("RECONNECT shop") == R"(the console has no command "RECONNECT SHOP": each client has a server connection of its own: KILL ends both, and clients connect anew)");
    CHECK(it.error("SUSPEND") == R"(the console has no command "SUSPEND": PAUSE holds statements back; there is SUSPEND PATTERN n)");
    CHECK(it.error("SUSPEND PATTERN") == "SUSPEND PATTERN takes the number of a pattern, which SHOW PATTERNS tells: SUSPEND PATTERN 7");
    CHECK(it.error("DISABLE BREAKER") == "DISABLE BREAKER takes a name, which SHOW BREAKERS tells: DISABLE BREAKER primary");
    CHECK(it.error("SHOW PEERS").find("a fleet shares") != std::string::npos);
}

TEST_CASE("the halves and the sum of SHOW STATS are what it shows") {
    fixture it;
    auto& worker = it.services.figures.add_worker();
    for (auto const* const name : {"shop", "stock"}) {
        auto& d = it.services.figures.of(worker, name);
        d.transactions.add(1);
        d.statements.add(2);
        d.received_bytes.add(3);
        d.sent_bytes.add(4);
        d.transaction_us.add(5);
        d.statement_us.add(6);
        d.wait_us.add(7);
    }
    auto const totals = it.rows("SHOW STATS_TOTALS");
    REQUIRE(totals.size() == 2);
    CHECK(totals[1] == session::console_row{"stock", "1", "2", "3", "4", "5", "6", "7"});
    auto const both = it.rows("SHOW STATS");
    CHECK(std::equal(totals[0].begin(), totals[0].end(), both[0].begin()));
    auto const averages = it.rows("SHOW STATS_AVERAGES");
    CHECK(std::equal(averages[0].begin() + 1, averages[0].end(), both[0].begin() + 8));
    auto const sum = it.rows("SHOW TOTALS");
    REQUIRE(sum.size() == 14);
    CHECK(sum[0] == session::console_row{"total_xact_count", "2"});
    CHECK(sum[2] == session::console_row{"total_client_bytes", "6"});
    CHECK(sum[6] == session::console_row{"total_wait_time", "14"});
    CHECK(sum[13] == session::console_row{"avg_wait_time", "0"});
}

TEST_CASE("the state tells of a pause of all databases, and of the stop") {
    fixture it;
    CHECK(it.rows("SHOW STATE") == std::vector<session::console_row>{{"active", "yes"}, {"paused", "no"}, {"suspended", "no"}, {"stopping", "no"}});
    it.services.draining = true;
    CHECK(it.rows("SHOW STATE").at(3) == session::console_row{"stopping", "yes"});
}

TEST_CASE("what drivers send by themselves does no harm and has its own tag") {
    fixture it;
    for (auto const* text : {"BEGIN", "begin isolation level serializable", "COMMIT", "ROLLBACK", "SET extra_float_digits = 3", "DISCARD ALL"}) {
        CHECK(it.rows(text).empty());
    }
    CHECK(std::get<session::console_command>(it.console.commands().find("commit")).tag == "COMMIT");
}

TEST_CASE("breakers are shown, tripped, reset, disabled and enabled by name") {
    fixture it;
    auto const state = [&it](std::size_t row) { return it.rows("SHOW BREAKERS").at(row).at(1); };
    CHECK(it.rows("SHOW BREAKERS").size() == 2);
    CHECK(it.rows("SHOW BREAKERS")[1][0] == "primary.statements");
    CHECK(it.rows("trip breaker Primary").empty());
    CHECK(state(0) == "tripped");
    CHECK(state(1) == "closed");
    CHECK(it.rows("RESET BREAKER \"primary\"").empty());
    CHECK(state(0) == "closed");
    CHECK(it.rows("DISABLE BREAKER primary.statements").empty());
    CHECK(state(1) == "disabled");
    CHECK(it.rows("ENABLE BREAKER primary.statements").empty());
    CHECK(state(1) == "closed");
    CHECK(it.error("TRIP BREAKER nobody") == "there is no breaker \"NOBODY\"");
    CHECK(it.error("TRIP BREAKER") == "TRIP BREAKER takes a name, which SHOW BREAKERS tells: TRIP BREAKER primary");
}

TEST_CASE("patterns are shown, approved, suspended and resumed by number") {
    fixture it;
    it.learner.proposed("shop", "column t.a -> b", learning::evidence::similarity, "reads b");
    auto const before = it.rows("SHOW PATTERNS");
    REQUIRE(before.size() == 1);
    CHECK(before[0][0] == "1");
    CHECK(before[0][4] == "proposed");
    CHECK(before[0][10] == "reads b");
    CHECK(it.rows("APPROVE PATTERN 1").empty());
    CHECK(it.services.book.get()->approved("shop", "column t.a -> b"));
    CHECK(it.rows("SHOW PATTERNS")[0][4] == "active");
    CHECK(it.error("APPROVE PATTERN 1") == "pattern 1 is active already");
    CHECK(it.error("APPROVE PATTERN 2") == "there is no pattern 2");
    CHECK(it.rows("SUSPEND PATTERN 1").empty());
    CHECK(it.services.book.get()->suspended("shop", "column t.a -> b"));
    CHECK(it.rows("RESUME PATTERN 1").empty());
    CHECK(it.rows("REJECT PATTERN 1").empty());
    CHECK(it.rows("SHOW PATTERNS")[0][11] == "rejected");
}

TEST_CASE("the console shows sessions in PgBouncer's columns, and only connections there are") {
    fixture it;
    net::session_figures one;
    one.logged_in = true;
    one.user = "app";
    one.database = "shop";
    one.client = "[::1]:4711";
    one.server = "127.0.0.1:5432";
    one.server_process = 99;
    auto console = one;
    console.at_console = true;
    console.server.clear();
    console.database = "pgmend";
    it.sessions = {one, console, {}};
    auto const clients = it.rows("SHOW CLIENTS");
    REQUIRE(clients.size() == 3);
    CHECK(clients[0][4] == "::1");
    CHECK(clients[0][5] == "4711");
    auto const servers = it.rows("SHOW SERVERS");
    REQUIRE(servers.size() == 1);
    CHECK(servers[0][15] == "99");
    CHECK(servers[0][13] == clients[0][14]); // they name each other
    auto const pools = it.rows("SHOW POOLS");
    REQUIRE(pools.size() == 2);
    CHECK(pools[0][0] == "pgmend");
    CHECK(pools[1][2] == "1");
    CHECK(pools[1][6] == "1");
    CHECK(it.rows("SHOW USERS") == std::vector<session::console_row>{{"app", "session", "0", "1"}});
    CHECK(it.rows("SHOW LISTS")[1] == session::console_row{"users", "1"});
    CHECK(it.rows("SHOW LISTS")[4] == session::console_row{"used_clients", "2"});
    auto const databases = it.rows("SHOW DATABASES");
    REQUIRE(databases.size() == 1);
    CHECK(databases[0][10] == "1");
}

TEST_CASE("without a control connection the console says so instead of an empty schema") {
    fixture it;
    CHECK(it.error("SHOW SCHEMA") == "no schema is read: there is no control connection");
    CHECK(it.error("SHOW CHANGES") == it.error("SHOW SCHEMA"));
}

TEST_CASE("a reload that fails is an error that says where") {
    fixture it;
    CHECK(it.error("RELOAD") == "nothing was changed: p.yaml:1:1: error: no");
    CHECK(it.rows("SHOW CONFIG")[0] == session::console_row{"listen", "here", std::nullopt, "yes"});
}

TEST_CASE("the manual's table of console commands is the console's own") {
    std::ostringstream readme;
    readme << std::ifstream{std::string{PGMEND_TEST_DATA} + "/../docs/console.md"}.rdbuf();
    CHECK(readme.str().find(admin::describe_commands()) != std::string::npos);
    CHECK(readme.str().find(admin::describe_missing_commands()) != std::string::npos);
}
