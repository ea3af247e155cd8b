#include "session/frames.hpp"

#include "pgmend/session/refusal_machine.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using namespace pgmend::test;
using namespace std::string_literals;

namespace {

std::string const refusal = frame('E', "SERROR\0C57P03\0\0"s);
std::string const idle = frame('Z', "I");

/// What the client gets for these bytes, however they are split.
std::string answers(std::string const& sent, bool between_at_end = true) {
    std::string whole;
    for (std::size_t piece = 1; piece <= sent.size(); ++piece) {
        session::refusal_machine machine;
        std::string out;
        std::string inbox;
        for (std::size_t at = 0; at < sent.size(); at += piece) {
            inbox += sent.substr(at, piece);
            auto const step = machine.on_client(inbox, refusal, out);
            CHECK_FALSE(step.close);
            inbox.erase(0, step.consumed);
        }
        CHECK(inbox.empty());
        CHECK(machine.between() == between_at_end);
        if (piece == 1) whole = out;
        CHECK(out == whole);
    }
    return whole;
}

} // namespace

TEST_CASE("each query gets an error and the ReadyForQuery that it waits for") {
    CHECK(answers(frame('Q', "SELECT 1\0"s)) == refusal + idle);
    CHECK(answers(frame('Q', "SELECT 1\0"s) + frame('Q', "SELECT 2\0"s)) == refusal + idle + refusal + idle);
    CHECK(answers(frame('F', "\0\0\0\1"s)) == refusal + idle);
}

TEST_CASE("extended messages get one error up to their Sync") {
    auto const request = frame('P', "\0SELECT 1\0\0\0"s) + frame('B', "\0\0\0\0\0\0\0\0"s) + frame('E', "\0\0\0\0\0"s);
    CHECK(answers(request + frame('S')) == refusal + idle);
    CHECK(answers(request, false) == refusal);
    CHECK(answers(request + frame('S') + request + frame('S')) == refusal + idle + refusal + idle);
    CHECK(answers(frame('S')) == idle);
    CHECK(answers(frame('C', "S\0"s) + frame('H') + frame('S')) == refusal + idle);
}

TEST_CASE("what is left of a copy is passed over") { CHECK(answers(frame('d', "1\n") + frame('c') + frame('Q', "x\0"s)) == refusal + idle); }

TEST_CASE("a good-bye, and what is not the protocol, is left to the server") {
    for (auto const& last : {frame('X'), "?????????"s, "Q\0\0\0\1"s}) {
        session::refusal_machine machine;
        std::string out;
        auto const step = machine.on_client(frame('Q', "x\0"s) + last, refusal, out);
        CHECK(step.close);
        CHECK(step.consumed == 7);
        CHECK(out == refusal + idle);
        CHECK(machine.between());
    }
}
