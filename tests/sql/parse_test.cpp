#include "pgmend/sql/parse.hpp"

#include "healing/case_file.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <thread>

namespace pgmend::sql {
namespace {

/// One relation under each name.
class any_relation final : public relation_source {
  public:
    answer find(std::string_view, std::string_view) override { return {&relation_, false}; }
    [[nodiscard]] bool is_temporary(std::string_view) const override { return false; }

  private:
    offered_relation relation_{1, 'r', {{"id", 1, false}, {"a", 2, false}, {"b", 3, false}}, true};
};

std::string text_of_outcome(resolve_outcome const& outcome) {
    auto const* failed = std::get_if<unresolved>(&outcome);
    return failed != nullptr ? failed->text : "resolved";
}

std::string resolve(std::string const& text) {
    auto const parsed = parsed_text::parse(text);
    if (!parsed) return parsed.error().text;
    if (parsed->statements().empty()) return "empty";
    any_relation source;
    return text_of_outcome(parsed->resolve(0, source, false));
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += piece;
    return out;
}

} // namespace

TEST_CASE("a text is split into its statements") {
    auto const parsed = parsed_text::parse("SELECT ';' ; /* ; */ SELECT 2;; SELECT 3");
    REQUIRE(parsed.has_value());
    REQUIRE(parsed->statements().size() == 3);
    auto const& second = parsed->statements()[1];
    CHECK(parsed->text().substr(second.begin, second.end - second.begin).find("SELECT 2") != std::string::npos);
}

TEST_CASE("what cannot be read is an error without the text in it") {
    for (std::string const text : {"SELECT FROM WHERE 'secret'", "SELECT 'secret", "SELEC 'secret'"}) {
        auto const parsed = parsed_text::parse(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().text.find("secret") == std::string::npos);
    }
    CHECK_FALSE(parsed_text::parse(std::string{"SELECT 1\0", 9}).has_value());
    CHECK(parsed_text::parse("")->statements().empty());
    CHECK(parsed_text::parse(" ; ; -- nothing")->statements().empty());
}

TEST_CASE("long and deep texts are refused, and exhaust no stack") {
    CHECK_FALSE(parsed_text::parse(repeated(" ", parsed_text::most_bytes + 1)).has_value());
    CHECK(resolve("SELECT " + repeated("(", 30000)) != "resolved");
    CHECK(resolve("SELECT " + repeated("(", 30000) + "1" + repeated(")", 30000)) != "resolved");
    CHECK(resolve("SELECT " + repeated("[", 30000)) != "resolved");
    CHECK(resolve("SELECT 1" + repeated("+1", 20000)) != "resolved");
    CHECK(resolve("SELECT 1" + repeated("+1", 14000)) != "resolved");
    CHECK(resolve("SELECT 1" + repeated(" UNION SELECT 1", 4000)) != "resolved");
    CHECK(resolve("SELECT " + repeated("NOT ", 14000) + "a FROM t") != "resolved");
    CHECK(resolve("SELECT " + repeated("- ", 14000) + "a FROM t") != "resolved");
    CHECK(resolve("SELECT a" + repeated("::text", 7000) + " FROM t") != "resolved");
    CHECK(resolve("SELECT a" + repeated(" COLLATE x", 6000) + " FROM t") != "resolved");
    CHECK(resolve("SELECT a FROM t" + repeated(" JOIN t ON true", 3000)) != "resolved");
    CHECK(resolve("SELECT " + repeated("CASE WHEN a THEN b ELSE ", 2500) + "a" + repeated(" END", 2500) + " FROM t") != "resolved");
    CHECK(resolve("SELECT a" + repeated(".a", 20000)) != "resolved");
    CHECK(resolve("SELECT a" + repeated("[1]", 10000) + " FROM t") != "");
    CHECK(resolve("SELECT a" + repeated(" IS NULL", 7000) + " FROM t") != "resolved");
    CHECK(resolve("SELECT a FROM t WHERE " + repeated("a OR ", 12000) + "b") == "resolved");
    CHECK(resolve("SELECT a FROM t WHERE a IN (1" + repeated(",1", 14000) + ")") == "resolved");
    CHECK(resolve("WITH x AS (" + repeated("WITH x AS (", 390) + "SELECT 1") != "resolved");
    CHECK(resolve(repeated("SELECT a FROM (", 390) + "t" + repeated(")", 390)) != "resolved");
    CHECK(resolve(repeated("WITH RECURSIVE x AS (", 100) + "SELECT 1" + repeated(" UNION SELECT 1) SELECT 1", 100)) != "");
}

TEST_CASE("a recursive query inside the first arm of another one does not multiply the work without bound") {
    std::string text = "SELECT 1 AS n";
    for (int i = 0; i < 40; ++i) text = "WITH RECURSIVE x AS (" + text + " UNION SELECT 1) SELECT 1 AS n";
    CHECK(resolve(text) != "");
}

TEST_CASE("truncated and damaged statements never do harm") {
    auto const cases = healing::testing::read_cases(std::string{PGMEND_TEST_DATA} + "/cases");
    std::mt19937 random{20240901}; // NOLINT: the same texts every time
    static constexpr std::string_view pieces[] = {"(", ")", ",", " FROM ", "'", "\"", "$$", "*", ".", " AS ", ";", "--", "/*", " SELECT ",
                                                  " USING ", "a", "1", "[", "]", " ON CONFLICT (", " WITH ", "::", "\x80", "\xff", "ö"};
    for (auto const& it : cases) {
        auto const& text = it.sql;
        for (std::size_t cut = 0; cut <= text.size(); cut += 3) resolve(text.substr(0, cut));
        for (int round = 0; round < 20; ++round) {
            auto damaged = text;
            for (int change = 0; change < 3 && !damaged.empty(); ++change) {
                auto const at = random() % damaged.size();
                switch (random() % 3) {
                case 0: damaged.erase(at, random() % 6); break;
                case 1: damaged.insert(at, pieces[random() % std::size(pieces)]); break;
                default: damaged[at] = static_cast<char>(random() % 255 + 1); break;
                }
            }
            resolve(damaged);
        }
    }
    for (int round = 0; round < 3000; ++round) {
        std::string noise(random() % 200, ' ');
        for (auto& c : noise) c = static_cast<char>(random());
        resolve(noise);
    }
    SUCCEED();
}

TEST_CASE("several threads parse at once") {
    std::vector<std::thread> threads;
    std::vector<int> good(4, 0);
    for (std::size_t n = 0; n < good.size(); ++n) {
        threads.emplace_back([&good, n] {
            for (int i = 0; i < 300; ++i) {
                good[n] += resolve("SELECT a, b FROM t WHERE id = 1") == "resolved";
                good[n] += resolve("SELECT FROM FROM") != "resolved";
            }
        });
    }
    for (auto& thread : threads) thread.join();
    for (auto const n : good) CHECK(n == 600);
}

TEST_CASE("constructs that are not known are named, not skipped") {
    CHECK(resolve("SELECT (a).b.c FROM t").find("composite") != std::string::npos);
    CHECK(resolve("ALTER INDEX i RENAME TO j").find("other than") != std::string::npos);
    CHECK(resolve("CLUSTER t").find("other than") != std::string::npos);
}

TEST_CASE("two texts have one canonical form only if they mean the same") {
    auto const canonical = [](std::string const& text) {
        auto const parsed = parsed_text::parse(text);
        any_relation source;
        auto const outcome = parsed->resolve(0, source, false);
        return std::get<resolution>(outcome).canonical;
    };
    CHECK(canonical("SELECT a, b FROM t") == canonical("select  T.A, \"b\" from t /* x */"));
    CHECK(canonical("SELECT * FROM t") == canonical("SELECT id, a, b FROM t"));
    CHECK(canonical("SELECT * FROM t") != canonical("SELECT id, b, a FROM t"));
    CHECK(canonical("SELECT a FROM t") != canonical("SELECT a AS x FROM t"));
    CHECK(canonical("SELECT a FROM t") != canonical("SELECT a FROM t AS u"));
    CHECK(canonical("SELECT 1 FROM t WHERE a = 1") != canonical("SELECT 1 FROM t WHERE a = 2"));
    CHECK(canonical("SELECT 1 FROM t WHERE a < b") != canonical("SELECT 1 FROM t WHERE a > b"));
    CHECK(canonical("SELECT a FROM t ORDER BY a") != canonical("SELECT a FROM t ORDER BY a DESC"));
    CHECK(canonical("SELECT a FROM t ORDER BY a") != canonical("SELECT a FROM t ORDER BY t.a"));
    CHECK(canonical("INSERT INTO t VALUES (1, 2)") == canonical("INSERT INTO t (id, a) VALUES (1, 2)"));
    CHECK(canonical("INSERT INTO t (id, a) VALUES (1, 2)") != canonical("INSERT INTO t (a, id) VALUES (1, 2)"));
    CHECK(canonical("SELECT 1 FROM t x, t y WHERE x.a = y.b") != canonical("SELECT 1 FROM t x, t y WHERE y.a = x.b"));
}

} // namespace pgmend::sql
