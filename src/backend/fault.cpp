#include "pgmend/backend/fault.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace pgmend::backend {
namespace {

using enum fault;

// PostgreSQL documentation, appendix A; routines are those of src/backend in versions 12 to 17.
constexpr sqlstate_row by_sqlstate[] = {
    {"53300", "InitializeSessionUserId", true, false, client, "the role's own CONNECTION LIMIT"},
    {"53300", "CheckMyDatabase", true, false, client, "the database's own CONNECTION LIMIT"},
    {"53300", "", true, false, backend, "the server has no connection left"},
    {"53400", "", true, true, statement, "a limit that was set for it, such as temp_file_limit"},
    {"53300", "", false, true, statement, "a connection that the statement itself wanted to make"},
    {"53", "", true, true, backend, "out of memory, disk or other resources"},
    {"57P01", "", true, true, backend, "the server is being shut down, or somebody ended the session"},
    {"57P02", "", true, true, backend, "another session of the server has crashed"},
    {"57P03", "", true, true, backend, "the server is starting up, shutting down or in recovery"},
    {"57P04", "", true, true, client, "the database was dropped"},
    {"57P05", "", true, true, client, "idle_session_timeout"},
    {"57014", "", true, true, statement, "cancelled, or a statement_timeout that the client asked for"},
    {"57", "", true, true, statement, "an operator's intervention that is about this statement"},
    {"58030", "", true, true, backend, "the server's disk"},
    {"58000", "", true, true, backend, "the server's operating system"},
    {"58", "", true, true, statement, "a file that the statement named"},
    {"08P01", "", true, true, client, "what was sent is not the protocol"},
    {"08", "", true, false, backend, "the server lost a connection that it needs"},
    {"25P03", "", true, true, client, "idle_in_transaction_session_timeout"},
    {"", "", true, false, client, "who logs in, or with what: 28…, 3D000, 42…, 0A000, 55000, 22023"},
    {"", "", false, true, statement, "everything else is about the statement"},
};

constexpr errno_row by_errno[] = {
    {EMFILE, "EMFILE", local, "this process has no descriptor left"},
    {ENFILE, "ENFILE", local, "this host has no descriptor left"},
    {ENOMEM, "ENOMEM", local, "this host has no memory left"},
    {ENOBUFS, "ENOBUFS", local, "this host has no network buffer left"},
    {EADDRNOTAVAIL, "EADDRNOTAVAIL", local, "this host has no port left to connect from"},
    {EADDRINUSE, "EADDRINUSE", local, "likewise"},
    {ENETDOWN, "ENETDOWN", local, "this host's network is down"},
    {EACCES, "EACCES", local, "this host's firewall, or the rights to a Unix socket"},
    {EPERM, "EPERM", local, "likewise"},
    {EAFNOSUPPORT, "EAFNOSUPPORT", local, "this host has no such kind of network"},
    {ECANCELED, "ECANCELED", client, "the client left while it was tried"},
    {EBADF, "EBADF", client, "likewise"},
    {ECONNREFUSED, "ECONNREFUSED", backend, "nobody listens"},
    {ECONNRESET, "ECONNRESET", backend, "the connection broke"},
    {ECONNABORTED, "ECONNABORTED", backend, "the connection broke"},
    {EPIPE, "EPIPE", backend, "the connection broke"},
    {ETIMEDOUT, "ETIMEDOUT", backend, "no answer in time"},
    {EHOSTUNREACH, "EHOSTUNREACH", backend, "no way to the host"},
    {EHOSTDOWN, "EHOSTDOWN", backend, "no way to the host"},
    {ENETUNREACH, "ENETUNREACH", backend, "no way to the network"},
    {ENOENT, "ENOENT", backend, "no Unix socket there: the server does not run"},
    {EAGAIN, "EAGAIN", backend, "the queue of its Unix socket is full"},
    {0, "closed", backend, "it closed the connection without a word"},
};

} // namespace

char const* name_of(fault whose) {
    switch (whose) {
    case backend: return "backend";
    case client: return "client";
    case local: return "local";
    case statement: return "statement";
    }
    return "";
}

char const* name_of(phase when) {
    switch (when) {
    case phase::connect: return "connect";
    case phase::login: return "login";
    case phase::statement: return "statement";
    case phase::idle: return "idle";
    }
    return "";
}

std::span<sqlstate_row const> sqlstate_rows() { return by_sqlstate; }
std::span<errno_row const> errno_rows() { return by_errno; }

fault fault_of_sqlstate(std::string_view code, std::string_view routine, phase when, bool nested) {
    bool const logging_in = when == phase::connect || when == phase::login;
    if (nested && !logging_in) return statement;
    for (auto const& row : by_sqlstate) {
        if (!(logging_in ? row.at_login : row.at_statement) || !code.starts_with(row.code)) continue;
        if (row.routine.empty() || row.routine == routine) return row.whose;
    }
    return statement;
}

fault fault_of_errno(int number, phase) {
    for (auto const& row : by_errno)
        if (row.number == number) return row.whose;
    return local; // what is not known is nobody's proof against the backend
}

std::string describe_faults() {
    std::string out = "| SQLSTATE | where | whose fault | because |\n|---|---|---|---|\n";
    for (auto const& row : by_sqlstate) {
        auto const where = row.at_login && row.at_statement ? "anywhere" : row.at_login ? "login" : "statement, idle";
        std::string code = row.code.empty() ? "others" : fmt::format("{}{}", row.code, row.code.size() < 5 ? "…" : "");
        if (!row.routine.empty()) code += fmt::format(" from {}", row.routine);
        out += fmt::format("| {} | {} | {} | {} |\n", code, where, name_of(row.whose), row.why);
    }
    out += "\n| errno | whose fault | because |\n|---|---|---|\n";
    for (auto const& row : by_errno) out += fmt::format("| {} | {} | {} |\n", row.name, name_of(row.whose), row.why);
    return out + "| others | local | not known to be the backend's |\n";
}

} // namespace pgmend::backend
