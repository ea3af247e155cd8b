// A batch that failed for the values of some rows: the good rows are stored, the bad ones set aside. By rule only.
#include "net/client_session.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pgmend::net {
namespace {

/// Schemas of a session's path that a later one can name: not its temporary ones.
std::string path_text(healing::session_view const& view) {
    std::string out;
    for (auto const& it : view.search_path) {
        if (it == "pg_catalog" || it.starts_with("pg_temp")) continue;
        out.append(out.empty() ? "" : ", ").append(sql::quoted_name(it));
    }
    return out;
}

} // namespace

rules::rule const* client_session::batch_rule(session::batch const& of, std::string_view schema) const {
    auto const* const rule = check_->judge().rules().on_error(schema, of.table, check_->circumstances());
    return rule != nullptr && rule->mode.value_or(rules::rule_mode::heal) == rules::rule_mode::heal ? rule : nullptr;
}

/// Cheap: most errors about data have nothing to do with any rule.
void client_session::look_for_batch(healing_under_way& heal) const {
    auto const& rules = check_->judge().rules();
    if (!rules.has_batches() || check_->judge().settings().healing_mode != healing::mode::heal) return;
    heal.pipelined = session::may_be_pipeline(heal.request);
    auto found = session::read_batch(heal.machine.sql(), heal.pipelined ? 1 : 2);
    if (found && std::binary_search(rules.names().begin(), rules.names().end(), found->table)) heal.batch = std::move(found);
}

awaitable<bool> client_session::try_rows(session::split_machine& machine) {
    using step = session::split_machine::step;
    auto reached = step::need_more;
    auto listen = [&machine, &reached](base::byte_view frame, std::string& to_client) {
        reached = machine.on_server(frame, to_client);
        return reached != step::need_more;
    };
    for (auto bytes = machine.begin();; bytes = machine.next()) {
        bool const answered = co_await exchange(std::move(bytes), listen);
        if (!answered) co_return false;
        if (reached != step::next) co_return reached == step::found;
    }
}

/// After the probe: true where the statement shall be sent again, with the good rows alone.
awaitable<bool> client_session::split(healing_under_way& heal) {
    auto& machine = heal.machine;
    auto const& view = machine.view();
    auto const& rows = *heal.batch;
    auto const schema = co_await refresh_schema(heal);
    if (!schema.schema) {
        heal.reason = "the catalog could not be read: " + schema.problem;
        co_return false;
    }
    auto const& temporary = view.temporary_relations;
    bool const hidden = rows.schema.empty() && std::find(temporary.begin(), temporary.end(), rows.table) != temporary.end();
    auto const& now = schema.schema->current();
    auto const* const table = rows.schema.empty() ? now.find_in_path(view.search_path, rows.table) : now.find(rows.schema, rows.table);
    auto const* const rule = hidden || table == nullptr ? nullptr : batch_rule(rows, table->schema);
    if (rule == nullptr) {
        heal.batch.reset(); // nobody wants it to be split
        heal.reason = "no rule is for this table";
        co_return false;
    }
    bool const dead_letter = std::get<rules::batch_split>(rule->does).dead_letter;
    if (dead_letter && home_.shared().state == nullptr) {
        heal.reason = "the rule wants dead letters, and pgmend has no state to keep them in";
        co_return false;
    }
    auto const name = rule->name; // a reload may take the rule away
    std::optional<session::pipelined_rows> pipeline;
    if (heal.pipelined) {
        session::earlier_statement earlier;
        if (session::message_at(heal.request.request, machine.text_message()).empty())
            earlier = {*machine.statement(), machine.sql(), machine.parameter_types()};
        auto read = session::read_pipeline(heal.request, earlier);
        if (!read) {
            heal.reason = "the batch was not split: " + read.error().text;
            co_return false;
        }
        pipeline = std::move(*read);
    }
    session::batch_statement const statement_tried{machine.sql(), machine.text_message(), machine.statement(), machine.parameter_types()};
    auto trial = pipeline ? session::split_machine{*pipeline, table->id, heal.request.guarded}
                          : session::split_machine{heal.request, statement_tried, rows, table->id, heal.request.guarded};
    bool const found = trial.possible() && co_await try_rows(trial);
    if (!found) {
        heal.reason = "the batch was not split: " + trial.reason();
        co_return false;
    }
    auto const good = trial.good();
    healing::plan plan;
    plan.pattern = "rule " + name;
    plan.patterns = {plan.pattern};
    plan.evidence = learning::evidence::rule;
    if (pipeline) {
        plan.sql = machine.sql();
        for (auto const& it : trial.bad()) heal.left_out.push_back(pipeline->rows[it.number].bind);
        if (!trial.bad().empty()) {
            auto const& text = pipeline->rows[trial.bad().front().number].sql;
            heal.nothing = session::rows_alone(text, *session::read_batch(text, 1), {});
        }
    } else {
        plan.sql = session::rows_alone(machine.sql(), rows, good);
        auto const begin = good.empty() ? rows.values : rows.rows.front().begin;
        plan.edits.push_back({begin, static_cast<std::uint32_t>(machine.sql().size()), plan.sql.substr(begin)});
    }
    healing::planned_statement statement;
    statement.end = static_cast<std::uint32_t>(plan.sql.size());
    statement.writes = true;
    plan.healed.push_back(statement);
    plan.parameter_types = trial.parameter_types();
    plan.identifiers = healing::identifiers(machine.sql());
    plan.nulled = trial.unused_parameters();
    plan.once = true;
    heal.in_place = trial.bind_in_place();
    // Of a pipeline no text is edited.
    auto verified = session::heal_machine::step::verified;
    if (!pipeline) verified = co_await converse_with(machine, machine.verify(plan));
    if (verified != session::heal_machine::step::verified) {
        heal.reason = machine.reason();
        co_return false;
    }
    if (dead_letter && !trial.bad().empty()) {
        std::vector<state::change> letters;
        for (auto const& it : trial.bad()) {
            state::dead_letter letter;
            letter.at = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
            letter.database = identity_.database;
            letter.user = view.role;
            letter.application_name = relay_.application_name();
            letter.rule = name;
            letter.search_path = path_text(view);
            letter.settings = trial.settings();
            letter.statement = it.statement;
            letter.sqlstate = it.sqlstate;
            letter.message = it.message;
            letter.state = "waiting";
            letters.emplace_back(std::move(letter));
        }
        if (auto const problem = co_await keep_durably(std::move(letters))) {
            heal.reason = "the rows that fail could not be kept: " + *problem;
            co_return false;
        }
    }
    heal.notice = wire::warning_response(
        fmt::format("pgmend set {} of {} rows aside", trial.bad().size(), pipeline ? pipeline->rows.size() : rows.rows.size()),
        dead_letter ? fmt::format("Rule {}: they are among the dead letters, with their errors; \"pgmend dead-letters list\" shows them.", name)
                    : fmt::format("Rule {}: they are not kept.", name));
    heal.plan = std::move(plan);
    heal.planned = true;
    heal.reason.clear();
    co_return true;
}

} // namespace pgmend::net
