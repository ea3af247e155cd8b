// Between a held error and its retry: ask the catalog, ask the planner, ask PostgreSQL.
#include "net/client_session.hpp"

#include "net/statement_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/healing/bound_labels.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/healing/undone.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/wire/sqlstate.hpp"
#include "pgmend/session/inquiry_machine.hpp"
#include "pgmend/session/lost_values.hpp"
#include "pgmend/session/relation_glimpse.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::net {
namespace {

using base::log_level;
using step = session::heal_machine::step;

/// A RowDescription of 1600 columns has about 130 KiB; nothing longer belongs into this conversation.
constexpr std::size_t most_answer_frame_bytes = 4 << 20;

constexpr int most_plans = 4;

/// A client waits for a durable record, and its server connection with it.
constexpr std::chrono::seconds most_store_patience{5};

/// Past so many names all of the catalog is read.
constexpr std::size_t most_names = 300;

/// What it is enough to know of the catalog for a failure that is one of names: then `is_enough` says whether it was. None: everything.
std::vector<std::string> names_to_look_up(session::heal_machine const& machine) {
    static constexpr base::byte_view of_names[] = {wire::sqlstate::undefined_column, wire::sqlstate::undefined_table, wire::sqlstate::ambiguous_column,
                                                   wire::sqlstate::undefined_object, wire::sqlstate::undefined_function};
    bool const of_these = std::find(std::begin(of_names), std::end(of_names), machine.sqlstate()) != std::end(of_names);
    if (!of_these || !machine.repeated().empty() || !machine.later_texts().empty()) return {};
    auto names = healing::identifiers(machine.sql());
    if (names.size() > most_names) names.clear();
    return names;
}

/// Whether more of the catalog would not change what the planner says. A heal along lineage rests on the objects that the text names, and on what has their
/// names; a name that is as unknown as it was before has no history. Rules may be about other names.
bool is_enough(catalog::schema_answer const& read, healing::verdict const& it, rules::rule_set const& rules, base::byte_view sql) {
    if (read.whole) return true;
    auto const names = healing::identifiers(sql);
    bool const concern = rules.has_statements() || std::any_of(names.begin(), names.end(), [&](auto const& name) {
                             return std::binary_search(rules.names().begin(), rules.names().end(), name);
                         });
    if (concern) return false;
    if (auto const* const plan = std::get_if<healing::plan>(&it)) return plan->evidence == healing::evidence::lineage;
    auto const* const refused = std::get_if<healing::refusal>(&it);
    return refused != nullptr && refused->kind == healing::refusal_kind::forward_drift && !read.changed;
}

bool is_by_rules(healing::verdict const& it) {
    auto const* const plan = std::get_if<healing::plan>(&it);
    return plan != nullptr && (plan->evidence == healing::evidence::rule || plan->evidence == healing::evidence::migration);
}

} // namespace

/// The answer comes on a thread of the source's own; the session may be gone by then, or have asked again.
void client_session::ask_for_schema(healing_under_way& heal) {
    heal.schema_asked = true;
    schema_answer_.reset();
    auto answer = [weak = weak_from_this(), where = home_.get_executor(), number = ++schema_asks_](catalog::schema_answer found) {
        auto arrive = [weak, number, found = std::move(found)]() mutable {
            auto const self = weak.lock();
            if (!self || self->schema_asks_ != number) return;
            self->schema_answer_ = std::move(found);
            self->schema_arrived_.notify();
        };
        boost::asio::post(where, std::move(arrive));
    };
    home_.shared().schemas->refresh(identity_.database, heal.whole_schema ? std::vector<std::string>{} : names_to_look_up(heal.machine), std::move(answer));
}

awaitable<catalog::schema_answer> client_session::schema_asked_for() {
    while (!schema_answer_) {
        co_await schema_arrived_.wait();
        if (!server_.is_open()) co_return catalog::schema_answer{nullptr, "the session has ended"};
    }
    co_return std::move(*schema_answer_);
}

/// As it was read after the failure, or later.
awaitable<catalog::schema_answer> client_session::refresh_schema(healing_under_way& heal) {
    if (!heal.schema_asked) ask_for_schema(heal);
    auto schema = co_await schema_asked_for();
    heal.schema_asked = false;
    co_return schema;
}

awaitable<bool> client_session::exchange(std::string bytes, frame_listener listener) {
    co_return co_await exchange_with(server_, server_carry_, std::move(bytes), std::move(listener));
}

awaitable<bool> client_session::exchange_with(stream& server, std::string& carry, std::string bytes, frame_listener listener) {
    if (!co_await server.write_all(bytes)) co_return false;
    std::string inbox = std::exchange(carry, {});
    std::string to_client;
    for (;;) {
        std::size_t at = 0;
        bool enough = false;
        while (!enough && inbox.size() - at >= wire::header_bytes) {
            auto const rest = base::byte_view{inbox}.substr(at);
            auto const header = wire::read_header(rest);
            if (!header.length_is_valid() || header.total_bytes() > most_answer_frame_bytes) {
                server.close();
                co_return false;
            }
            if (rest.size() < header.total_bytes()) break;
            enough = listener(rest.substr(0, header.total_bytes()), to_client);
            at += header.total_bytes();
        }
        inbox.erase(0, at);
        if (!to_client.empty() && !co_await client_.write_all(std::exchange(to_client, {}))) server.close();
        if (enough) {
            carry = std::move(inbox);
            co_return true;
        }
        if (!server.is_open() || !co_await read_more(server, inbox)) {
            server.close();
            co_return false;
        }
    }
}

awaitable<step> client_session::converse_with(session::heal_machine& machine, std::string bytes) {
    auto reached = step::need_more;
    auto listen = [&machine, &reached](base::byte_view frame, std::string& to_client) {
        reached = machine.on_server(frame, to_client);
        return reached != step::need_more;
    };
    bool const answered = co_await exchange(std::move(bytes), listen);
    co_return answered ? reached : step::refused;
}

/// What the planner may use, as it is now.
healing::knowledge client_session::knowledge_of(catalog::history const& schema) const {
    auto const& judge = check_->judge();
    return {.schema = &schema, .rules = &judge.rules(), .book = &judge.book(), .policy = judge.settings().policy};
}

/// True: there is a plan, verified, and it may be used. False: heal.reason says why not; empty: mode observe.
awaitable<bool> client_session::try_heal(healing_under_way& heal) {
    auto& machine = heal.machine;
    heal.is_drift = session::is_drift(machine.error());
    if (session::is_of_the_data(machine.sqlstate())) look_for_batch(heal);
    bool const of_rows = session::is_of_the_data(machine.sqlstate()) && (heal.pipelined || (machine.statement() && check_->splits(*machine.statement())));
    bool const unread = of_rows && machine.sql().empty(); // an earlier request has prepared it
    if (!heal.is_drift && !heal.batch && !unread) co_return false;
    if (client_writing_) {
        heal.reason = "the client was sending more";
        co_return false;
    }
    bool const for_rows = machine.statement() && (heal.batch || unread);
    if (!(for_rows ? machine.possible_for_rows() : machine.possible())) {
        heal.reason = machine.reason();
        co_return false;
    }
    auto& judge = check_->judge();
    bool const text_known = !machine.sql().empty(); // else the look at the session tells it
    if (healing::is_never_healed(machine.sql()) && !judge.rules().has_statements() && !judge.trips(judge.text(machine.sql()))) {
        heal.reason = "ALTER, DROP, GRANT and the like are not healed";
        co_return false;
    }
    if (heal.is_drift && text_known) ask_for_schema(heal); // meanwhile the session is looked at
    heal.unprobed = heal.is_drift && !for_rows && !heal.batch && machine.needs_no_probe() && check_->knows_view();
    heal.recovered = true;
    if (!heal.unprobed) {
        auto const probed = co_await converse_with(machine, machine.begin(for_rows));
        if (probed != step::probed) {
            heal.reason = machine.reason();
            co_return false;
        }
    }
    if (unread) look_for_batch(heal);
    if (!heal.is_drift || !machine.possible()) {
        if (!heal.batch) {
            heal.reason = machine.reason();
            co_return false;
        }
        bool const split_up = co_await split(heal);
        co_return split_up;
    }
    // A migration that goes on meanwhile makes a plan outdated; then the next one is made from what is there now.
    for (int tries = 0; tries < most_plans; ++tries) {
        if (!co_await plan_and_verify(heal)) {
            if (machine.outdated()) continue;
            if (!heal.batch || heal.planned) co_return false;
            bool const split_up = co_await split(heal);
            co_return split_up;
        }
        co_return heal.sent || home_.settings()->healing.healing_mode == healing::mode::heal;
    }
    co_return false;
}

/// What rules need of the catalog, while it cannot be read otherwise; nothing: they cannot heal this.
awaitable<std::shared_ptr<catalog::history const>> client_session::glimpse(session::heal_machine& machine) {
    auto& judge = check_->judge();
    bool const in_block = relay_.transaction_status() != 'I' || check_->begun();
    if (in_block || !machine.repeated().empty() || !judge.trips(judge.text(machine.sql()))) co_return nullptr;
    auto names = session::relation_glimpse::names_for(machine.sql(), judge.rules(), check_->circumstances());
    if (relay_.client_encoding() != "UTF8") std::erase_if(names, [](std::string const& it) { return std::any_of(it.begin(), it.end(), [](char c) { return c < 0; }); });
    session::relation_glimpse asked{std::move(names)};
    auto listen = [&asked](base::byte_view frame, std::string& to_client) {
        return asked.on_server(frame, to_client) == session::relation_glimpse::step::answered;
    };
    bool const answered = co_await exchange(asked.begin(), listen);
    if (!answered) co_return nullptr;
    co_return asked.schema();
}

/// The planner has said no, and perhaps what might be done.
void client_session::take_refusal(healing_under_way& heal, healing::refusal const& refused) {
    heal.reason = refused.reason;
    if (!refused.proposals.empty()) {
        heal.plan = refused.proposals.front().what;
        heal.proposed = heal.plan.pattern;
    }
    heal.counted = true;
    count_refusal(refused.kind);
    report(refused);
}

awaitable<bool> client_session::plan_and_verify(healing_under_way& heal) {
    auto& machine = heal.machine;
    auto schema = co_await refresh_schema(heal);
    if (heal.unprobed && !co_await find_view(heal, schema.schema.get())) co_return false;
    bool const by_rules_alone = !schema.schema;
    if (by_rules_alone) {
        heal.reason = "the catalog could not be read: " + schema.problem;
        schema.schema = co_await glimpse(machine);
        if (!schema.schema) co_return false;
    }
    heal.may_run_again = std::all_of(machine.repeated().begin(), machine.repeated().end(), [&](auto const text) {
        auto const& now = schema.schema->current();
        return (!machine.block().empty() && text == machine.block()) || healing::undone_by_rollback(text, now) ||
               (machine.ran_triggers_only(text) && !healing::may_have_event_triggers(now));
    });
    static constexpr auto would_run_again = "a statement that ran before it in the same request may have done what a rollback does not undo";
    if (machine.is_of_parameter()) {
        if (!heal.may_run_again) {
            heal.reason = would_run_again;
            co_return false;
        }
        bool const planned = !by_rules_alone && co_await plan_values(heal, *schema.schema);
        co_return planned;
    }
    auto question = machine.question();
    question.who = check_->circumstances();
    auto verdict = healing::judge(question, knowledge_of(*schema.schema));
    if (!is_enough(schema, verdict, check_->judge().rules(), machine.sql())) {
        heal.whole_schema = true;
        bool const planned = co_await plan_and_verify(heal);
        co_return planned;
    }
    if (by_rules_alone && !is_by_rules(verdict)) co_return false; // nothing is known of what was before
    if (auto const* const refused = std::get_if<healing::refusal>(&verdict)) {
        heal.drifted = refused->kind != healing::refusal_kind::not_drift;
        take_refusal(heal, *refused);
        if (refused->kind != healing::refusal_kind::observe || heal.proposed.empty()) co_return false;
        // A rule that only observes: would PostgreSQL have taken it?
        heal.planned = true;
        auto const verified = co_await converse_with(machine, machine.verify(heal.plan));
        if (verified == step::verified) heal.reason.clear();
        else heal.reason = machine.reason();
        co_return false;
    }
    if (std::holds_alternative<healing::fits>(verdict)) {
        heal.reason = "the statement fits the schema as pgmend knows it; this is not drift";
        co_return false;
    }
    if (!heal.may_run_again) {
        heal.reason = would_run_again;
        co_return false;
    }
    heal.drifted = true;
    heal.plan = std::move(std::get<healing::plan>(verdict));
    if (heal.plan.fails_first && machine.statement() && !machine.statement()->empty()) { // it would have to be prepared again, each time, whatever becomes of it
        heal.reason = "CREATE INDEX without a name, in a prepared statement that has one";
        co_return false;
    }
    heal.planned = true;
    if (!co_await verify(heal, schema.schema->current())) co_return false;
    heal.reason.clear();
    if (heal.plan.losses.empty() || home_.settings()->healing.healing_mode != healing::mode::heal) co_return true;
    auto problem = co_await keep_losses(heal);
    if (!problem) co_return true;
    heal.reason = std::move(*problem);
    co_return false;
}

/// What names mean in the session, with the catalog at hand (may be null).
awaitable<bool> client_session::find_view(healing_under_way& heal, catalog::history const* schema) {
    auto& machine = heal.machine;
    if (auto const* const known = schema != nullptr ? check_->known_view(*schema) : nullptr) {
        auto view = *known;
        view.client_encoding = relay_.client_encoding();
        view.standard_conforming_strings = relay_.standard_conforming_strings();
        machine.know(std::move(view));
        co_return true;
    }
    heal.unprobed = false;
    auto const probed = co_await converse_with(machine, machine.begin());
    if (probed == step::probed) co_return true;
    heal.reason = machine.reason();
    co_return false;
}

/// Whether PostgreSQL accepts the plan. Where that does no harm, the retry is on its way by then.
awaitable<bool> client_session::verify(healing_under_way& heal, catalog::snapshot const& now) {
    auto& machine = heal.machine;
    bool const heals = home_.settings()->healing.healing_mode == healing::mode::heal && !heal.batch;
    std::string bytes;
    if (heals && machine.may_retry_at_once(heal.plan, now)) bytes = machine.verify_and_retry(heal.plan, heal.sent.emplace());
    else bytes = machine.verify(heal.plan);
    auto const verified = co_await converse_with(machine, std::move(bytes));
    if (verified == step::verified) co_return true;
    heal.reason = machine.reason();
    if (auto const sent = std::exchange(heal.sent, std::nullopt)) (void)co_await converse_with(machine, machine.end_of_retry(*sent));
    co_return false;
}

/// A parameter's value is a label that was renamed: it is bound under the label's name of today. The text stays what it is, so nothing is kept of this: each
/// such value has to fail first.
awaitable<bool> client_session::plan_values(healing_under_way& heal, catalog::history const& schema) {
    auto& machine = heal.machine;
    heal.values.clear();
    auto const described = co_await converse_with(machine, machine.describe());
    auto question = machine.question();
    question.who = check_->circumstances();
    if (described != step::probed && question.prepared) { // ahead of a change of its names: these come first, and then the value fails once more
        heal.reason = machine.reason();
        question.error.reset();
        auto verdict = healing::judge(question, knowledge_of(schema));
        auto* const names = std::get_if<healing::plan>(&verdict);
        if (names == nullptr || !names->losses.empty()) co_return false;
        heal.plan = std::move(*names);
        heal.drifted = heal.planned = true;
        bool const verified = co_await verify(heal, schema.current());
        if (verified) heal.reason.clear();
        co_return verified;
    }
    if (described != step::probed) {
        heal.reason = machine.reason();
        co_return false;
    }
    auto verdict = healing::judge_values(question, machine.bound_values(), knowledge_of(schema));
    if (auto const* const refused = std::get_if<healing::refusal>(&verdict)) {
        heal.is_drift = heal.drifted = refused->kind != healing::refusal_kind::not_drift; // else a value was never a label
        if (heal.drifted) take_refusal(heal, *refused);
        co_return false;
    }
    auto& made = std::get<healing::value_plan>(verdict);
    heal.plan = std::move(made.what);
    heal.values = std::move(made.values);
    heal.drifted = heal.planned = true;
    heal.reason.clear();
    co_return true;
}

/// What the plan leaves out is kept, durably, before it runs; otherwise it does not run. Nothing: it is kept.
awaitable<std::optional<std::string>> client_session::keep_losses(healing_under_way& heal) {
    auto* const store = home_.shared().state;
    if (store == nullptr) co_return "what the write would lose has to be kept in an audit record, and pgmend has no state to keep it in";
    auto record = session::lost_values(heal.request, heal.machine.text_message(), heal.machine.sql(), heal.plan);
    if (!record) co_return record.error().text;
    record->at = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    record->database = identity_.database;
    record->user = identity_.user;
    record->application_name = relay_.application_name();
    record->client = peer_;
    std::vector<state::change> changes;
    changes.emplace_back(std::move(*record));
    auto problem = co_await keep_durably(std::move(changes));
    if (problem) *problem = "what the write would lose could not be kept in an audit record: " + *problem;
    co_return problem;
}

/// Nothing: it is on the disk. Or why not. What the store has begun to write when the time is over may be there all the same.
awaitable<std::optional<std::string>> client_session::keep_durably(std::vector<state::change> changes) {
    kept_.reset();
    auto const arrive = [](std::weak_ptr<client_session> const& whose, unsigned number, base::result<void> done) {
        auto const self = whose.lock();
        if (!self || self->keeps_ != number || self->kept_) return; // it came too late
        self->kept_ = std::move(done);
        self->kept_arrived_.notify();
    };
    auto const number = ++keeps_;
    auto answer = [weak = weak_from_this(), where = home_.get_executor(), number, arrive](base::result<void> done) {
        boost::asio::post(where, [weak, number, arrive, done = std::move(done)]() mutable { arrive(weak, number, std::move(done)); });
    };
    auto const not_after = timer::clock_type::now() + most_store_patience;
    timer limit{home_.get_executor(), not_after};
    limit.async_wait([weak = weak_from_this(), number, arrive](boost::system::error_code cancelled) {
        if (!cancelled) arrive(weak, number, base::fail(base::errc::timeout, "the store does not answer"));
    });
    home_.shared().state->keep(std::move(changes), std::move(answer), not_after);
    while (!kept_) {
        co_await kept_arrived_.wait();
        if (!server_.is_open()) co_return "the session has ended";
    }
    if (!*kept_) co_return kept_->error().text;
    co_return std::nullopt;
}

/// Answers the held error: by a retry that is on its way, or with the error itself. False: the session is over.
awaitable<bool> client_session::heal() {
    healing::session_view view;
    view.client_encoding = relay_.client_encoding();
    view.standard_conforming_strings = relay_.standard_conforming_strings();
    auto heal = std::make_unique<healing_under_way>(relay_.held(), std::move(view));
    healing_ = true; // the client's direction waits until whatever goes to the server has gone
    bool const overtaken = !relay_.held().premise_broken.empty();
    check_->locks_released();
    bool const again = !overtaken && co_await try_heal(*heal);
    bool alive = client_.is_open();
    auto const anew = alive && !overtaken && !again ? prepared_by_client(heal->machine) : nullptr;
    if (alive && overtaken) {
        alive = co_await go_on_without_premise(heal->machine);
    } else if (anew) {
        std::vector<session::heal_machine::prepared_anew> const it{{*heal->machine.statement(), anew}};
        alive = co_await send_as_it_was(heal->machine, it, false);
    } else if (alive && again) {
        if (!heal->sent && !heal->batch && heal->values.empty() && !heal->in_place) co_await heal_later_texts(*heal);
        auto const retry = heal->sent                     ? std::move(*heal->sent)
            : heal->pipelined && heal->batch              ? heal->machine.retry_without(heal->plan, heal->left_out, heal->nothing)
            : !heal->values.empty()                       ? heal->machine.retry_with(heal->plan, heal->values)
            : heal->in_place                              ? heal->machine.retry_in_place(*heal->in_place)
                                                          : heal->machine.retry();
        auto notice = !heal->notice.empty() ? heal->notice
            : home_.settings()->healing.notice
            ? wire::notice_response(fmt::format("pgmend healed this statement: {}", heal->plan.pattern))
            : std::string{};
        std::string const at_once{relay_.begin_retry(retry, std::move(notice))};
        heal->text = retry.text;
        retried_ = std::move(heal);
        alive = co_await client_.write_all(at_once);
        if (alive && !retried_->sent) alive = co_await server_.write_all(retry.bytes);
    } else if (alive && !heal->is_drift && !heal->batch) { // an error like any other
        alive = co_await give_up(*heal);
    } else if (alive) {
        if (auto const* const sent = heal->machine.edited_text(); sent && !heal->machine.is_of_parameter()) report(sent->plan, false); // PostgreSQL refused what had been made of it
        if (!heal->reason.empty() && !heal->counted) count_refusal(std::nullopt);
        log_heal(heal->reason.empty() ? "statement.observed" : "statement.refused", *heal, heal->reason);
        state::drift_row row;
        row.fingerprint = healing::fingerprint(heal->machine.sql());
        row.before = healing::normalized(heal->machine.sql());
        row.reason = heal->reason;
        if (heal->planned || !heal->proposed.empty()) {
            row.pattern = heal->planned ? heal->plan.pattern : heal->proposed;
            row.evidence = learning::name_of(heal->plan.evidence);
            row.after = healing::normalized(heal->plan.sql);
        }
        // An error that is no drift is the application's own affair.
        if (heal->drifted) note_drift(heal->reason.empty() ? state::drift_outcome::observed : state::drift_outcome::refused, std::move(row));
        if (heal->drifted) remember(heal->reason.empty() ? "observed" : "refused", *heal, heal->reason);
        alive = co_await give_up(*heal);
    }
    healing_ = false;
    let_client_go_on();
    co_return alive && server_.is_open();
}

void client_session::let_client_go_on() {
    if (healing_ || !std::exchange(client_at_gate_, false)) return;
    auto left = std::exchange(client_carry_, {});
    auto go_on = relay_client_slowly(shared_from_this(), {}, std::move(left));
    boost::asio::co_spawn(home_.get_executor(), std::move(go_on), boost::asio::detached);
}

/// The premise of a heal does not hold. A Query or a Parse says by itself what the client means; a Bind is of what was prepared edited, and what the client
/// has prepared takes its place where PostgreSQL accepts that by now. What fails then may be healed.
awaitable<bool> client_session::go_on_without_premise(session::heal_machine& machine) {
    auto const& held = relay_.held();
    auto const request = session::messages_of(held.request);
    check_->premise_broken(held.premise_broken, request);
    std::vector<session::heal_machine::prepared_anew> anew;
    for (auto const frame : request) {
        wire::cursor in{wire::body_of(frame)};
        if (frame.front() != 'B') continue;
        (void)in.text();
        auto const name = in.text();
        auto const sent = check_->edited(name); // what this request itself prepares is not
        if (!sent || std::any_of(anew.begin(), anew.end(), [&](auto const& it) { return it.statement == name; })) continue;
        session::inquiry_machine inquiry{{}, {false, nullptr, sent->text, false}, false, sent->types}; // its premise is known to be broken
        auto listen = [&inquiry](base::byte_view received, std::string& to_client) {
            return inquiry.on_server(received, to_client) == session::inquiry_machine::step::answered;
        };
        bool const answered = co_await exchange(inquiry.begin(), listen);
        if (!answered) co_return false;
        if (!inquiry.still_refused()) anew.push_back({name, check_->end_heal(name)});
    }
    co_return co_await send_as_it_was(machine, anew, true);
}

/// What was prepared edited cannot be bound any more, nor healed: what the client has prepared, to be tried. Null: it was, or something may have happened.
std::shared_ptr<session::prepare_again const> client_session::prepared_by_client(session::heal_machine const& machine) {
    auto const& held = relay_.held();
    auto const name = machine.statement();
    bool const nothing_happened = !held.guarded && !held.open && held.first == held.failed && relay_.transaction_status() == 'I';
    bool const of_the_text = session::is_drift(machine.error()) || session::is_denial(machine.error());
    if (!held.request.starts_with('B') || !name || !nothing_happened || !of_the_text || machine.is_of_parameter()) return nullptr;
    return check_->end_heal(*name);
}

awaitable<bool> client_session::send_as_it_was(session::heal_machine& machine, std::vector<session::heal_machine::prepared_anew> const& anew, bool heals_again) {
    home_.shared().schemas->hint_changed(identity_.database);
    auto retry = machine.as_it_was(anew);
    retry.heals_again = heals_again;
    std::string const at_once{relay_.begin_retry(retry, {})};
    bool const told = co_await client_.write_all(at_once);
    bool const sent = told && co_await server_.write_all(retry.bytes);
    co_return sent;
}

/// The client gets the error that it would have got without pgmend, in the state in which it would be.
awaitable<bool> client_session::give_up(healing_under_way& heal) {
    auto& machine = heal.machine;
    bool const clean = heal.recovered || (!heal.request.open && !heal.request.guarded && !heal.request.opened); // no error state, no aborted block
    if (machine.must_abort_again()) {
        auto const aborted = co_await converse_with(machine, machine.abort_again());
        if (aborted != step::aborted) co_return false;
    } else if (machine.edited() && !machine.is_of_parameter() && clean && (machine.repeated().empty() || heal.may_run_again)) {
        auto const retry = machine.as_it_was();
        std::string const at_once{relay_.begin_retry(retry, {})};
        bool const told = co_await client_.write_all(at_once);
        bool const sent = told && co_await server_.write_all(retry.bytes);
        co_return sent;
    }
    std::string const error{relay_.release_error(heal.recovered && heal.request.open)};
    bool const told = co_await client_.write_all(error);
    co_return told;
}

/// After each look at the server's bytes while a retry is under way: is its outcome known?
void client_session::note_retry() {
    bool const healed = relay_.take_healed();
    if (!healed && !relay_.take_retry_failed()) return;
    log_heal(healed ? "statement.healed" : "statement.refused", *retried_, healed ? "" : "PostgreSQL refused the edited statement");
    auto& machine = retried_->machine;
    auto text = retried_->text;
    auto const took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - retried_->began);
    // One that was prepared counts when it is executed, perhaps by a later request.
    bool const executed = !machine.statement() || text->plan.once;
    if (healed && !executed) {
        healed_in_ = took;
    } else {
        if (healed || !relay_.retry_was_denied()) report(retried_->plan, healed); // else anybody without permission could have it suspended
        remember(healed ? "healed" : "failed", *retried_, healed ? "" : "PostgreSQL refused the edited statement");
        if (!text->plan.once || !retried_->values.empty()) note_heal(*text, healed, machine.sqlstate(), took, 2);
    }
    auto const later = machine.later_texts();
    auto const statement = machine.statement();
    bool const replaced = statement && std::any_of(later.begin(), later.end(), [&](auto const& it) { return it.statement == *statement; }); // by another text of the request
    if (healed && statement && !replaced && !text->plan.for_once())
        check_->healed_after_failure(*statement, machine.parameter_types(), text, machine.view(), machine.sqlstate() == wire::sqlstate::feature_not_supported);
    // Behind one statement that changes nothing for the session its view is what it was.
    if (healed && text->plan.statements == 1 && !machine.in_transaction() && !check_->judge().text(machine.sql()).changes_session) check_->learn(machine.view());
    // One that PostgreSQL had accepted, in another shape (0A000), goes on as it is in other sessions.
    if (healed && !text->plan.for_once() && machine.sqlstate() != wire::sqlstate::feature_not_supported)
        check_->judge().learn(machine.sql(), machine.view(), check_->circumstances(), machine.parameter_types(), std::move(text), std::chrono::steady_clock::now());
    retried_.reset();
}

/// Each pattern of a plan counts on its own.
void client_session::report(healing::plan const& used, bool success) const {
    auto* const observer = home_.shared().observer;
    if (observer == nullptr) return;
    for (auto const& pattern : used.patterns) observer->used(identity_.database, pattern, used.evidence, success);
}

void client_session::report(healing::refusal const& refused) const {
    auto* const observer = home_.shared().observer;
    if (observer == nullptr) return;
    for (auto const& it : refused.proposals) {
        for (auto const& pattern : it.patterns) observer->proposed(identity_.database, pattern, it.what.evidence, it.note);
    }
}

void client_session::log_heal(std::string_view event, healing_under_way const& heal, std::string_view reason) const {
    if (!base::log_enabled(log_level::info)) return;
    auto const took = std::chrono::steady_clock::now() - heal.began;
    auto const before = shown(heal.machine.sql());
    auto const after = heal.planned ? shown(heal.plan.sql) : std::string{};
    auto const fingerprint = healing::fingerprint(heal.machine.sql());
    auto fields = log_fields(fingerprint);
    fields.emplace_back("sqlstate", heal.machine.sqlstate());
    if (heal.planned) {
        fields.emplace_back("pattern", heal.plan.pattern);
        fields.emplace_back("evidence", learning::name_of(heal.plan.evidence));
    }
    fields.emplace_back("before", before);
    if (heal.planned) fields.emplace_back("after", after);
    if (!reason.empty()) fields.emplace_back("reason", reason);
    auto const tags = tags_of(heal.machine.sql());
    add_tags(fields, tags);
    fields.emplace_back("tier", 2);
    fields.emplace_back("duration_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count());
    base::log(log_level::info, event, fields);
}

} // namespace pgmend::net
