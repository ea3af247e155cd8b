#include "pgmend/backend/fault.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

using namespace pgmend::backend;

namespace {

fault at(phase when, char const* code, char const* routine = "") { return fault_of_sqlstate(code, routine, when); }

} // namespace

TEST_CASE("a refused login is the backend's fault only where the backend cannot serve anybody") {
    CHECK(at(phase::login, "53300", "InitProcess") == fault::backend);
    CHECK(at(phase::login, "53300", "InitPostgres") == fault::backend);
    CHECK(at(phase::login, "53300", "InitializeSessionUserId") == fault::client);
    CHECK(at(phase::login, "53300", "CheckMyDatabase") == fault::client);
    CHECK(at(phase::login, "57P03") == fault::backend);
    CHECK(at(phase::login, "57P01") == fault::backend);
    CHECK(at(phase::login, "53200") == fault::backend);
    CHECK(at(phase::login, "08006") == fault::backend);
    CHECK(at(phase::login, "08P01") == fault::client);
    for (auto const* code : {"28P01", "28000", "3D000", "42501", "42704", "0A000", "55000", "22023"}) {
        INFO(code);
        CHECK(at(phase::login, code) == fault::client);
    }
}

TEST_CASE("an error of a statement is the backend's fault only where it has no resources, or ends") {
    for (auto const* code : {"53000", "53100", "53200", "57P01", "57P02", "57P03", "58000", "58030"}) {
        INFO(code);
        CHECK(at(phase::statement, code) == fault::backend);
        CHECK(at(phase::idle, code) == fault::backend);
    }
    for (auto const* code : {"42P01", "42703", "22P02", "23505", "40001", "40P01", "55P03", "25006", "0A000", "XX000", "XX001", "P0001", "08006",
                             "53300", "53400", "57014", "57000", "58P01", "58P02", "25001"}) {
        INFO(code);
        CHECK(at(phase::statement, code) == fault::statement);
    }
    for (auto const* code : {"57P04", "57P05", "25P03", "08P01"}) {
        INFO(code);
        CHECK(at(phase::idle, code) == fault::client);
    }
}

TEST_CASE("what a function or a foreign table raised is the statement's fault") {
    CHECK(fault_of_sqlstate("53200", "", phase::statement, true) == fault::statement);
    CHECK(fault_of_sqlstate("57P01", "", phase::statement, true) == fault::statement);
}

TEST_CASE("a local shortage is never the backend's fault, nor is what nobody knows") {
    for (auto const number : {EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EADDRINUSE, ENETDOWN, EACCES, EPERM, EAFNOSUPPORT, EXDEV}) {
        INFO(number);
        CHECK(fault_of_errno(number, phase::connect) == fault::local);
    }
    for (auto const number : {ECONNREFUSED, ECONNRESET, ECONNABORTED, EPIPE, ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN, ENETUNREACH, ENOENT, EAGAIN, 0}) {
        INFO(number);
        CHECK(fault_of_errno(number, phase::connect) == fault::backend);
    }
    CHECK(fault_of_errno(ECANCELED, phase::connect) == fault::client);
}

TEST_CASE("every row of both tables decides something") {
    for (auto const& row : sqlstate_rows()) {
        INFO(row.code << " " << row.routine);
        // A code of five characters that no earlier row takes.
        std::string code{row.code.empty() ? "99999" : row.code};
        if (code == "53") code = "53100";
        if (code == "57") code = "57000";
        if (code == "58") code = "58P01";
        if (code == "08") code = "08006";
        CHECK(fault_of_sqlstate(code, row.routine, row.at_login ? phase::login : phase::statement) == row.whose);
        CHECK_FALSE(row.why.empty());
    }
    for (auto const& row : errno_rows()) {
        INFO(row.name);
        CHECK(fault_of_errno(row.number, phase::login) == row.whose);
    }
}

TEST_CASE("the manual's tables of faults are the ones that decide") {
    std::ostringstream manual;
    manual << std::ifstream{std::string{PGMEND_TEST_DATA} + "/../docs/breakers.md"}.rdbuf();
    CHECK(manual.str().find(describe_faults()) != std::string::npos);
}
