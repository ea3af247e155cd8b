// PostgreSQL as a client that waits: for threads that have nothing else to do.
#pragma once

#include "pgmend/pg/pg_connection.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace pgmend::pg {

/// A pg_connection with an event loop of its own, which runs while a call waits. One thread at a time; errors as there.
class blocking_connection {
  public:
    [[nodiscard]] result<void> open(parameters wanted, std::chrono::milliseconds patience);
    [[nodiscard]] result<std::vector<rows>> query(std::string sql, std::chrono::milliseconds patience);
    [[nodiscard]] result<description> describe(std::string sql, std::chrono::milliseconds patience);
    /// True: a notification has come. False: the time is over, or `interrupt`.
    [[nodiscard]] result<bool> wait(std::chrono::milliseconds patience);
    /// Any thread: ends a wait under way, or the next one.
    void interrupt();
    [[nodiscard]] std::vector<std::string> take_notifications() { return session_.take_notifications(); }
    [[nodiscard]] bool is_open() const { return session_.is_open(); }
    void close() { session_.close(); }

  private:
    template <class T>
    T run(task<T> work);

    boost::asio::io_context io_{1};
    pg_connection session_{io_};
};

} // namespace pgmend::pg
