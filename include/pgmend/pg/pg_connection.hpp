// PostgreSQL as a client: libpq without blocking, on an Asio event loop.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/base/time.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;   // libpq's PGconn
struct pg_result; // libpq's PGresult

namespace pgmend::pg {

template <class T>
using task = boost::asio::awaitable<T, boost::asio::io_context::executor_type>;

/// What libpq or the server said.
struct error {
    base::errc code{base::errc::connection_lost};
    std::string sqlstate; ///< five characters where the server refused, empty where it was never asked or did not answer
    std::string text;     ///< one line; may name hosts, roles and databases, never a password

    /// Further fields of the server's ErrorResponse (PostgreSQL 15, 55.8), as far as it sent them.
    struct fields {
        std::string routine, hint, schema, table, column;
        std::optional<std::uint32_t> position; ///< 1-based, in characters
        bool internal{false};                  ///< an internal query or a context: not the statement itself
    };
    fields details{};
};

[[noreturn]] void throw_exception_from_error(error const& e, boost::source_location const& where);

template <class T>
using result = boost::system::result<T, error>;

/// Connection parameters by libpq's keyword (PostgreSQL 15, 34.1.2).
using parameters = std::map<std::string, std::string, std::less<>>;

/// Reads `user=… password=…` or `postgresql://…`; only keywords that the text names are in the result.
/// Error: invalid_input, with a text that quotes nothing (it could be part of a password).
[[nodiscard]] base::result<parameters> parse_connection_string(std::string const& text);

/// The answer to one statement, as the text that the server sent. Owns it; views point into it.
class rows {
  public:
    explicit rows(pg_result* owned) : owned_{owned} {}

    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t columns() const;
    [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const; ///< "" for NULL
    [[nodiscard]] bool is_null(std::size_t row, std::size_t column) const;
    [[nodiscard]] pg_result const* get() const { return owned_.get(); }

  private:
    struct releaser {
        void operator()(pg_result* r) const;
    };
    std::unique_ptr<pg_result, releaser> owned_;
};

/// What the server says of a statement before it is run.
struct description {
    struct column {
        std::string label;
        std::uint32_t type{0};
        std::int32_t type_modifier{-1};
    };
    std::vector<std::uint32_t> parameter_types;
    std::vector<column> columns; ///< none: it answers without rows
};

/// One connection to one server, one statement at a time.
///
///     closed ── open ──> idle ── query ──> busy ── answered ──> idle
///        ^────── close, lost, deadline passed ───────┘
///
/// Owned by one coroutine on one io_context, which also runs every call; must not be destroyed while a call is
/// under way, except together with the io_context. libpq owns the socket: here it is only waited for.
class pg_connection {
  public:
    explicit pg_connection(boost::asio::io_context& io);
    ~pg_connection();
    pg_connection(pg_connection const&) = delete;
    pg_connection& operator=(pg_connection const&) = delete;

    /// Connects and logs in. Names are looked up without blocking; each of their addresses gets its share of the time. Errors: timeout (deadline), not_found (host),
    /// connection_lost (unreachable, or refused by the server: then with its SQLSTATE).
    task<result<void>> open(parameters wanted, base::time_point deadline);

    /// Runs one or more statements, `;`-separated, as one simple query: one round trip; without BEGIN all are one
    /// transaction, yet each has its own snapshot. One `rows` a statement.
    /// Errors: timeout (the connection is closed then: its state is unknown), connection_lost (closed as well),
    /// invalid_input (the server's refusal, with SQLSTATE; the connection stays open).
    task<result<std::vector<rows>>> query(std::string sql, base::time_point deadline);

    /// Runs a statement that was prepared under this name, without parameters: costs the server the least. Errors: as `query`.
    task<result<std::vector<rows>>> execute(std::string name, base::time_point deadline);

    /// Has the server analyse one statement (Parse and Describe, as the unnamed one), and does not run it. Types: 0 and missing
    /// ones are left open. Errors: as `query`.
    task<result<description>> describe(std::string sql, std::vector<std::uint32_t> parameter_types, base::time_point deadline);

    /// Waits for a NOTIFY on a channel that a LISTEN was sent for: true. Until the deadline, or `interrupt`: false. Errors:
    /// connection_lost. Those that came with an answer count as well.
    task<result<bool>> wait_for_notification(base::time_point deadline);

    /// Ends a wait for a notification that is under way; does nothing otherwise.
    void interrupt();

    /// The payloads that have come, oldest first, and forgets them.
    [[nodiscard]] std::vector<std::string> take_notifications();

    void close();
    [[nodiscard]] bool is_open() const { return open_; }
    [[nodiscard]] int server_version() const; ///< 150020 for 15.20; 0 while closed

  private:
    struct waiter;
    enum class direction : bool { read, write };
    struct closer {
        void operator()(pg_conn* c) const;
    };

    task<result<std::vector<std::string>>> resolve(parameters const& wanted, base::time_point deadline);
    task<result<void>> open_one(parameters wanted, base::time_point deadline);
    task<bool> ready(direction wanted, base::time_point deadline);
    task<result<std::vector<rows>>> answers(base::time_point deadline);
    void collect_notifications();
    error lost();
    error timed_out(std::string_view doing);

    boost::asio::io_context& io_;
    std::shared_ptr<waiter> waiter_;
    std::unique_ptr<pg_conn, closer> session_;
    bool open_{false};
    bool interrupted_{false};
    std::vector<std::string> notifications_;
};

} // namespace pgmend::pg
