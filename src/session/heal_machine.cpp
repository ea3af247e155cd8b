#include "pgmend/session/heal_machine.hpp"

#include "pgmend/healing/undone.hpp"
#include "pgmend/session/fallback.hpp"
#include "pgmend/session/pipelined_rows.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"
#include "session/own_messages.hpp"
#include "session/request_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace pgmend::session {
namespace {

std::optional<std::uint32_t> number(base::byte_view text) {
    std::uint32_t value{};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

request_kind kind_of(char type) {
    switch (type) {
    case 'Q': return request_kind::query;
    case 'F': return request_kind::function_call;
    case 'P': return request_kind::parse;
    case 'B': return request_kind::bind;
    case 'D': return request_kind::describe;
    case 'E': return request_kind::execute;
    case 'C': return request_kind::close;
    default: return request_kind::sync;
    }
}

/// Whether this text, of which an error tells that a name is unknown, has failed ahead of doing anything: it looks its names up when it is executed, and at first.
/// Not what runs queries or functions, nor what event triggers run at.
bool did_nothing(base::byte_view sql) {
    auto const facts = sql::classify(sql);
    if (facts.statements.size() != 1 || !facts.statements.front().functions.empty()) return false;
    using kind = sql::statement_kind;
    return facts.kind() == kind::copy || facts.kind() == kind::lock || sql::is_word(sql, sql::scan(sql).tokens.front(), "truncate");
}

/// Likewise, of what event triggers run at.
bool did_nothing_itself(base::byte_view sql, base::byte_view routine) {
    auto const facts = sql::classify(sql);
    auto const tokens = sql::scan(sql).tokens;
    if (facts.statements.size() != 1 || tokens.size() < 3) return false;
    auto const is = [&](std::size_t i, std::string_view word) { return sql::is_word(sql, tokens[i], word); };
    if (is(0, "refresh")) return routine == "RangeVarGetRelidExtended";
    // A constant expression of an index may be computed ahead of a look at its next column.
    return is(0, "create") && (is(1, "index") || (is(1, "unique") && is(2, "index"))) &&
           (routine == "RangeVarGetRelidExtended" || routine == "errorMissingColumn" || (routine == "ComputeIndexAttrs" && facts.statements.front().functions.empty()));
}

/// A Bind's body again, with NULL for these parameters.
std::optional<std::string> with_nulls(base::byte_view bind, std::vector<std::uint32_t> const& nulled) {
    std::vector<wire::other_value> others;
    for (auto const it : nulled) others.push_back({it, std::nullopt});
    return wire::bind_with(bind, others);
}

} // namespace

heal_machine::heal_machine(failed_request const& request, healing::session_view view)
    : request_{request}, messages_{messages_of(request.request)}, probe_{std::move(view)}, ready_pending_{request.open ? 2u : 1u} {
    if (auto const fields = wire::read_error(wire::body_of(request.error))) error_ = *fields;
    read_request();
    possible_ = !refused_ && !repeats_earlier_ && request.whole && request.passed_on == 0;
    if (refused_ || possible_) return;
    reason_ = repeats_earlier_ ? "a statement of an earlier request would have to run again"
        : !request.whole       ? "the request is too long to be sent again"
                               : "the client has had some of the answers already";
}

void heal_machine::refuse(std::string reason) {
    if (!refused_) reason_ = std::move(reason);
    refused_ = true;
}

// ------------------------------------------------------------------------------------ which text is it?

void heal_machine::read_parse(std::uint32_t index) {
    auto const view = wire::read_parse(wire::body_of(message(index)));
    if (!view) return refuse("the Parse message is not well-formed");
    parse_ = index;
    statement_name_ = view->statement;
    sql_ = view->sql;
    parameter_types_ = view->parameter_types;
}

/// The newest Parse of that name ahead of the failed message, or else an earlier request.
void heal_machine::find_statement(base::byte_view name) {
    if (auto const parse = newest(messages_, request_.failed, 'P', name)) return read_parse(*parse);
    statement_name_ = name;
    if (request_.anew) {
        sql_ = request_.anew->sql;
        parameter_types_ = request_.anew->types;
    }
    if (!name.empty()) return;
    if (is_of_parameter() && !request_.unnamed.empty()) sql_ = request_.unnamed; // it stays what it is, and only its values change
    else refuse("the unnamed statement was prepared by an earlier request");
}

void heal_machine::find_portal(base::byte_view name) {
    auto const bind = newest(messages_, request_.failed, 'B', name);
    if (!bind) return refuse("a portal of an earlier request");
    bind_ = *bind;
    wire::cursor in{wire::body_of(message(*bind))};
    (void)in.text();
    find_statement(in.text());
}

void heal_machine::read_request() {
    auto const frame = message(request_.failed);
    if (frame.empty()) return refuse("the request is not whole");
    wire::cursor in{wire::body_of(frame)};
    switch (frame[0]) {
    case 'Q':
        parse_ = request_.failed;
        sql_ = in.text();
        break;
    case 'P': read_parse(request_.failed); break;
    case 'B': {
        (void)in.text();
        auto const name = in.text();
        if (in.ok()) find_statement(name);
        break;
    }
    case 'D': {
        bool const statement = in.byte() == 'S';
        auto const name = in.text();
        if (in.ok()) statement ? find_statement(name) : find_portal(name);
        break;
    }
    case 'E': {
        auto const name = in.text();
        if (in.ok()) find_portal(name);
        break;
    }
    default: return refuse("the error did not come from Query, Parse, Bind, Describe or Execute");
    }
    if (!in.ok()) return refuse("the request is not well-formed");
    find_repeated();
}

std::optional<base::byte_view> heal_machine::statement() const {
    if (auto const frame = message(parse_); !frame.empty() && frame[0] == 'Q') return std::nullopt;
    return statement_name_;
}

healed_text const* heal_machine::edited_text() const {
    auto const found = std::find_if(request_.edits.begin(), request_.edits.end(), [&](auto const& it) { return it.message == parse_; });
    return found != request_.edits.end() ? found->text.get() : nullptr;
}

/// What the server was sent in the place of the client's text.
base::byte_view heal_machine::sent_text() const {
    auto const* const edited = edited_text();
    return edited != nullptr ? base::byte_view{edited->plan.sql} : sql_;
}

std::vector<std::uint32_t> const& heal_machine::sent_types() const {
    auto const* const edited = edited_text();
    return edited != nullptr && edited->plan.parameter_types ? *edited->plan.parameter_types : parameter_types_;
}

void heal_machine::find_repeated() {
    bool const described = request_.text_begun && is_denial(error_) && sql::classify(sql_).statements.size() == 1; // and no more than that
    if (request_.text_begun && !described) repeated_.push_back(sql_);
    for (auto i = request_.first; i < request_.failed; ++i) {
        auto const frame = message(i);
        if (frame.empty() || (frame[0] != 'E' && frame[0] != 'B')) continue;
        if (frame[0] == 'E') continue; // of a portal that was bound in this request, or of one that the rollback has closed
        if (i == bind_) { // what failed when it was executed
            if (parse_ == earlier) repeats_itself_ = true; // the probe tells its text
            else if (!did_nothing(sql_) && !is_denial(error_)) repeated_.push_back(sql_); // rights are checked ahead of its first row
            continue;
        }
        wire::cursor in{wire::body_of(frame)};
        (void)in.text();
        auto const name = in.text();
        auto const parse = newest(messages_, i, 'P', name);
        // That it has begun a block the server has said, too.
        if (!parse && request_.opened && !name.empty() && name == request_.begins.statement) {
            repeated_.push_back(request_.begins.sql);
            continue;
        }
        bool const itself = !parse && parse_ == earlier && name == statement_name_ && !name.empty(); // executemany() of what was prepared before: the probe tells its text
        repeats_itself_ = repeats_itself_ || itself;
        did_something_ = did_something_ || itself;
        repeats_earlier_ = repeats_earlier_ || (!parse && !itself);
        if (!parse) continue;
        wire::cursor text{wire::body_of(message(*parse))};
        (void)text.text();
        repeated_.push_back(text.text());
    }
}

bool heal_machine::ran_triggers_only(base::byte_view text) const {
    bool const itself = parse_ == earlier ? repeats_itself_ && !did_something_ : bind_ != earlier;
    auto const times = std::count_if(repeated_.begin(), repeated_.end(), [&](base::byte_view it) { return it.data() == sql_.data(); });
    return itself && text.data() == sql_.data() && times == 1 && did_nothing_itself(text, error_.routine);
}

// ------------------------------------------------------------------------------------ the conversation

/// Out of the aborted state: what the request did is undone, what the transaction did before it stays.
void heal_machine::begin_transaction_again(std::string& out, std::vector<expected_answer>& answers) {
    if (!request_.guarded || !aborted_) return;
    append_statement(out, roll_back_to_savepoint);
    for (auto const kind : statement_answers) answers.push_back({kind, true, {}});
    aborted_ = false;
}

/// What began the block that the request has opened, and that is aborted now.
std::optional<base::byte_view> heal_machine::begun_block() const {
    if (!request_.opened) return std::nullopt;
    auto const found = std::find_if(repeated_.begin(), repeated_.end(), [](base::byte_view it) { return begins_block(it); });
    return found != repeated_.end() ? std::optional{*found} : std::nullopt;
}

std::string heal_machine::begin(bool for_rows) {
    std::string out;
    std::vector<expected_answer> answers;
    if (request_.open) wire::append_sync(out); // ends the server's error state
    aborted_ = request_.guarded;
    begin_transaction_again(out, answers);
    if (auto const begins = begun_block(); begins && (for_rows || possible_)) {
        append_statement(out, "ROLLBACK");
        left_block_ = true;
        block_ = *begins;
    }
    session_probe::append(out, parse_ == earlier ? base::byte_view{statement_name_} : base::byte_view{});
    wire::append_sync(out);
    begun_ = true;
    return out;
}

heal_machine::step heal_machine::on_server(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    switch (header.type) {
    case 'A':
    case 'S': to_client.append(frame); break;
    case 'E': {
        if (phase_ == phase::aborting) break;
        auto const fields = wire::read_error(body);
        outdated_ = phase_ == phase::verifying && fields &&
                    (fields->code == wire::sqlstate::undefined_column || fields->code == wire::sqlstate::undefined_table || verification_->complete());
        if (phase_ == phase::probing && request_.opened && !left_block_) refuse("its text has begun a transaction block, which is aborted now");
        refuse(fmt::format("PostgreSQL refused the {} with SQLSTATE {}",
                           phase_ == phase::probing ? "look at the session" : phase_ == phase::describing ? "statement" : "edited statement",
                           fields ? fields->code : base::byte_view{"?"}));
        aborted_ = !left_block_;
        if (!ahead_ || phase_ != phase::verifying) break;
        passed_over_ = true;
        return end_of_phase();
    }
    case '3':
        if (ahead_ && phase_ == phase::verifying && --closes_pending_ == 0) return end_of_phase(); // what follows answers the retry
        break;
    case 't': {
        if (phase_ != phase::describing) break;
        wire::cursor in{body};
        described_types_.resize(static_cast<std::uint16_t>(in.i16()));
        for (auto& it : described_types_) it = static_cast<std::uint32_t>(in.i32());
        if (!in.ok()) refuse("the description of the parameters is not well-formed");
        break;
    }
    case 'D':
        if (phase_ != phase::probing) break;
        if (auto problem = probe_.on_row(body)) refuse(std::move(*problem));
        break;
    case 'T':
    case 'n':
        if (phase_ != phase::verifying) break;
        if (auto problem = verification_->on_description(header.type, body)) refuse(std::move(*problem));
        break;
    case 'Z':
        if (--ready_pending_ == 0) return end_of_phase();
        break;
    default: break;
    }
    return step::need_more;
}

heal_machine::step heal_machine::end_of_phase() {
    switch (phase_) {
    case phase::aborting: return step::aborted;
    case phase::ending: return step::refused;
    case phase::describing: return refused_ ? step::refused : step::probed;
    case phase::probing:
        if (refused_) return step::refused;
        probe_.finish();
        if (parse_ != earlier || request_.anew || statement_name_.empty()) return step::probed;
        if (!probe_.prepared()) {
            refuse("the server does not know the prepared statement's text");
            return step::refused;
        }
        sql_ = probe_.prepared()->sql;
        parameter_types_ = probe_.prepared()->parameter_types;
        if (repeats_itself_ && (did_something_ || !did_nothing(sql_))) repeated_.push_back(sql_);
        return step::probed;
    case phase::verifying: break;
    }
    if (!refused_ && !verification_->complete()) refuse("the edited statement was not described");
    return refused_ ? step::refused : step::verified;
}

healing::question heal_machine::question() const {
    healing::question question{sql_, probe_.view(), parameter_types_, {}, {}, {}, {}, {}};
    question.prepared = parse_ == earlier;
    auto& error = question.error.emplace();
    error.sqlstate = error_.code;
    error.routine = error_.routine;
    error.position = number(error_.position);
    if (auto const* const sent = edited_text(); sent != nullptr && error.position) error.position = healing::original_position(sent->plan, sql_, *error.position);
    error.column = error_.column;
    error.table = error_.table;
    error.schema = error_.schema;
    error.hint = error_.hint;
    question.shape_only = error_.code == wire::sqlstate::feature_not_supported;
    return question;
}

std::string heal_machine::verify(healing::plan plan) {
    plan_ = std::move(plan);
    verification_.emplace(*plan_, parameter_types_);
    phase_ = phase::verifying;
    refused_ = outdated_ = passed_over_ = ahead_ = false;
    ready_pending_ = 1;
    closes_pending_ = verification_->closes();
    std::string out;
    std::vector<expected_answer> answers;
    begin_transaction_again(out, answers);
    verification_->append(out);
    wire::append_sync(out);
    return out;
}

bool heal_machine::may_retry_at_once(healing::plan const& plan, catalog::snapshot const& now) const {
    if (!possible_ || request_.guarded || edited() || !repeated_.empty() || plan.statements != 1 || plan.for_once()) return false;
    bool const rows = std::any_of(plan.healed.begin(), plan.healed.end(), [](auto const& it) { return it.columns.has_value(); });
    // Whether it answers with rows, of these the text tells for certain.
    using kind = sql::statement_kind;
    auto const what = sql::plain_statement(plan.sql);
    if (!rows && what != kind::insert && what != kind::update && what != kind::remove && what != kind::merge) return false;
    if (rows && (parse_ == earlier || !only_reads(plan.sql) || !healing::undone_by_rollback(plan.sql, now))) return false;
    auto const count = [&](base::byte_view types) {
        return std::count_if(messages_.begin(), messages_.end(), [&](auto frame) { return types.find(frame[0]) != base::byte_view::npos; });
    };
    return count("QP") == (parse_ == earlier ? 0 : 1) && count("B") <= 1 && count("E") <= 1 && count("S") <= 1 && count("FC") == 0;
}

std::string heal_machine::verify_and_retry(healing::plan plan, retry_request& again) {
    auto out = verify(std::move(plan));
    out.resize(out.size() - wire::header_bytes); // without its Sync: what is refused takes the retry with it
    if (request_.open) wire::append_frame(out, 'H', {}); // the client's Sync may be waiting for the outcome
    ahead_ = true;
    again = retry();
    return out + again.bytes;
}

std::string heal_machine::end_of_retry(retry_request const& again) {
    phase_ = phase::ending;
    ready_pending_ = 1;
    for (auto const& it : again.answers)
        if (it.kind == request_kind::sync || (it.kind == request_kind::query && !passed_over_)) ++ready_pending_;
    std::string out;
    if (!statement_name_.empty() && parse_ != earlier) wire::append_close_statement(out, statement_name_); // the client does not know that it is there
    wire::append_sync(out);
    return out;
}

bool heal_machine::is_of_parameter() const { return session::is_of_parameter(error_); }

std::string heal_machine::describe() {
    phase_ = phase::describing;
    refused_ = false;
    ready_pending_ = 1;
    described_types_.clear();
    std::string out;
    std::vector<expected_answer> answers;
    begin_transaction_again(out, answers);
    if (parse_ == earlier && statement_name_.empty()) { // the text that is there may be an edited one
        wire::append_describe_statement(out, {});
    } else {
        append_own_parse(out, sent_text(), sent_types());
        wire::append_describe_statement(out, own_name);
        wire::append_close_statement(out, own_name);
    }
    wire::append_sync(out);
    return out;
}

std::string heal_machine::abort_again() {
    phase_ = phase::aborting;
    ready_pending_ = 1;
    aborted_ = true;
    std::string out;
    if (left_block_) append_statement(out, block_);
    wire::append_parse(out, own_name, "?", {}); // no grammar takes it
    wire::append_sync(out);
    return out;
}

// ------------------------------------------------------------------------------------ the request again

retry_request heal_machine::retry() {
    auto const& types = plan_->parameter_types ? *plan_->parameter_types : parameter_types_;
    auto text = healing::make_healed_text(*plan_, sql_);
    text.sqlstate = error_.code;
    auto note = std::make_shared<answer_note>();
    note->healed = std::make_shared<healed_text const>(std::move(text));
    auto again = build(plan_->sql, types, true, note);
    again.text = note->healed;
    again.decisive = request_.failed;
    again.whole_text = plan_->statements > 1;
    if (statement() && parse_ != earlier) again.edited = parse_;
    for (auto const& [message, also] : also_) again.edited_also.push_back({message, also->healed});
    return again;
}

retry_request heal_machine::retry_without(healing::plan plan, std::vector<std::uint32_t> left_out, base::byte_view nothing) {
    for_rows_ = true;
    left_out_ = std::move(left_out);
    instead_ = nothing;
    auto again = build(sql_, parameter_types_, false);
    auto text = healing::make_healed_text(std::move(plan), sql_);
    text.sqlstate = error_.code;
    again.text = std::make_shared<healed_text const>(std::move(text));
    // None of it has succeeded before all of it has, as far as the answers can be kept back.
    again.decisive = static_cast<std::uint32_t>(messages_.size()) - 1;
    return again;
}

retry_request heal_machine::retry_in_place(std::uint32_t bind) {
    for_rows_ = with_parameters_ = true;
    left_out_ = {bind};
    instead_ = plan_->sql;
    instead_types_ = plan_->parameter_types ? *plan_->parameter_types : parameter_types_;
    auto again = build(sql_, parameter_types_, false);
    again.text = std::make_shared<healed_text const>(healing::make_healed_text(*plan_, sql_));
    again.decisive = static_cast<std::uint32_t>(messages_.size()) - 1;
    return again;
}

std::vector<healing::bound_value> heal_machine::bound_values() const {
    std::vector<healing::bound_value> out;
    for (std::uint32_t i = 0; i < messages_.size(); ++i) {
        if (messages_[i][0] != 'B' || !binds_the_text(i)) continue;
        auto const view = wire::read_bind(wire::body_of(messages_[i]));
        for (std::size_t n = 0; view && n < view->values.size() && n < described_types_.size(); ++n) {
            if (!view->values[n]) continue;
            healing::bound_value one{described_types_[n], std::string{*view->values[n]}, {}};
            if (std::find(out.begin(), out.end(), one) == out.end()) out.push_back(std::move(one));
        }
    }
    return out;
}

retry_request heal_machine::retry_with(healing::plan plan, std::vector<healing::bound_value> values) {
    plan_ = std::move(plan);
    other_values_ = std::move(values);
    auto again = build(sent_text(), sent_types(), false);
    again.text = std::make_shared<healed_text const>(healing::make_healed_text(*plan_, sql_));
    again.decisive = request_.failed;
    return again;
}

retry_request heal_machine::as_it_was(std::vector<prepared_anew> const& anew) {
    as_it_was_ = true;
    auto again = build(sql_, parameter_types_, edited() && parse_ != earlier);
    again.as_it_was = true;
    std::string ahead;
    std::vector<expected_answer> answers;
    for (auto const& it : anew) {
        (void)append_prepare_anew(ahead, it.statement, it.from->sql, it.from->types);
        auto note = std::make_shared<answer_note>();
        note->anew = it.from;
        auto own = prepare_anew_answers(std::move(note));
        answers.insert(answers.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
    }
    again.bytes.insert(0, ahead);
    again.answers.insert(again.answers.begin(), answers.begin(), answers.end());
    return again;
}

/// The Parse of the unnamed statement that a Bind among the messages to repeat may refer to: a later one has replaced it.
std::optional<std::uint32_t> heal_machine::unnamed_ahead() const {
    if (request_.first == request_.failed) return std::nullopt;
    return newest(messages_, request_.first, 'P', {});
}

void heal_machine::append_bind_instead(std::string& out, base::byte_view bind) const {
    auto const view = wire::read_bind(bind); // was read once before
    if (!with_parameters_ || !view) return wire::append_bind(out, wire::cursor{bind}.text(), own_rows, {});
    std::string body{view->portal};
    body.append(1, '\0').append(own_rows).append(1, '\0').append(view->parameters).append(view->results);
    if (auto without = with_nulls(body, plan_->nulled)) body = std::move(*without);
    wire::append_frame(out, 'B', body);
}

/// A Bind's body again, with what retry_with() was told to bind instead.
std::optional<std::string> heal_machine::with_other_values(base::byte_view bind) const {
    auto const view = wire::read_bind(bind);
    std::vector<wire::other_value> others;
    for (std::uint32_t i = 0; view && i < view->values.size() && i < described_types_.size(); ++i) {
        auto const is_it = [&](healing::bound_value const& it) { return it.type == described_types_[i] && it.was == *view->values[i]; };
        if (!view->values[i]) continue;
        if (auto const found = std::find_if(other_values_.begin(), other_values_.end(), is_it); found != other_values_.end()) others.push_back({i + 1, found->is});
    }
    return wire::bind_with(bind, others);
}

/// The failed text as it shall be now, others as they were sent.
void heal_machine::append_message(std::string& out, std::uint32_t index, base::byte_view sql, std::vector<std::uint32_t> const& types) const {
    auto const frame = message(index);
    auto const edited = std::find_if(request_.edits.begin(), request_.edits.end(), [&](auto const& it) { return it.message == index; });
    if (std::binary_search(left_out_.begin(), left_out_.end(), index)) {
        append_bind_instead(out, wire::body_of(frame));
    } else if (index == parse_) {
        if (frame[0] == 'Q') wire::append_query(out, sql);
        else wire::append_parse(out, statement_name_, sql, types);
    } else if (auto const also = edited_also(index); frame[0] == 'P' && !as_it_was_ && (also || edited != request_.edits.end())) {
        auto const view = wire::read_parse(wire::body_of(frame)); // was read once before
        auto const& plan = also ? also->healed->plan : edited->text->plan;
        wire::append_parse(out, view->statement, plan.sql, plan.parameter_types ? *plan.parameter_types : view->parameter_types);
    } else if (frame[0] == 'B' && !other_values_.empty() && binds_the_text(index)) {
        auto const body = with_other_values(wire::body_of(frame));
        if (!body) return out.append(frame), void();
        wire::append_frame(out, 'B', *body);
    } else if (frame[0] == 'B' && plan_ && !plan_->nulled.empty()) {
        auto const body = with_nulls(wire::body_of(frame), plan_->nulled);
        if (!body) return out.append(frame), void();
        wire::append_frame(out, 'B', *body);
    } else {
        out.append(frame);
    }
}

/// The message that has the text of the Bind with this number; `earlier` only where that is the failed text, else nothing.
std::optional<std::uint32_t> heal_machine::text_of_bind(std::uint32_t index) const {
    wire::cursor in{wire::body_of(message(index))};
    (void)in.text();
    auto const name = in.text();
    if (auto const found = newest(messages_, index, 'P', name)) return found;
    return name == statement_name_ ? std::optional{earlier} : std::nullopt;
}

std::vector<heal_machine::later_text> heal_machine::later_texts() const {
    std::vector<later_text> out;
    for (auto i = request_.failed + 1; i < messages_.size(); ++i) {
        if (messages_[i][0] != 'P') continue;
        auto view = wire::read_parse(wire::body_of(messages_[i]));
        if (view) out.push_back({i, view->statement, view->sql, std::move(view->parameter_types)});
    }
    return out;
}

std::shared_ptr<answer_note const> heal_machine::edited_also(std::uint32_t message) const {
    auto const found = std::find_if(also_.begin(), also_.end(), [&](auto const& it) { return it.first == message; });
    return found != also_.end() ? found->second : nullptr;
}

/// Behind a Bind: between the verification and the retry a name may have got another meaning. Then nothing of the retry is executed.
void heal_machine::ask_of_premises(retry_request& again, answer_note const& note) const {
    std::vector<std::shared_ptr<healed_text const>> texts{note.healed};
    for (auto const& [message, also] : also_) texts.push_back(also->healed);
    std::erase_if(texts, [](auto const& it) { return it->plan.premise.empty(); });
    if (texts.empty()) return;
    for (auto& it : append_premises(again.bytes, true, texts)) again.answers.push_back(std::move(it));
}

/// Everything from the first message on that a rollback has undone. `prepare_again`: the failed text was prepared ahead of
/// those, and has to be prepared anew under its name. `note`: of each Bind of it.
retry_request heal_machine::build(base::byte_view sql, std::vector<std::uint32_t> const& types, bool prepare_again,
                                  std::shared_ptr<answer_note const> const& note) {
    retry_request again;
    again.first = request_.first;
    auto const expect_own = [&](request_kind kind) { again.answers.push_back({kind, true, {}}); };
    auto const close = [&](base::byte_view name) {
        wire::append_close_statement(again.bytes, name);
        expect_own(request_kind::close);
    };
    begin_transaction_again(again.bytes, again.answers);
    bool const prepared_ahead = parse_ == earlier || parse_ < request_.first;
    if (prepare_again && prepared_ahead) { // a failed Parse may have taken the unnamed one away
        (void)append_prepare_anew(again.bytes, statement_name_, sql, types);
        for (auto& it : prepare_anew_answers()) again.answers.push_back(std::move(it));
    }
    if (auto const ahead = unnamed_ahead(); ahead && !(prepare_again && prepared_ahead && statement_name_.empty())) {
        append_message(again.bytes, *ahead, sql, types);
        expect_own(request_kind::parse);
    }
    bool const query = request_.request[0] == 'Q';
    if (query && !again.answers.empty()) { // a Query is no part of a request of extended messages
        wire::append_sync(again.bytes);
        expect_own(request_kind::sync);
    }
    if (!left_out_.empty()) {
        close(own_rows); // a retry that failed has left it
        wire::append_parse(again.bytes, own_rows, instead_, instead_types_);
        expect_own(request_kind::parse);
    }
    if (for_rows_) again.first = std::max(again.first, request_.passed_on);
    std::uint32_t index = 0;
    bool asked = false;
    base::byte_view rest = request_.request;
    while (rest.size() >= wire::header_bytes) {
        auto const header = wire::read_header(rest);
        auto const frame = rest.substr(0, header.total_bytes());
        rest.remove_prefix(std::min(header.total_bytes(), rest.size()));
        if (header.type == 'H') {
            if (index >= request_.first) again.bytes.append(frame);
            continue;
        }
        auto const at = index++;
        if (at < request_.first) continue;
        bool const answered = at < request_.failed || (at == 0 && !request_.premise_broken.empty());
        if (header.type == 'P' && answered) { // the name is taken
            wire::cursor in{wire::body_of(frame)};
            if (auto const name = in.text(); !name.empty()) close(name);
        }
        // What was edited for this execution must not be bound again by a later request.
        bool const ends = prepare_again && plan_ && plan_->for_once() && !query && header.type == 'S';
        if (ends) close(statement_name_);
        if (!left_out_.empty() && header.type == 'S') close(own_rows);
        append_message(again.bytes, at, sql, types);
        // What ran before the failure was counted then.
        auto const text = header.type == 'B' ? text_of_bind(at) : std::nullopt;
        bool const counts = note && text == parse_ && (at >= request_.failed || at == bind_);
        auto also = header.type == 'P' ? edited_also(at) : text && *text != earlier ? edited_also(*text) : nullptr;
        again.answers.push_back({kind_of(header.type), for_rows_ && at < request_.passed_on, counts ? note : std::move(also)});
        if (note && text == parse_ && !ahead_ && !std::exchange(asked, true)) ask_of_premises(again, *note); // not ahead of a BEGIN, which has to come first
    }
    return again;
}

} // namespace pgmend::session
