// Reads a real server's catalog in parts, and in one piece, and compares; or measures. Run by integration/test_catalog_reading.py.
//
//   catalog_probe check PORT DATABASE   a line "told|newer|both" on standard input each: read that way; prints "same" or what differs
//   catalog_probe bench PORT DATABASE   prints times in milliseconds
//   catalog_probe statements            prints what is prepared on PostgreSQL 15
#include "control/catalog_reader.hpp"

#include "pgmend/catalog/diff.hpp"
#include "pgmend/catalog/history.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace pgmend;
using namespace std::chrono_literals;
using control::catalog_reader;
using snapshot_ptr = std::shared_ptr<catalog::snapshot const>;

template <class T>
T must(pg::result<T> r) {
    if (!r) throw std::runtime_error{r.error().text};
    return std::move(*r);
}

// Braces in a co_await expression are destroyed twice by g++ 12.
control::changed_objects everything() {
    control::changed_objects all;
    all.anything = true;
    return all;
}

base::time_point soon() { return base::steady::now() + 60s; }

double milliseconds(base::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

pg::parameters login(std::string const& port, std::string const& database) {
    return {{"host", "127.0.0.1"}, {"port", port}, {"dbname", database}, {"user", "postgres"}, {"application_name", "catalog_probe"}};
}

pg::task<void> open(catalog_reader* reader, pg::parameters how) {
    auto const opened = co_await reader->open(std::move(how), 60s, true, soon());
    if (!opened) throw std::runtime_error{opened.error().text};
}

std::string difference(catalog::snapshot const& a, catalog::snapshot const& b) {
    if (a.same_schema(b)) return {};
    auto const found = catalog::diff(a, b);
    return found.empty() ? "something that diff does not tell" : catalog::summary(found);
}

std::string keep_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
}

pg::task<void> check(boost::asio::io_context* io, pg::parameters how) {
    catalog_reader parts{*io};
    co_await open(&parts, how);
    auto const all = everything();
    auto known = must(co_await parts.read(nullptr, all, soon())).schema;
    std::puts("ready");
    std::fflush(stdout);
    std::string line;
    while (std::getline(std::cin, line)) {
        catalog_reader whole{*io};
        co_await open(&whole, how);
        std::string problem;
        if (line != "newer") {
            control::changed_objects told;
            for (;;) { // everything that has come until now
                auto const more = must(co_await parts.wait_for_change(base::steady::now() + 20ms));
                if (more.empty()) break;
                told.add(more);
            }
            if (!told.empty()) known = must(co_await parts.read(known, told, soon())).schema;
        }
        if (line != "told") known = must(co_await parts.read(known, all, soon())).schema;
        auto const truth = must(co_await whole.read(nullptr, all, soon())).schema;
        problem = difference(*truth, *known);
        std::puts(problem.empty() ? "same" : keep_line(problem).c_str());
        std::fflush(stdout);
    }
}

struct series {
    char const* name;
    std::vector<double> ms{};
    void print() {
        std::ranges::sort(ms);
        fmt::print("{}: median {:.2f} ms, p99 {:.2f}, most {:.2f}\n", name, ms[ms.size() / 2], ms[ms.size() * 99 / 100], ms.back());
    }
};

pg::task<void> bench(boost::asio::io_context* io, pg::parameters how) {
    catalog_reader reader{*io};
    co_await open(&reader, how);
    pg::pg_connection other{*io};
    if (!co_await other.open(how, soon())) throw std::runtime_error{"cannot connect"};
    series all{"everything"}, all_server{"everything, without building the version"}, none{"newer rows: none"}, idle{"counters"}, named{"a renamed column, told: read and next history"},
        newer{"a renamed column, by newer rows"};
    snapshot_ptr known;
    auto const all_of_it = everything();
    for (int i = 0; i < 20; ++i) {
        catalog_reader fresh{*io};
        co_await open(&fresh, how);
        (void)must(co_await fresh.read(nullptr, all_of_it, soon())); // with what is read only once
        auto const began = base::steady::now();
        catalog_reader again{*io};
        co_await open(&again, how);
        auto const found = must(co_await again.read(nullptr, all_of_it, soon()));
        all.ms.push_back(milliseconds(base::steady::now() - began));
        all_server.ms.push_back(milliseconds(found.took));
    }
    known = must(co_await reader.read(nullptr, all_of_it, soon())).schema;
    for (int i = 0; i < 200; ++i) {
        auto began = base::steady::now();
        (void)must(co_await reader.read(known, all_of_it, soon()));
        none.ms.push_back(milliseconds(base::steady::now() - began));
        began = base::steady::now();
        (void)must(co_await reader.moved(soon()));
        idle.ms.push_back(milliseconds(base::steady::now() - began));
    }
    auto schema = catalog::history::with(nullptr, known, 0);
    for (int i = 0; i < 400; ++i) {
        auto const sql = fmt::format("ALTER TABLE t{0} RENAME COLUMN {1} TO {2}", i / 2, i % 2 ? "z" : "c0", i % 2 ? "c0" : "z");
        if (auto const done = co_await other.query(sql, soon()); !done) throw std::runtime_error{done.error().text};
        auto const told = must(co_await reader.wait_for_change(soon()));
        auto const began = base::steady::now();
        auto what = everything();
        if (i % 4 < 2) what = told;
        auto const found = must(co_await reader.read(known, what, soon()));
        schema = catalog::history::with(schema, found.schema, 0);
        (i % 4 < 2 ? named : newer).ms.push_back(milliseconds(base::steady::now() - began));
        known = found.schema;
    }
    fmt::print("{} relations of users\n", control::object_counts::of(*known).relations);
    for (auto* s : {&all, &all_server, &none, &idle, &named, &newer}) s->print();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    if (std::string{argv[1]} == "statements") {
        std::puts(control::statements_to_prepare(150000).c_str());
        return 0;
    }
    boost::asio::io_context io{1};
    int status = 0;
    auto const on_end = [&](std::exception_ptr broken) {
        if (!broken) return;
        status = 1;
        try {
            std::rethrow_exception(broken);
        } catch (std::exception const& e) {
            fmt::print(stderr, "{}\n", e.what());
        }
    };
    auto const how = login(argv[2], argv[3]);
    boost::asio::co_spawn(io.get_executor(), std::string{argv[1]} == "bench" ? bench(&io, how) : check(&io, how), on_end);
    io.run();
    return status;
}
