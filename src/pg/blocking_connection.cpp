#include "pgmend/pg/blocking_connection.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace pgmend::pg {

template <class T>
T blocking_connection::run(task<T> work) {
    std::optional<T> out;
    std::exception_ptr failure;
    auto const done = [&](std::exception_ptr thrown, T value) {
        failure = thrown;
        out.emplace(std::move(value));
    };
    boost::asio::co_spawn(io_, std::move(work), done);
    io_.restart();
    while (!out) io_.run_one();
    if (failure) std::rethrow_exception(failure);
    return std::move(*out);
}

result<void> blocking_connection::open(parameters wanted, std::chrono::milliseconds patience) {
    return run(session_.open(std::move(wanted), base::steady::now() + patience));
}

result<std::vector<rows>> blocking_connection::query(std::string sql, std::chrono::milliseconds patience) {
    return run(session_.query(std::move(sql), base::steady::now() + patience));
}

result<description> blocking_connection::describe(std::string sql, std::chrono::milliseconds patience) {
    return run(session_.describe(std::move(sql), {}, base::steady::now() + patience));
}

result<bool> blocking_connection::wait(std::chrono::milliseconds patience) {
    return run(session_.wait_for_notification(base::steady::now() + patience));
}

void blocking_connection::interrupt() {
    boost::asio::post(io_, [this] { session_.interrupt(); });
}

} // namespace pgmend::pg
