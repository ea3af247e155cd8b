#include "pgmend/control/catalog_watcher.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <catch2/catch.hpp>

#include <future>

using namespace pgmend;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

namespace {

/// Accepts connections, by the kernel's doing, and never answers.
struct silent_server {
    boost::asio::io_context io{1};
    tcp::acceptor acceptor{io, {boost::asio::ip::address_v4::loopback(), 0}};
};

control::watcher_settings settings_for(unsigned short port) {
    control::watcher_settings s;
    s.connection = "user=pgmend password=sesame";
    s.backend.port = port;
    s.answer_timeout = 100ms;
    return s;
}

std::future<catalog::schema_answer> ask(control::catalog_watcher& watcher, std::string const& database) {
    auto const promise = std::make_shared<std::promise<catalog::schema_answer>>();
    watcher.refresh(database, {}, [promise](catalog::schema_answer a) { promise->set_value(std::move(a)); }); // throws if twice
    return promise->get_future();
}

catalog::schema_answer soon(std::future<catalog::schema_answer> answer) {
    REQUIRE(answer.wait_for(30s) == std::future_status::ready);
    return answer.get();
}

} // namespace

TEST_CASE("a refresh is answered with a problem where nobody listens") {
    unsigned short port = 0;
    {
        silent_server const gone;
        port = gone.acceptor.local_endpoint().port();
    }
    control::catalog_watcher watcher{settings_for(port)};
    watcher.start();
    for (int i = 0; i < 3; ++i) {
        auto const answer = soon(ask(watcher, "shop"));
        CHECK_FALSE(answer.schema);
        CHECK_FALSE(answer.problem.empty());
        CHECK(answer.problem.find("sesame") == std::string::npos);
    }
}

TEST_CASE("a refresh is answered in bounded time while the server hangs") {
    silent_server const server;
    control::catalog_watcher watcher{settings_for(server.acceptor.local_endpoint().port())};
    watcher.start();
    watcher.watch("shop");
    std::vector<std::future<catalog::schema_answer>> answers;
    for (int i = 0; i < 50; ++i) answers.push_back(ask(watcher, "shop"));
    for (auto& a : answers) CHECK(soon(std::move(a)).problem == "the catalog could not be read within 100 ms");
}

TEST_CASE("beyond the bound of waiting refreshes the answer comes at once") {
    silent_server const server;
    auto settings = settings_for(server.acceptor.local_endpoint().port());
    settings.answer_timeout = 10min;
    settings.most_waiting = 2;
    control::catalog_watcher watcher{settings};
    watcher.start();
    auto const first = ask(watcher, "shop");
    auto const second = ask(watcher, "shop");
    CHECK(soon(ask(watcher, "shop")).problem == "too many statements wait for the catalog to be read");
}

TEST_CASE("stop answers what waits, and later questions in the calling thread") {
    silent_server const server;
    auto settings = settings_for(server.acceptor.local_endpoint().port());
    settings.answer_timeout = 10min;
    control::catalog_watcher watcher{settings};
    watcher.start();
    auto waiting = ask(watcher, "shop");
    watcher.stop();
    CHECK(soon(std::move(waiting)).problem == "pgmend is stopping");
    CHECK(soon(ask(watcher, "shop")).problem == "pgmend is stopping");
    watcher.watch("shop");
    watcher.unwatch("shop");
    bool described = false;
    watcher.describe([&](std::vector<control::watched_database> all) { described = all.empty(); });
    CHECK(described);
    watcher.stop();
}

TEST_CASE("a watcher that was never started answers when it is destroyed") {
    std::future<catalog::schema_answer> waiting;
    {
        control::catalog_watcher watcher{settings_for(1)};
        waiting = ask(watcher, "shop");
    }
    CHECK(soon(std::move(waiting)).problem == "pgmend is stopping");
}

TEST_CASE("an unwatch too many is ignored") {
    control::catalog_watcher watcher{settings_for(1)};
    watcher.start();
    watcher.unwatch("shop");
    watcher.watch("shop");
    watcher.unwatch("shop");
    watcher.unwatch("shop");
    auto const promise = std::make_shared<std::promise<std::vector<control::watched_database>>>();
    watcher.describe([promise](std::vector<control::watched_database> all) { promise->set_value(std::move(all)); });
    auto const all = promise->get_future().get();
    REQUIRE(all.size() == 1);
    CHECK(all.front().name == "shop");
    CHECK(all.front().watches == 0);
}
