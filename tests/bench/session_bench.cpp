// What tier 1 adds to a statement that is relayed.
#include "bench/bench.hpp"
#include "pgmend/session/relay_machine.hpp"
#include "pgmend/session/session_memory.hpp"
#include "pgmend/session/statement_check.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <string>

namespace pgmend::bench {
namespace {

std::shared_ptr<catalog::snapshot const> schema(char const* column) {
    auto users = std::make_shared<catalog::relation>();
    users->id = 16384;
    users->schema = "public";
    users->name = "users";
    users->columns.push_back({.number = 1, .name = "id", .type = 23});
    users->columns.push_back({.number = 2, .name = column, .type = 25});
    auto orders = std::make_shared<catalog::relation>();
    orders->id = 16400;
    orders->schema = "public";
    orders->name = "orders";
    orders->columns.push_back({.number = 1, .name = "id", .type = 23});
    return std::make_shared<catalog::snapshot const>(catalog::database_identity{"1", 5},
                                                     std::vector<catalog::snapshot::relation_ptr>{users, orders});
}

constexpr auto drifted = "SELECT id, email FROM users WHERE id = $1";
constexpr auto healthy = "SELECT id FROM orders WHERE id = $1";

/// Of every kind, about tables that no statement here mentions.
std::vector<rules::rule> many_rules() {
    std::vector<rules::rule> out;
    for (int i = 0; i < 10000; ++i) {
        auto const n = std::to_string(i);
        auto& made = out.emplace_back();
        made.name = "r" + n;
        switch (i % 4) {
        case 0: made.does = rules::column_renamed{{"public", "old_table_" + n, "old_column"}, "new_column"}; break;
        case 1: made.does = rules::object_renamed{rules::object_kind::table, {"", "old_name_" + n}, {"crm", "new_name_" + n}}; break;
        case 2: made.does = rules::object_renamed{rules::object_kind::function, {"", "compute_" + n}, {"billing", "compute_" + n}}; break;
        default:
            made.does = rules::statement_replaced{rules::statement_shape::compile("SELECT id, total FROM invoices_" + n + " WHERE customer = $1").value(),
                                                  rules::replacement_text::compile("SELECT id, net AS total FROM invoices WHERE customer_id = $1").value()};
        }
    }
    return out;
}

/// What each new text costs where nothing but rules may have to do with it.
void benches_with_rules(std::shared_ptr<base::published<catalog::history>> const& source, std::vector<rules::rule> rules, std::string const& what) {
    auto judge = std::make_shared<session::database_judge>(source);
    judge->configure({}, std::make_shared<rules::rule_set const>(std::move(rules), 1), std::make_shared<learning::pattern_book const>());
    session::statement_check check{judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{}; }, [] { return base::time_point{std::chrono::hours{1}}; }};
    session::relay_machine relay{{true, 65536}};
    relay.configure({true, 65536}, &check);
    std::string const answer{"Z\0\0\0\5I", 6};
    std::uint64_t number = 0;
    std::string query;
    measure(("session: Query of a new text, answered, " + what).c_str(), [&] {
        query.clear();
        wire::append_query(query, "SELECT abalance FROM pgbench_accounts WHERE aid = " + std::to_string(++number) + ";");
        auto const sent = relay.on_client(query).forward.size();
        return sent + relay.on_server(answer).consumed;
    });
}

} // namespace

void session_benches() {
    auto history = catalog::history::with(nullptr, schema("email"));
    history = catalog::history::with(history, schema("email_address"));
    auto source = std::make_shared<base::published<catalog::history>>(history);
    auto judge = std::make_shared<session::database_judge>(source);
    session::statement_check check{judge, {"shop", "app"}, [] { return std::chrono::sys_seconds{}; },
                                   [] { return base::time_point{std::chrono::hours{1}}; }}; // a healed read asks again by the clock
    if (!check.active(false)) return;
    (void)check.look(drifted, nullptr, {}, false, session::company::unknown);
    healing::session_view view;
    view.search_path = {"pg_catalog", "public"};
    view.client_encoding = "UTF8";
    check.learn(view);
    (void)check.consider(drifted, {}, false);
    check.verified(drifted, {}, std::nullopt);
    check.confirmed(drifted, {}, "42703");

    measure("session: known-good text, decision", [&] { return check.active(false) && check.look(healthy, nullptr, {}, false, session::company::unknown).guard; });
    measure("session: cached heal, decision", [&] { return check.active(false) && check.look(drifted, nullptr, {}, false, session::company::unknown).note != nullptr; });

    session::relay_machine relay{{true, 65536}};
    relay.configure({true, 65536}, &check);
    session::relay_machine plain{{true, 65536}};
    std::string query;
    std::string answer{"Z\0\0\0\5I", 6};
    wire::append_query(query, drifted);
    measure("session: Query and ReadyForQuery, relayed", [&] {
        auto const sent = plain.on_client(query).forward.size();
        return sent + plain.on_server(answer).consumed;
    });
    measure("session: Query and ReadyForQuery, healed from the cache", [&] {
        auto const sent = relay.on_client(query).forward.size();
        return sent + relay.on_server(answer).consumed + relay.take_answered().size() + relay.take_executed().size();
    });

    // A write asks each time whether the heal's premise holds, in the same packet.
    std::string const write = "UPDATE users SET email = 'x' WHERE id = 1";
    (void)check.look(write, nullptr, {}, false, session::company::unknown);
    (void)check.consider(write, {}, false);
    check.verified(write, {}, std::nullopt);
    check.confirmed(write, {}, "42703");
    std::string request;
    wire::append_parse(request, "", write, {});
    wire::append_bind(request, "", "", {});
    wire::append_execute(request, "");
    wire::append_sync(request);
    (void)check.look(write, nullptr, {}, false, session::company::alone); // prepares the statement that asks
    auto const frame = [](char type, std::string_view body) {
        std::string out(1, type);
        base::append_u32(out, static_cast<std::uint32_t>(body.size() + 4));
        return out.append(body);
    };
    auto const ready = frame('Z', "I");
    auto const done = frame('C', std::string_view{"UPDATE 1", 9});
    auto const parsed = frame('1', "") + frame('2', "");
    auto const premise = frame('2', "") + frame('D', std::string_view{"\0\1\0\0\0\0011", 7}) + frame('C', std::string_view{"SELECT 1", 9}) + frame('3', "");
    auto const plainly = parsed + done + ready;
    auto const with_premise = parsed + premise + done + ready;
    auto const through = [&](session::relay_machine& by, std::string_view answers) {
        auto sum = by.on_client(request).forward.size();
        for (bool again = true; again;) {
            auto const step = by.on_server(answers);
            answers.remove_prefix(step.consumed);
            sum += step.forward.size();
            again = step.again;
        }
        return sum;
    };
    measure("session: a write as extended messages, relayed", [&] { return through(plain, plainly); });
    measure("session: a write as extended messages, healed from the cache", [&] {
        return through(relay, with_premise) + relay.take_answered().size() + relay.take_executed().size();
    });

    auto const unchanged = std::make_shared<base::published<catalog::history>>(catalog::history::with(nullptr, schema("email")));
    benches_with_rules(unchanged, {}, "no rules");
    benches_with_rules(unchanged, many_rules(), "10,000 rules");

    // What observing costs: the same statement, counted nowhere, and counted with a look at the clock in each direction.
    telemetry::registry figures;
    auto& worker = figures.add_worker();
    session::relay_machine counted{{true, 65536}};
    counted.measure({&worker, &figures.of(worker, "shop"), 0});
    std::string const whole = std::string{"D\0\0\0\xb\0\1\0\0\0\0011", 12} + std::string{"C\0\0\0\xdSELECT 1\0", 14} + answer;
    auto const clock = [] {
        return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
    };
    measure("session: a statement and its answer, not counted", [&] {
        auto const sent = plain.on_client(query).forward.size();
        return sent + plain.on_server(whole).consumed;
    });
    measure("session: a statement and its answer, counted", [&] {
        counted.set_now(clock());
        auto const sent = counted.on_client(query).forward.size();
        counted.set_now(clock());
        return sent + counted.on_server(whole).consumed;
    });

    std::string const kibibyte = "SELECT id FROM orders WHERE note IN (" + [] {
        std::string list;
        while (list.size() < 960) list += "'a value of some length', ";
        return list + "''";
    }() + ") AND id = ";
    std::uint64_t number = 0;
    measure_text("session: new text without drift", kibibyte, [&] {
        return check.look(kibibyte + std::to_string(++number), nullptr, {}, false, session::company::unknown).guard;
    });
    measure_text("session: what a text leaves behind, new", kibibyte, [&] { return session::effects_of(kibibyte).calls; });
    session::known_effects known;
    measure_text("session: what a text leaves behind, known", kibibyte, [&] { return known.of(kibibyte).calls; });
    measure("session: first plan of a text", [&] {
        auto& text = judge->text(drifted);
        return judge->judge(text, judge->number_of(view, check.circumstances()), {}, check.circumstances()).verified;
    });
}

} // namespace pgmend::bench
