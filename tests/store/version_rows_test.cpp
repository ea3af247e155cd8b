#include "store/postgres_text.hpp"
#include "store/version_rows.hpp"

#include <catch2/catch.hpp>

using namespace pgmend;
using catalog::history;
using catalog::snapshot;

namespace {

std::shared_ptr<snapshot const> version(std::string name) {
    auto table = std::make_shared<catalog::relation const>(catalog::relation{16400, "public", std::move(name), 'r', {{.number = 1, .name = "id", .type = 23}}});
    return std::make_shared<snapshot const>(catalog::database_identity{"7301", 5}, std::vector<snapshot::relation_ptr>{table});
}

} // namespace

TEST_CASE("versions come back from their rows, each by the one before") {
    auto const h = history::with(history::with(nullptr, version("users"), 1), version("clients"), 2);
    store::kept_database found;
    found.identity = {"7301", 5};
    snapshot const* before = nullptr;
    for (std::size_t i = 0; i < 2; ++i) {
        auto const row = store::to_row(before, *h->versions()[i], *h->steps()[i], {"trigger", "alice"});
        CHECK(row.about.by == "alice");
        REQUIRE(store::add_version(found, row, nullptr).has_value());
        before = h->versions()[i].get();
    }
    auto const kept = store::to_history(found);
    REQUIRE(kept.size() == 2);
    CHECK(kept[1].generation == 2);
    CHECK(kept[1].schema->same_schema(h->current()));
}

TEST_CASE("a row that is damaged adds nothing") {
    store::kept_database found;
    auto const h = history::with(nullptr, version("users"), 1);
    auto row = store::to_row(nullptr, h->current(), *h->steps()[0], {});
    row.delta.back() = static_cast<char>(row.delta.back() ^ 1);
    CHECK(store::add_version(found, row, nullptr).has_error());
    CHECK(found.rows.empty());
    CHECK(found.versions.empty());
}

TEST_CASE("bytes and texts are written so that PostgreSQL reads what they were") {
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    auto const written = store::bytea_literal(all);
    CHECK(written.starts_with("'\\x000102"));
    CHECK(store::bytes_of_hex(std::string_view{written}.substr(1, written.size() - 2)) == all);
    CHECK(store::bytes_of_hex("").empty());
    CHECK(store::literal("it's") == "'it''s'");
    CHECK(store::literal(std::string_view{"a\xff\0b", 4}) == "'a\xEF\xBF\xBD\xEF\xBF\xBD" "b'");
}
