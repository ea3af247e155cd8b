// What a new text costs before anything is parsed.
#include "bench/bench.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/parse.hpp"

#include <string>

namespace pgmend::bench {
namespace {

std::string const point = "SELECT id, email, name FROM users WHERE id = $1";

std::string const report = R"(WITH recent AS (
    SELECT o.id, o.customer_id, o.created_at, sum(i.quantity * i.price) AS total
    FROM orders o JOIN order_items i ON i.order_id = o.id
    WHERE o.created_at >= now() - interval '30 days' AND o.status IN ('paid', 'shipped', 'delivered')
    GROUP BY o.id, o.customer_id, o.created_at)
SELECT c.id, c.display_name, c.country, count(r.id) AS orders, coalesce(sum(r.total), 0) AS revenue,
       max(r.created_at) AS last_order, rank() OVER (PARTITION BY c.country ORDER BY sum(r.total) DESC) AS position
FROM customers c LEFT JOIN recent r ON r.customer_id = c.id
WHERE c.deleted_at IS NULL AND c.country = ANY ($1) AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.customer_id = c.id)
GROUP BY c.id, c.display_name, c.country HAVING count(r.id) > $2 ORDER BY revenue DESC NULLS LAST, c.id LIMIT 50)";

std::string batch() {
    std::string out = "INSERT INTO events (at, kind, payload) VALUES ";
    for (int i = 0; i < 100; ++i) {
        out += i == 0 ? "" : ", ";
        out += "('2026-11-24 10:00:00+00', 'page_view', '{\"path\": \"/products/" + std::to_string(i) + "\", \"ms\": 12}')";
    }
    return out;
}

sql::name_set names() {
    std::vector<std::string> all;
    for (int i = 0; i < 200; ++i) all.push_back("old_column_" + std::to_string(i));
    for (auto const* name : {"emial", "user_name", "amount", "statuses", "customer", "legacy_flag", "very sad"}) all.emplace_back(name);
    return sql::name_set{all};
}

} // namespace

void sql_benches() {
    auto const set = names();
    auto const large = batch();
    measure_text("sql: mentions, point select", point, [&] { return sql::mentions(point, set); });
    measure_text("sql: mentions, report", report, [&] { return sql::mentions(report, set); });
    measure_text("sql: mentions, batch insert", large, [&] { return sql::mentions(large, set); });
    measure_text("sql: plain_statement, point select", point, [&] { return sql::plain_statement(point) != sql::statement_kind::empty; });
    measure_text("sql: plain_statement, report", report, [&] { return sql::plain_statement(report) != sql::statement_kind::empty; });
    measure_text("sql: plain_statement, batch insert", large, [&] { return sql::plain_statement(large) != sql::statement_kind::empty; });
    measure_text("sql: classify, point select", point, [&] { return sql::classify(point).several(); });
    measure_text("sql: classify, report", report, [&] { return sql::classify(report).several(); });
    measure_text("sql: parse, report", report, [&] { return sql::parsed_text::parse(report).has_value(); });
}

} // namespace pgmend::bench
