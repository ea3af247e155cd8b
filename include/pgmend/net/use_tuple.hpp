// How this project's coroutines wait for Asio's operations: errors are values.
#pragma once

#include "pgmend/net/stream.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pgmend::net {

inline constexpr auto use_tuple = boost::asio::as_tuple(boost::asio::use_awaitable_t<executor>{});

} // namespace pgmend::net
