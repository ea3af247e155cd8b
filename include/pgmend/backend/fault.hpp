// Whose fault a failure was.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::backend {

/// Only the backend's faults count against it. A client's or a statement's fault even shows that the backend answers.
enum class fault : std::uint8_t {
    backend,   ///< the server, or the way to it
    client,    ///< who logs in, or how; or the client has left
    local,     ///< this process or this host: counts neither way
    statement, ///< the statement, or what it met in the data
};

/// Where in a connection's life it happened.
enum class phase : std::uint8_t {
    connect,   ///< resolving, TCP, TLS, until the server's first byte
    login,     ///< from there to the first ReadyForQuery
    statement, ///< a request under way
    idle,      ///< none
};

[[nodiscard]] char const* name_of(fault whose);
[[nodiscard]] char const* name_of(phase when);

/// One row of the table. The first row that fits decides.
struct sqlstate_row {
    std::string_view code;    ///< a SQLSTATE, or the beginning of one
    std::string_view routine; ///< of the server that raised it; empty: any
    bool at_login{true};
    bool at_statement{true};  ///< or between two
    fault whose{};
    std::string_view why;
};
[[nodiscard]] std::span<sqlstate_row const> sqlstate_rows();

struct errno_row {
    int number{0};
    std::string_view name;
    fault whose{};
    std::string_view why;
};
[[nodiscard]] std::span<errno_row const> errno_rows();

/// An ErrorResponse. `routine`: its field R, may be empty; `nested`: it has an internal query or a context, so it was raised
/// inside a function and is that one's affair (dblink, foreign tables).
[[nodiscard]] fault fault_of_sqlstate(std::string_view code, std::string_view routine, phase when, bool nested = false);

/// What a system call said; 0: the peer has closed in order, without a word.
[[nodiscard]] fault fault_of_errno(int number, phase when);

/// Both tables, in Markdown, for the manual.
[[nodiscard]] std::string describe_faults();

} // namespace pgmend::backend
