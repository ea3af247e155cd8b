#include "pgmend/session/split_machine.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using step = session::split_machine::step;

namespace {

std::string frame(char type, std::string_view body) {
    std::string out(1, type);
    base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
    return out.append(body);
}
std::string const ready = frame('Z', "I");
std::string const plain_table = frame('D', std::string_view{"\0\1\0\0\0\1t", 7});
std::string error(std::string_view code) { return wire::error_response(wire::severity::error, code, "no"); }

/// A batch of four numbers, sent as a Query; `bad` are refused.
struct server {
    explicit server(std::vector<int> its_bad) : bad{std::move(its_bad)} {
        wire::append_query(request.request, sql);
        request.error = error("23505");
    }
    step answer(session::split_machine& machine, std::string const& sent) {
        ++exchanges;
        std::string to_client;
        auto reached = step::need_more;
        if (sent.find("pg_class") != std::string::npos) reached = machine.on_server(plain_table, to_client);
        for (int const n : bad)
            if (sent.find("(" + std::to_string(n) + ")") != std::string::npos) {
                reached = machine.on_server(error(code), to_client);
                break;
            }
        CHECK(reached == step::need_more);
        return machine.on_server(ready, to_client);
    }
    step run(session::split_machine& machine) {
        auto reached = answer(machine, machine.begin());
        while (reached == step::next) {
            last = machine.next();
            reached = answer(machine, last);
        }
        return reached;
    }
    std::string const sql = "INSERT INTO t VALUES (1), (2), (3), (4)";
    std::vector<int> bad;
    std::string code = "23505";
    session::failed_request request;
    int exchanges{0};
    std::string last;
};

} // namespace

TEST_CASE("the bad rows are found by halves, and the trial is undone") {
    server it{{2, 4}};
    session::split_machine machine{it.request, 0, it.sql, *session::read_batch(it.sql), 7, false};
    REQUIRE(machine.possible());
    CHECK(it.run(machine) == step::found);
    CHECK(it.last.find("ROLLBACK") != std::string::npos);
    CHECK(machine.good() == std::vector<std::size_t>{0, 2});
    REQUIRE(machine.bad().size() == 2);
    CHECK(machine.bad()[0].statement == "INSERT INTO t VALUES (2)");
    CHECK(machine.bad()[1].sqlstate == "23505");
    CHECK(it.exchanges == 8); // the look, 2 halves, 4 rows, the end
}

TEST_CASE("an error that is not about values ends the trial") {
    server it{{3}};
    it.code = "40P01";
    session::split_machine machine{it.request, 0, it.sql, *session::read_batch(it.sql), 7, true};
    CHECK(it.run(machine) == step::refused);
    CHECK(it.last.find("ROLLBACK TO SAVEPOINT") != std::string::npos);
    CHECK(machine.reason() == "PostgreSQL refused a part of the batch with SQLSTATE 40P01");
}

TEST_CASE("a named statement is not split: it may be executed again out of sight") {
    server it{{}};
    it.request.request.clear();
    wire::append_parse(it.request.request, "s", it.sql, {});
    wire::append_bind(it.request.request, "", "s", {});
    wire::append_execute(it.request.request, "");
    wire::append_sync(it.request.request);
    it.request.failed = 2;
    session::split_machine machine{it.request, 0, it.sql, *session::read_batch(it.sql), 7, false};
    CHECK_FALSE(machine.possible());
}
