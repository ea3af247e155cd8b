// Coroutines on an event loop of Asio's own: the main thread's, which has signals and files to wait for, and the control plane's.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace pgmend::net {

using io_executor = boost::asio::io_context::executor_type;
template <class T = void>
using io_task = boost::asio::awaitable<T, io_executor>;
using io_timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, io_executor>;

/// As use_tuple.
inline constexpr auto use_io_tuple = boost::asio::as_tuple(boost::asio::use_awaitable_t<io_executor>{});

} // namespace pgmend::net
