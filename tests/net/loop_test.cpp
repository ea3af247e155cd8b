#include "pgmend/net/event.hpp"
#include "pgmend/net/look_up.hpp"
#include "pgmend/net/stream.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace pgmend;
using net::awaitable;
using net::io_status;
using net::stream;
using namespace std::chrono_literals;

namespace {

/// Two streams on a loop that are connected with one another.
struct pair {
    explicit pair(net::loop& where) : pair{where, descriptors()} {}
    pair(net::loop& where, std::array<int, 2> both) : left{where, both[0]}, right{where, both[1]} {}

    static std::array<int, 2> descriptors() {
        std::array<int, 2> both{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both.data()) == 0);
        return both;
    }

    stream left;
    stream right;
};

void run_to_its_end(net::loop& loop) {
    loop.end_when_idle();
    loop.run();
}

} // namespace

TEST_CASE("a loop: what is posted runs in its order, also from other threads, and behind what posted it") {
    net::loop loop;
    std::vector<int> order;
    boost::asio::post(loop, [&] {
        order.push_back(1);
        boost::asio::post(loop, [&] { order.push_back(3); });
        order.push_back(2);
    });
    std::thread other{[&] {
        for (int i = 0; i < 1000; ++i) boost::asio::post(loop, [&order, i] { order.push_back(10 + i); });
    }};
    other.join();
    run_to_its_end(loop);
    REQUIRE(order.size() == 1003);
    CHECK(order.front() == 1);
    CHECK(std::find(order.begin(), order.end(), 2) < std::find(order.begin(), order.end(), 3));
    auto const by_the_other = std::find(order.begin(), order.end(), 10);
    CHECK(by_the_other < std::find(order.begin(), order.end(), 1009));
}

TEST_CASE("a loop: another thread wakes it up, and stops it") {
    net::loop loop;
    int ran = 0;
    std::thread other{[&] {
        for (int i = 0; i < 100; ++i) {
            std::this_thread::sleep_for(100us);
            boost::asio::post(loop, [&] { ++ran; });
        }
        boost::asio::post(loop, [&] { loop.stop(); });
    }};
    loop.run();
    other.join();
    CHECK(ran == 100);
}

TEST_CASE("a loop: a handler's exception leaves run(), and nothing of what was due with it is lost") {
    net::loop loop;
    pair first{loop};
    pair second{loop};
    int ran = 0;
    auto const fails = [&](boost::system::error_code) {
        ++ran;
        throw std::runtime_error{"no memory"};
    };
    for (auto* const each : {&first, &second}) {
        each->left.when_readable([&](boost::system::error_code) {}); // what a stream has at its beginning
        each->left.wake();
    }
    boost::asio::post(loop, [&] {
        for (auto* const each : {&first, &second}) {
            each->left.when_readable(fails);
            REQUIRE(each->right.write_some("x").status == io_status::done);
        }
    });
    boost::asio::post(loop, [&] { fails({}); });
    loop.end_when_idle();
    int thrown = 0;
    for (bool over = false; !over;) {
        try {
            loop.run();
            over = true;
        } catch (std::runtime_error const&) {
            ++thrown;
        }
    }
    CHECK(ran == 3);
    CHECK(thrown == 3);
}

TEST_CASE("a loop: timers end in the order of their times; one that is cancelled or set anew ends with an error") {
    net::loop loop;
    net::timer late{loop.get_executor(), 20ms};
    net::timer early{loop.get_executor(), 1ms};
    net::timer never{loop.get_executor(), 1h};
    std::string order;
    late.async_wait([&](boost::system::error_code failed) { order += failed ? "?" : "late "; });
    early.async_wait([&](boost::system::error_code failed) {
        order += failed ? "?" : "early ";
        never.expires_after(2h);
        CHECK(never.expiry() > std::chrono::steady_clock::now() + 1h);
    });
    never.async_wait([&](boost::system::error_code failed) { order += failed == boost::asio::error::operation_aborted ? "never " : "?"; });
    {
        net::timer gone{loop.get_executor(), 1h};
        gone.async_wait([&](boost::system::error_code failed) { order += failed ? "gone " : "?"; });
    }
    run_to_its_end(loop);
    CHECK(order == "gone early never late ");
}

TEST_CASE("a loop: an event ends all waits for it, and only those that have begun") {
    net::loop loop;
    net::event happened{loop.get_executor()};
    int ended = 0;
    auto waits = [&]() -> awaitable<> {
        co_await happened.wait();
        ++ended;
    };
    for (int i = 0; i < 2; ++i) boost::asio::co_spawn(loop, waits, boost::asio::detached);
    auto notifies = [&]() -> awaitable<> {
        happened.notify();
        co_return;
    };
    boost::asio::co_spawn(loop, notifies, boost::asio::detached);
    run_to_its_end(loop);
    CHECK(ended == 2);
}

TEST_CASE("a loop: bytes that come before they are waited for, and behind, end one wait each") {
    net::loop loop;
    pair sockets{loop};
    std::string got;
    auto reads = [&]() -> awaitable<> {
        for (;;) {
            char buffer[8];
            auto const read = sockets.left.read_some(buffer, sizeof buffer);
            if (read.status == io_status::done) got.append(buffer, read.count);
            else if (read.status == io_status::want_read) co_await sockets.left.wait(io_status::want_read);
            else co_return;
        }
    };
    REQUIRE(sockets.right.write_some("before ").status == io_status::done);
    boost::asio::co_spawn(loop, reads, boost::asio::detached);
    net::timer pause{loop.get_executor(), 5ms};
    pause.async_wait([&](boost::system::error_code) {
        REQUIRE(sockets.right.write_some("behind").status == io_status::done);
        sockets.right.close();
    });
    run_to_its_end(loop);
    CHECK(got == "before behind");
}

TEST_CASE("a loop: one edge ends all waits for it") {
    net::loop loop;
    pair sockets{loop};
    int ended = 0;
    sockets.left.when_readable([](boost::system::error_code) {}); // the first wait ends at once
    for (int i = 0; i < 3; ++i) sockets.left.when_readable([&](boost::system::error_code failed) { ended += failed ? 100 : 1; });
    REQUIRE(sockets.right.write_some("x").status == io_status::done);
    run_to_its_end(loop);
    CHECK(ended == 3);
}

TEST_CASE("a loop: a stream waits until its peer takes more, in both directions at once") {
    net::loop loop;
    pair sockets{loop};
    std::string const much(8u << 20, 'x');
    bool written = false;
    std::size_t got = 0;
    auto writes = [&]() -> awaitable<> {
        written = co_await sockets.left.write_all(much);
        sockets.left.shutdown_send();
    };
    auto reads = [&]() -> awaitable<> {
        std::vector<char> buffer(65536);
        for (;;) {
            auto const read = sockets.right.read_some(buffer.data(), buffer.size());
            if (read.status == io_status::done) got += read.count;
            else if (read.status == io_status::want_read) co_await sockets.right.wait(io_status::want_read);
            else co_return;
        }
    };
    auto also_reads = [&]() -> awaitable<> {
        co_await sockets.left.wait(io_status::want_read); // as the other direction of a session
        while (sockets.left.is_open() && !written) co_await sockets.left.wait(io_status::want_read);
    };
    boost::asio::co_spawn(loop, writes, boost::asio::detached);
    boost::asio::co_spawn(loop, reads, boost::asio::detached);
    boost::asio::co_spawn(loop, also_reads, boost::asio::detached);
    auto watch = [&]() -> awaitable<> {
        net::timer look{loop.get_executor()};
        while (got < much.size()) {
            look.expires_after(1ms);
            co_await look.async_wait(net::use_tuple);
        }
        sockets.left.close();
    };
    boost::asio::co_spawn(loop, watch, boost::asio::detached);
    run_to_its_end(loop);
    CHECK(written);
    CHECK(got == much.size());
}

TEST_CASE("a loop: a handler may close streams whose events are due") {
    net::loop loop;
    std::vector<std::unique_ptr<pair>> all;
    int called = 0;
    for (int i = 0; i < 50; ++i) all.push_back(std::make_unique<pair>(loop));
    auto const closes = [&](boost::system::error_code failed) {
        ++called;
        if (!failed) all.clear();
    };
    boost::asio::post(loop, [&] {
        for (auto& each : all) { // the first wait ends at once
            each->left.when_readable([](boost::system::error_code) {});
            each->left.when_readable(closes);
            REQUIRE(each->right.write_some("x").status == io_status::done);
        }
    });
    run_to_its_end(loop);
    CHECK(called == 50);
}

TEST_CASE("a loop: what waits when it is destroyed goes with it, uncalled, with all it owns") {
    auto const owned = std::make_shared<int>(1);
    {
        net::loop loop;
        struct session {
            explicit session(net::loop& where, std::shared_ptr<int> its) : sockets{where}, pause{where.get_executor(), 1h}, owns{std::move(its)} {}
            pair sockets;
            net::timer pause;
            std::shared_ptr<int> owns;
        };
        for (int i = 0; i < 3; ++i) {
            auto const one = std::make_shared<session>(loop, owned);
            auto reads = [one]() -> awaitable<> {
                for (;;) co_await one->sockets.left.wait(io_status::want_read);
            };
            auto sleeps = [one]() -> awaitable<> { co_await one->pause.async_wait(net::use_tuple); };
            boost::asio::co_spawn(loop, reads, boost::asio::detached);
            boost::asio::co_spawn(loop, sleeps, boost::asio::detached);
            one->sockets.right.when_readable([](boost::system::error_code) {}); // the first wait ends at once
            one->sockets.right.when_readable([one](boost::system::error_code) { FAIL("called"); });
        }
        boost::asio::post(loop, [&] { boost::asio::post(loop, [&] { loop.stop(); }); });
        loop.run();
        boost::asio::post(loop, [owned] { FAIL("called"); });
        CHECK(owned.use_count() > 3);
    }
    CHECK(owned.use_count() == 1);
}

TEST_CASE("a stream connects, or says why not") {
    net::loop loop;
    int const listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    boost::asio::ip::tcp::endpoint at{boost::asio::ip::address_v4::loopback(), 0};
    REQUIRE(::bind(listening, at.data(), static_cast<socklen_t>(at.size())) == 0);
    socklen_t length = static_cast<socklen_t>(at.capacity());
    REQUIRE(::getsockname(listening, at.data(), &length) == 0);
    boost::system::error_code refused;
    boost::system::error_code connected = boost::asio::error::would_block;
    bool open = false;
    auto connects = [&]() -> awaitable<> {
        stream one;
        refused = co_await one.connect(loop, at); // nobody listens yet
        REQUIRE(::listen(listening, 1) == 0);
        connected = co_await one.connect(loop, at);
        open = one.is_open() && one.write_some("x").status == io_status::done;
    };
    boost::asio::co_spawn(loop, connects, boost::asio::detached);
    run_to_its_end(loop);
    CHECK(refused == boost::asio::error::connection_refused);
    CHECK_FALSE(connected);
    CHECK(open);
    (void)::close(listening);
}

TEST_CASE("a host's name is looked up beside the loop, and may be given up") {
    net::loop loop;
    auto const local = std::make_shared<net::look_up>(loop.get_executor(), "localhost", std::uint16_t{5432});
    auto const unknown = std::make_shared<net::look_up>(loop.get_executor(), "no-such-host.invalid", std::uint16_t{5432});
    auto const given_up = std::make_shared<net::look_up>(loop.get_executor(), "localhost", std::uint16_t{5432});
    std::vector<std::string> said;
    auto looks = [&](std::shared_ptr<net::look_up> what) -> awaitable<> {
        auto const found = co_await what->run();
        said.push_back(found ? found->empty() ? "none" : "found" : found.error().text);
    };
    boost::asio::co_spawn(loop, looks(given_up), boost::asio::detached);
    boost::asio::post(loop, [&] { given_up->cancel(); });
    run_to_its_end(loop);
    CHECK(said == std::vector<std::string>{boost::system::error_code{boost::asio::error::operation_aborted}.message()});
    boost::asio::co_spawn(loop, looks(local), boost::asio::detached);
    boost::asio::co_spawn(loop, looks(unknown), boost::asio::detached);
    loop.run();
    REQUIRE(said.size() == 3);
    CHECK(said[1] == "found");
    CHECK(said[2] != "found");
}
