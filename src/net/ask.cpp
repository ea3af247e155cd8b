// Before a statement is sent: what names mean in this session, and whether PostgreSQL accepts the heal.
#include "net/client_session.hpp"

#include "net/statement_report.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/session/inquiry_machine.hpp"
#include "pgmend/wire/client_messages.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>

namespace pgmend::net {
namespace {

using base::log_level;

/// A plan that becomes outdated while it is looked at is made again, so often.
constexpr int most_inquiries = 4;

/// For errors that could not be held a session asks for no more readings of the catalog than one in this time.
constexpr std::chrono::seconds least_between_looks{1};

/// A request of more texts waits no longer than for these.
constexpr int most_asked_ahead = 64;

/// Told of where its failure cannot be held either.
std::shared_ptr<session::answer_note const> could_not_be_asked(base::byte_view sql) {
    auto note = std::make_shared<session::answer_note>();
    auto const* const why = "it came in the middle of a request, where nothing can be asked about it ahead of time, and that request cannot be sent again: the client has had answers to it, or it is too long";
    note->refusal = std::make_shared<healing::refusal const>(healing::refusal{why, healing::refusal_kind::unproven, {}});
    note->refused_sql = sql;
    return note;
}

} // namespace

/// The client's direction stops here, with the text at the front of client_carry_. As soon as the server has answered what
/// is on its way, the server's direction asks.
///
/// Where something of the same request is under way ahead of it, and no transaction block holds that open, nothing can be asked: a Sync would commit what that has
/// done. Nor may its answers be called for, since a request of which the client has had a part is not sent again. So the text goes as it is; what PostgreSQL
/// refuses is healed then, with all of its request.
void client_session::begin_asking() {
    if (relay_.open() && !relay_.quiet() && relay_.transaction_status() != 'T' && !check_->begun()) {
        auto given = check_->pass(relay_.asked().sql);
        if (!given.note) given.note = could_not_be_asked(relay_.asked().sql);
        relay_.answer(std::move(given));
        boost::asio::co_spawn(home_.get_executor(), relay_client_slowly(shared_from_this(), {}, std::exchange(client_carry_, {})), boost::asio::detached);
        return;
    }
    asking_ = true;
    boost::asio::co_spawn(home_.get_executor(), wake_server(shared_from_this()), boost::asio::detached);
}

awaitable<> client_session::wake_server(std::shared_ptr<client_session> self) {
    auto& s = *self;
    if (s.relay_.open() && !s.relay_.quiet()) { // its answers wait for a Flush or a Sync
        static constexpr char flush[] = {'H', 0, 0, 0, 4};
        bool const sent = co_await s.server_.write_all({flush, sizeof flush});
        if (!sent) co_return;
    }
    if (s.server_.is_open()) s.server_.wake();
}

awaitable<> client_session::ask_and_go_on(std::shared_ptr<client_session> self) {
    auto& s = *self;
    auto const began = std::chrono::steady_clock::now();
    session::advice given;
    if (!s.relay_.passes_over()) given = co_await s.ask(); // a message ahead of it has failed meanwhile: a Sync of pgmend's would end what the client's has to end
    s.asked_for_ += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    if (!s.server_.is_open() || !s.client_.is_open()) {
        co_await finish(self);
        co_return;
    }
    if (s.check_->has_remarks()) s.log_remarks();
    s.relay_.answer(std::move(given));
    s.asking_ = false;
    auto left = std::exchange(s.client_carry_, {});
    auto go_on = relay_client_slowly(self, {}, std::move(left));
    boost::asio::co_spawn(s.home_.get_executor(), std::move(go_on), boost::asio::detached);
    relay_server(std::move(self));
}

awaitable<session::advice> client_session::ask() {
    auto& check = *check_;
    auto const& asked = relay_.asked();
    check.set_parameters(relay_.client_encoding(), relay_.standard_conforming_strings(), relay_.application_name());
    bool confirmed = false;
    for (int tries = 0; tries < most_inquiries; ++tries) {
        auto need = check.consider(asked.sql, asked.parameter_types, confirmed);
        if (need.given) {
            if (asked.parse) co_await ask_ahead();
            co_return std::move(*need.given);
        }
        // A Sync would commit what the open request has done so far.
        if (relay_.open() && relay_.has_effects() && relay_.transaction_status() != 'T' && !check.begun()) break;
        bool const answered = co_await inquire(need, asked.sql, asked.parameter_types, asked.types_to_ask_with);
        if (!answered) break;
        confirmed = confirmed || need.confirm;
    }
    co_return check.pass(asked.sql);
}

/// False: nothing was found out.
awaitable<bool> client_session::inquire(session::statement_check::need const& need, base::byte_view sql, std::vector<std::uint32_t> const& types,
                                        std::vector<std::uint32_t> const& types_to_ask_with) {
    auto& check = *check_;
    healing::session_view known;
    known.client_encoding = relay_.client_encoding();
    known.standard_conforming_strings = relay_.standard_conforming_strings();
    bool const in_transaction = relay_.transaction_status() == 'T' || check.begun();
    session::inquiry_machine inquiry{std::move(known), {need.probe, need.verify, need.confirm, true}, in_transaction, types_to_ask_with};
    auto listen = [&inquiry](base::byte_view frame, std::string& to_client) {
        return inquiry.on_server(frame, to_client) == session::inquiry_machine::step::answered;
    };
    bool const answered = co_await exchange(inquiry.begin(), listen);
    if (!answered) co_return false;
    if (!inquiry.still_refused()) { // a name has just been given to something else
        home_.shared().schemas->hint_changed(identity_.database);
        co_return false;
    }
    if (auto view = inquiry.view()) check.learn(std::move(*view));
    else if (need.probe) co_return false;
    if (need.confirm) check.confirmed(sql, types, inquiry.sqlstate());
    if (need.verify) check.verified(sql, types, inquiry.refused());
    co_return true;
}

/// The statements that the client has sent behind this one, in the same request: once this one is on its way nothing can be asked about them any more (a batch of
/// pgjdbc's: each text is a Parse of its own, and one Sync ends them all). The text asked about is at the front of client_carry_.
awaitable<> client_session::ask_ahead() {
    if (relay_.open() || relay_.transaction_status() != 'I' || check_->begun()) co_return;
    int left = most_asked_ahead;
    bool first = true;
    for (std::size_t at = 0; left > 0 && client_carry_.size() - at >= wire::header_bytes;) {
        auto const header = wire::read_header(base::byte_view{client_carry_}.substr(at));
        if (!header.length_is_valid() || header.total_bytes() > client_carry_.size() - at || header.type == 'S' || header.type == 'Q') break;
        auto const body = wire::body_of(base::byte_view{client_carry_}.substr(at), header);
        at += header.total_bytes();
        if (header.type != 'P' || std::exchange(first, false)) continue;
        auto const view = wire::read_parse(body); // what is received meanwhile may move it
        if (!view || view->sql.size() > session::relay_machine::most_waited_for_bytes) break;
        bool const found = co_await find_out(std::string{view->sql}, view->parameter_types, left);
        if (!found) co_return;
    }
}

/// What is still to be found out of a text that comes later in a request. False: that could not be.
awaitable<bool> client_session::find_out(std::string sql, std::vector<std::uint32_t> types, int& questions_left) {
    bool confirmed = false;
    for (int tries = 0; tries < most_inquiries && questions_left > 0; ++tries) {
        auto const need = check_->consider_ahead(sql, types, confirmed);
        if (!need) break;
        --questions_left;
        bool const answered = co_await inquire(*need, sql, types, types);
        if (!answered || !server_.is_open()) co_return false;
        confirmed = confirmed || need->confirm;
    }
    co_return true;
}

/// A request that failed is about to be sent again, with its text healed: so are those that come behind that one, as they could not be healed any more once the client has had
/// answers. Not where one of them may change what names mean.
awaitable<> client_session::heal_later_texts(healing_under_way& heal) {
    auto& check = *check_;
    auto& machine = heal.machine;
    if (relay_.transaction_status() != 'I' || heal.request.opened || heal.request.guarded || check.begun() || !machine.block().empty()) co_return;
    auto const texts = machine.later_texts();
    if (texts.empty()) co_return;
    auto const leaves_names = [&check](base::byte_view sql) {
        auto const& text = check.judge().text(sql);
        return !text.changes_session && !text.controls_transaction && !text.begins_transaction;
    };
    if (!leaves_names(machine.sql()) || !std::all_of(texts.begin(), texts.end(), [&](auto const& it) { return leaves_names(it.sql); })) co_return;
    check.set_parameters(relay_.client_encoding(), relay_.standard_conforming_strings(), relay_.application_name());
    check.learn(machine.view());
    int left = most_asked_ahead;
    for (auto const& it : texts) {
        if (it.sql.size() > session::relay_machine::most_waited_for_bytes) continue;
        bool const found = co_await find_out(std::string{it.sql}, it.types, left);
        if (!found) co_return;
        auto const given = check.look(it.sql, &it.statement, it.types, false, session::company::unknown);
        if (given.what == session::advice::kind_type::edit && given.note && given.note->healed) machine.edit_also(it.message, given.note);
    }
}

/// What the relay has seen in the server's answers.
void client_session::note_news() {
    if (!check_) return;
    if (retried_) note_retry();
    if (relay_.take_premise_answered() && client_at_gate_) // what was received may still be under way to the client
        boost::asio::post(home_.get_executor(), [self = shared_from_this()] { self->let_client_go_on(); });
    check_->set_parameters(relay_.client_encoding(), relay_.standard_conforming_strings(), relay_.application_name());
    if (relay_.take_schema_changed()) home_.shared().schemas->hint_changed(identity_.database);
    if (relay_.take_drift_passed()) look_after_failure();
    for (auto const& note : relay_.take_answered()) log_healed(*note);
    if (auto const trouble = relay_.take_trouble()) note_trouble(*trouble);
    for (auto const& it : relay_.take_executed()) note_executed(*it.text, it.after_failure ? 2 : 1);
    for (auto const& it : relay_.take_refused()) note_without_heal(*it.note, it.sqlstate);
}

/// An error that the client had to get: what comes next may be healed ahead. An application may fail all the time for a reason of its own.
void client_session::look_after_failure() {
    auto const now = base::steady::now();
    if (looked_at_ && now - *looked_at_ < least_between_looks) return;
    looked_at_ = now;
    home_.shared().schemas->hint_changed(identity_.database);
}

/// Who sent a statement, and which. Views: of this session, and of the fingerprint.
std::vector<base::log_field> client_session::log_fields(std::string_view fingerprint) const {
    return {{"database", identity_.database}, {"user", identity_.user}, {"application_name", relay_.application_name()}, {"client", peer_}, {"fingerprint", fingerprint}};
}

/// One execution of a healed statement counts once, however it was sent.
void client_session::note_executed(healing::healed_text const& text, unsigned tier) {
    auto const took = std::exchange(healed_in_, {});
    report(text.plan, true);
    note_heal(text, true, text.sqlstate, took, static_cast<int>(tier));
    remember({.outcome = "healed", .tier = tier, .plan = &text.plan, .text = &text, .sqlstate = text.sqlstate, .duration = took});
}

/// It was sent as it is, since there is no heal, and the client has its error, which could not be held.
void client_session::note_without_heal(session::answer_note const& note, std::string_view sqlstate) const {
    auto const& why = *note.refusal;
    count_refusal(why.kind);
    auto const fingerprint = healing::fingerprint(note.refused_sql);
    auto const before = healing::normalized(note.refused_sql);
    state::drift_row row;
    row.fingerprint = fingerprint;
    row.before = before;
    row.reason = why.reason;
    auto fields = log_fields(fingerprint);
    fields.emplace_back("sqlstate", sqlstate);
    healing::plan const* proposed = nullptr;
    if (!why.proposals.empty()) {
        proposed = &why.proposals.front().what;
        row.pattern = proposed->pattern;
        row.evidence = learning::name_of(proposed->evidence);
        row.after = healing::normalized(proposed->sql);
        fields.emplace_back("pattern", proposed->pattern);
    }
    remember({.outcome = "refused", .tier = 1, .plan = proposed, .sql = note.refused_sql, .reason = why.reason, .sqlstate = sqlstate});
    note_drift(state::drift_outcome::refused, std::move(row));
    auto const shown_before = shown(note.refused_sql);
    fields.emplace_back("before", shown_before);
    fields.emplace_back("reason", why.reason);
    auto const tags = tags_of(note.refused_sql);
    add_tags(fields, tags);
    fields.emplace_back("tier", 1);
    base::log(log_level::info, "statement.refused", fields);
}

void client_session::log_healed(session::answer_note const& note) {
    auto const took = std::exchange(asked_for_, std::chrono::microseconds{0});
    healed_in_ += took;
    if (!base::log_enabled(log_level::info)) return;
    auto const& text = *note.healed;
    auto const [before, after] = shown(text);
    auto fields = log_fields(text.fingerprint);
    if (!text.sqlstate.empty()) fields.emplace_back("sqlstate", text.sqlstate);
    fields.emplace_back("pattern", text.plan.pattern);
    fields.emplace_back("evidence", learning::name_of(text.plan.evidence));
    fields.emplace_back("before", before);
    fields.emplace_back("after", after);
    auto const tags = tags_of(text.original);
    add_tags(fields, tags);
    fields.emplace_back("tier", 1);
    fields.emplace_back("duration_us", took.count());
    base::log(log_level::info, "statement.healed", fields);
}

void client_session::log_remarks() {
    using kind = session::statement_check::remark::kind_type;
    for (auto const& it : check_->take_remarks()) {
        if (it.kind == kind::proposed) { // it is sent as it is, and told of when it has failed
            report(*it.refusal);
            continue;
        }
        remember_remark(it);
        auto const before = healing::normalized(it.sql);
        auto const fingerprint = healing::fingerprint(it.sql);
        auto fields = log_fields(fingerprint);
        if (it.text) {
            fields.emplace_back("pattern", it.text->plan.pattern);
            fields.emplace_back("evidence", learning::name_of(it.text->plan.evidence));
        } else if (it.drift) {
            fields.emplace_back("pattern", it.drift->pattern);
        }
        state::drift_row row;
        row.fingerprint = fingerprint;
        row.before = before;
        if (it.text) {
            row.pattern = it.text->plan.pattern;
            row.evidence = learning::name_of(it.text->plan.evidence);
            row.after = it.text->after;
        } else if (it.drift) {
            row.pattern = it.drift->pattern;
        }
        note_drift(it.kind == kind::drifted ? state::drift_outcome::silent : state::drift_outcome::observed, std::move(row));
        auto const shown_before = shown(it.sql);
        auto const shown_after = it.text ? shown(it.text->plan.sql) : std::string{};
        fields.emplace_back("before", shown_before);
        if (it.text) fields.emplace_back("after", shown_after);
        if (it.drift) fields.emplace_back("blocked", it.blocked);
        auto const tags = tags_of(it.sql);
        add_tags(fields, tags);
        fields.emplace_back("tier", 1);
        if (it.kind == kind::observed) base::log(log_level::info, "statement.observed", fields);
        else base::log(log_level::warning, "statement.drifted", fields);
    }
}

} // namespace pgmend::net
