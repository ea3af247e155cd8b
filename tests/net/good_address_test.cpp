#include "pgmend/net/backend_set.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <catch2/catch.hpp>

using namespace pgmend;
using endpoint = net::good_address::endpoint;

TEST_CASE("of several addresses the one that answered last comes first, as long as the name has it") {
    auto const address = [](char const* text) { return endpoint{boost::asio::ip::tcp::endpoint{boost::asio::ip::make_address(text), 5432}}; };
    auto const a = address("127.0.0.1");
    auto const b = address("127.0.0.2");
    auto const c = address("::1");
    net::good_address known;
    std::vector<endpoint> all{a, b, c};
    known.prefer(all);
    CHECK(all == std::vector{a, b, c});
    known.answered(c);
    known.prefer(all);
    CHECK(all == std::vector{c, a, b});
    std::vector<endpoint> moved{a, b};
    known.prefer(moved);
    CHECK(moved == std::vector{a, b});
}
