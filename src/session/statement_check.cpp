#include "pgmend/session/statement_check.hpp"

#include "pgmend/session/pipelined_rows.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::session {
namespace {

using opinion = healing::opinion;

/// A client with more named statements than this loses the comfort for the others: in a transaction block no savepoint goes
/// ahead of them.
constexpr std::size_t most_prepared = 4096;

constexpr std::size_t most_remarks = 100;

/// More texts than these are asked about once more.
constexpr std::size_t most_locked = 64;

/// Where premises do not hold so often although PostgreSQL refuses the original, something here is not understood.
constexpr unsigned most_broken_premises = 3;

/// Schemas come and go: what is on a session's path may differ with each version.
bool path_has_changed(healing::session_view const& view, catalog::touched const& by) {
    auto names = view.search_path;
    std::sort(names.begin(), names.end());
    return by.any_of(names);
}

/// Outside of a transaction block.
bool fails_first(opinion const& it) { return it.kind == opinion::kind_type::heal && it.text->plan.fails_first; }

} // namespace

bool statement_check::active(bool in_transaction) {
    judge_->refresh();
    if (edited_ > 0) return true;
    auto const& settings = judge_->settings();
    if (!judge_->schema() || settings.healing_mode == healing::mode::off) return false;
    if (judge_->has_tripwire() || view_) return true;
    return in_transaction && settings.guard == healing::transaction_guard::savepoint;
}

void statement_check::set_parameters(std::string const& client_encoding, bool standard_conforming_strings,
                                     std::string const& application_name) {
    if (client_encoding != client_encoding_ || standard_conforming_strings != standard_conforming_strings_) {
        client_encoding_ = client_encoding;
        standard_conforming_strings_ = standard_conforming_strings;
        if (view_) {
            view_->client_encoding = client_encoding_;
            view_->standard_conforming_strings = standard_conforming_strings_;
        }
        number_ = 0;
    }
    if (application_name != application_name_) {
        application_name_ = application_name;
        number_ = 0;
    }
}

/// Under the view that the server has told, or else the usual one.
healing::session_view const* statement_check::best_view() const { return view_ ? &*view_ : judge_->usual_view(who_.user); }

std::uint32_t statement_check::view_number() {
    if (view_ && judge_->schema() && view_generation_ != judge_->schema()->generation()) {
        if (path_has_changed(*view_, judge_->schema()->touched_since(view_generation_))) view_.reset();
        else view_generation_ = judge_->schema()->generation();
        number_ = 0;
    }
    if (number_ != 0 && numbered_at_ == judge_->stamp()) return number_;
    auto const* const best = best_view();
    if (best == nullptr) return 0;
    auto view = *best;
    view.client_encoding = client_encoding_;
    view.standard_conforming_strings = standard_conforming_strings_;
    number_ = judge_->number_of(view, circumstances());
    numbered_at_ = judge_->stamp();
    return number_;
}

void statement_check::note_effects(healing::cached_text const& text) {
    if (text.begins_transaction) begun_ = true;
    if (text.ends_transaction) begun_ = false;
    if (text.controls_transaction || text.ends_transaction) locked_.clear(); // ROLLBACK TO gives locks back, too
    if (!text.changes_session) return;
    view_.reset();
    number_ = 0;
    premise_there_ = false; // DISCARD ALL
    locked_.clear();
    unsettled_ = true;
}

void statement_check::passed_unseen() {
    view_.reset();
    number_ = 0;
    premise_there_ = false;
    locked_.clear();
    unsettled_ = true;
    begun_ = false;
}

void statement_check::request_begins() {
    if (!begun_) locked_.clear();
}

void statement_check::settled(char transaction_status) {
    begun_ = false;
    if (transaction_status != 'T') locked_.clear();
    if (!unsettled_) return;
    view_.reset(); // what was found since may be undone by now
    number_ = 0;
    if (transaction_status == 'I') unsettled_ = false;
}

namespace {

/// What was prepared is a statement of its version of the schema, and says nothing of one that was prepared at another, whatever their texts.
std::uint64_t prepared_at(std::uint64_t masked, std::uint64_t generation) {
    if (masked == 0) return 0;
    auto const mixed = (masked ^ (generation + 1)) * 0x9e3779b97f4a7c15U;
    return mixed ^ (mixed >> 32U);
}

} // namespace

void statement_check::remember(base::byte_view statement, healing::cached_text& text, std::shared_ptr<answer_note const> note,
                               std::span<catalog::oid const> types) {
    std::string name{statement};
    auto const found = prepared_.find(name);
    if (found == prepared_.end() && prepared_.size() >= most_prepared) return;
    if (found != prepared_.end() && found->second.first) --edited_;
    prepared made;
    made.masked = text.guardable ? prepared_at(judge_->masked(text), judge_->schema() ? judge_->schema()->generation() : 0) : 0;
    made.changes_session = text.changes_session;
    made.controls_transaction = text.controls_transaction;
    made.begins_transaction = text.begins_transaction;
    if (text.begins_transaction && begins_block(text.text)) made.begins = text.text;
    made.ends_transaction = text.ends_transaction;
    made.guardable = text.guardable;
    made.splits = splits(text);
    if (note && note->healed) note_edited(made, std::move(note), types);
    else if (note && !note->refusal) made.note = std::move(note);
    prepared_.insert_or_assign(std::move(name), std::move(made));
}

void statement_check::note_edited(prepared& it, std::shared_ptr<answer_note const> note, std::span<catalog::oid const> types) {
    if (!it.first) {
        it.first = note->healed;
        it.types.assign(types.begin(), types.end());
        ++edited_;
    }
    it.note = std::move(note);
    it.judged_at = judge_->stamp();
    it.ended = false;
    it.masked = prepared_at(it.masked, judge_->schema() ? judge_->schema()->generation() : 0);
}

void statement_check::healed_after_failure(std::string_view statement, std::vector<catalog::oid> const& types,
                                           std::shared_ptr<healing::healed_text const> healed, healing::session_view const& view,
                                           bool shape_only) {
    learn(view);
    std::string name{statement};
    if (prepared_.size() >= most_prepared && !prepared_.contains(name)) return;
    auto const [found, fresh] = prepared_.try_emplace(std::move(name));
    auto& it = found->second;
    if (fresh) it.controls_transaction = it.ends_transaction = true; // nothing else is known of it
    auto note = std::make_shared<answer_note>();
    note->healed = std::move(healed);
    it.shape_only = shape_only;
    note_edited(it, std::move(note), types);
}

/// What has to be prepared before the statement is bound: nothing where all is as it was. A heal is taken back that may not be used any
/// more, or that is none any more because the original fits again. Whether the edited text still fits PostgreSQL itself says.
std::shared_ptr<prepare_again const> statement_check::judge_again(prepared& it) {
    bool const was_ended = it.ended;
    if (it.judged_at != judge_->stamp()) {
        auto const& patterns = it.note->healed->plan.patterns;
        bool const suspended = std::any_of(patterns.begin(), patterns.end(), [&](auto const& p) { return judge_->book().suspended(who_.database, p); });
        if (suspended || judge_->settings().healing_mode != healing::mode::heal) {
            it.ended = true;
            it.judged_at = judge_->stamp();
        } else if (auto const view = view_ && judge_->schema() ? view_number() : 0; view_ && view != 0) { // another session's view could end a good heal
            auto& text = judge_->text(it.first->original);
            auto const* known = judge_->known(text, view, it.types);
            if (known == nullptr) known = &judge_->judge(text, view, it.types, circumstances());
            bool const fits = known->kind == opinion::kind_type::fits || known->kind == opinion::kind_type::silent;
            if (known->kind == opinion::kind_type::refused || (fits && !it.shape_only)) it.ended = true;
            else if (known->kind == opinion::kind_type::heal && known->text->plan.sql == it.note->healed->plan.sql) it.ended = false;
            it.judged_at = judge_->stamp();
        }
    }
    if (it.ended) return std::make_shared<prepare_again const>(prepare_again{it.first->original, it.types});
    if (!was_ended) return nullptr;
    auto const& plan = it.note->healed->plan;
    return std::make_shared<prepare_again const>(prepare_again{plan.sql, plan.parameter_types ? *plan.parameter_types : it.types});
}

bool statement_check::splits(healing::cached_text& text) {
    if (!text.guardable) return false;
    auto const& table = judge_->batch_of(text);
    return !table.empty() && judge_->rules().splits(table, circumstances());
}

bool statement_check::splits(std::string_view statement) const {
    auto const found = prepared_.find(std::string{statement});
    return found != prepared_.end() && found->second.splits;
}

/// Between the driver's questions and now a name may have got another meaning.
void statement_check::goes_on(advice& given, base::byte_view sql, bool query) {
    if (given.what != advice::kind_type::edit || !given.note->healed || !can_ask_of_premise(*given.note->healed)) return;
    if (!query || sql::plain_statement(sql) != sql::statement_kind::empty) given.premise = ask_of_premise();
}

/// Not where a value may be a label that was renamed: what is left out is not looked at.
bool statement_check::waits_for_long_text(base::byte_view beginning, bool enough) {
    bool const heals = judge_->settings().healing_mode == healing::mode::heal && judge_->has_tripwire() && !judge_->has_old_labels();
    return heals && (!enough || (judge_->trips(beginning) && judge_->batch_of(beginning).empty()));
}

void statement_check::lengthened(base::byte_view statement, std::shared_ptr<answer_note const> note) {
    auto const found = prepared_.find(std::string{statement});
    if (found == prepared_.end() || !found->second.first) return;
    found->second.first = note->healed;
    found->second.note = std::move(note);
}

advice statement_check::look_at_beginning(base::byte_view sql, base::byte_view const* statement, bool in_transaction) {
    auto given = preflight::look_at_beginning(sql, statement, in_transaction);
    if (auto const found = statement != nullptr ? prepared_.find(std::string{*statement}) : prepared_.end(); found != prepared_.end()) { // nothing is known of it any more
        if (found->second.first) --edited_;
        prepared_.erase(found);
    }
    auto const table = judge_->batch_of(sql);
    if (table.empty() || judge_->settings().healing_mode != healing::mode::heal || !judge_->rules().splits(table, circumstances())) return given;
    given.splits = true;
    given.guard = in_transaction && judge_->settings().guard == healing::transaction_guard::savepoint;
    given.ends_transaction = false; // not ahead of it
    if (statement == nullptr) return given; // other statements may stand behind it
    given.controls_transaction = false;
    std::string name{*statement};
    if (prepared_.size() >= most_prepared && !prepared_.contains(name)) return given;
    auto& made = prepared_[std::move(name)];
    made.splits = made.guardable = true;
    return given;
}

/// In a transaction block, by savepoints.
bool statement_check::guards() const {
    return judge_->settings().guard == healing::transaction_guard::savepoint && judge_->settings().healing_mode == healing::mode::heal;
}

bool statement_check::has_old_labels() const { return judge_->has_old_labels(); }

bool statement_check::may_have_old_label(base::byte_view bind) const {
    auto const view = wire::read_bind(bind);
    return view && std::any_of(view->values.begin(), view->values.end(), [this](auto const& it) { return it && judge_->may_have_old_label(*it); });
}

advice statement_check::base_advice(healing::cached_text& text, bool in_transaction) {
    advice given;
    given.controls_transaction = text.controls_transaction;
    given.ends_transaction = text.ends_transaction;
    given.splits = splits(text);
    given.guardable = in_transaction && text.guardable && guards();
    if (given.guardable) {
        auto const token = judge_->masked(text);
        if (given.splits) {
            given.guard = true; // its values may fail, each time anew
        } else if (!judge_->has_worked(token)) {
            given.guard = true;
            given.token = token;
        }
    }
    return given;
}

bool statement_check::can_ask_of_premise(healing::healed_text const& text) const {
    return premises_broken_ < most_broken_premises && !begun_ && !text.plan.premise.empty();
}

/// And whether nothing else has to be asked.
bool statement_check::may_ask_of_premise(healing::healed_text const& text) const {
    return can_ask_of_premise(text) && text.plan.premise_suffices && !text.refused_originals.empty();
}

advice statement_check::look(base::byte_view sql, base::byte_view const* statement, std::span<std::uint32_t const> types,
                             bool in_transaction, company around) {
    auto const hash = healing::rewrite_cache::text_hash(sql);
    auto* const known_text = judge_->known_text(sql, hash);
    if (known_text == nullptr && statement == nullptr && !in_transaction && judge_->is_of_no_interest(sql, hash)) return {};
    auto& text = known_text != nullptr ? *known_text : judge_->text(sql, hash);
    auto given = base_advice(text, in_transaction);
    if (around == company::undecided && statement != nullptr && !in_transaction) {
        given.what = advice::kind_type::ask;
        note_question(statement, types, in_transaction);
        return given;
    }
    if (judge_->settings().healing_mode != healing::mode::off && judge_->has_tripwire() && judge_->trips(text)) {
        std::vector<catalog::oid> const declared(types.begin(), types.end());
        auto const view = view_number();
        auto* const it = view == 0 ? nullptr : judge_->known(text, view, declared);
        bool const waits = it != nullptr && fails_first(*it) && !in_transaction;
        bool const used = it != nullptr && it->kind == opinion::kind_type::heal && judge_->settings().healing_mode == healing::mode::heal && !waits;
        bool const settled = it != nullptr && (!used || (it->verified && view_ && !judge_->views_do_not_last()));
        bool const fresh = settled && (!used || is_fresh(*it));
        // A Query that is more than rows could not be sent as extended messages.
        bool const of_rows = settled && (statement != nullptr || sql::plain_statement(sql) != sql::statement_kind::empty);
        bool const asks = of_rows && !fresh && around == company::alone && !in_transaction && it->confirmed != base::time_point{} && may_ask_of_premise(*it->text);
        if (asks) {
            given.premise = ask_of_premise();
            it->confirmed = clock_();
        }
        if (waits) {
            given.what = advice::kind_type::pass;
        } else if (fresh || asks) {
            auto const more = advice_of(text, *it);
            given.what = more.what;
            given.note = more.note;
        } else {
            given.what = advice::kind_type::ask;
            note_question(statement, types, in_transaction);
            return given;
        }
    }
    note_effects(text);
    if (statement != nullptr) remember(*statement, text, given.note, types);
    return given;
}

void statement_check::note_question(base::byte_view const* statement, std::span<catalog::oid const> types, bool in_transaction) {
    asked_parse_ = statement != nullptr;
    asked_statement_ = statement != nullptr ? std::string{*statement} : std::string{};
    asked_types_.assign(types.begin(), types.end());
    asked_in_transaction_ = in_transaction;
}

/// Neither what names mean behind it changes, nor does a transaction begin or end there.
bool statement_check::leaves_session(message_ahead const& it) {
    if (!it.parse) {
        auto const found = prepared_.find(std::string{it.statement});
        return found != prepared_.end() && !found->second.begins_transaction && !found->second.controls_transaction && !found->second.ends_transaction && !found->second.changes_session;
    }
    auto const& text = judge_->text(it.sql);
    return !text.begins_transaction && !text.controls_transaction && !text.ends_transaction && !text.changes_session;
}

preflight::coming statement_check::look_ahead(message_ahead const& first, std::span<message_ahead const> later) {
    coming out;
    if (judge_->settings().healing_mode != healing::mode::heal || begun_ || !leaves_session(first)) return out;
    auto const add = [&](std::shared_ptr<healing::healed_text const> const& text) {
        if (std::find(out.premises.begin(), out.premises.end(), text) == out.premises.end()) out.premises.push_back(text);
    };
    for (auto const& message : later) {
        if (!message.parse) {
            auto const found = prepared_.find(std::string{message.statement});
            if (found != prepared_.end() && is_to_be_confirmed(found->second)) add(found->second.note->healed);
            continue;
        }
        auto& text = judge_->text(message.sql);
        if (!judge_->trips(text)) continue;
        auto const view = view_number();
        auto* const it = view == 0 ? nullptr : judge_->known(text, view, message.types);
        if (it != nullptr && (it->kind != opinion::kind_type::heal || fails_first(*it))) continue;
        bool const locked = it != nullptr && std::find(locked_.begin(), locked_.end(), it->text) != locked_.end();
        bool const known = it != nullptr && it->verified && view_ && !judge_->views_do_not_last();
        if (!known || (!is_fresh(*it) && (it->confirmed == base::time_point{} || !may_ask_of_premise(*it->text)))) return {.asks = true, .premises = {}};
        if (locked ? can_ask_of_premise(*it->text) : !is_fresh(*it)) add(it->text);
    }
    for (auto const& text : out.premises) {
        bool const there = std::find(locked_.begin(), locked_.end(), text) != locked_.end();
        if (!there && locked_.size() < most_locked) locked_.push_back(text); // as good as asked about where it comes
    }
    return out;
}

/// Bound inside a transaction block after the schema has changed, it wants a savepoint ahead of it.
void statement_check::prepared_unseen(base::byte_view sql, base::byte_view statement) {
    if (judge_->settings().healing_mode == healing::mode::heal) remember(statement, judge_->text(sql), nullptr, {});
}

/// One that was sent edited may still be there, and its answers have to be known for edited ones.
void statement_check::closed(base::byte_view statement) {
    if (auto const found = prepared_.find(std::string{statement}); found != prepared_.end() && !found->second.note) prepared_.erase(found);
}

base::byte_view statement_check::begins(base::byte_view statement) const {
    auto const found = prepared_.find(std::string{statement});
    return found != prepared_.end() ? base::byte_view{found->second.begins} : base::byte_view{};
}

/// One that was sent edited: whether its premise is to be asked about with its next Bind.
bool statement_check::is_to_be_confirmed(prepared const& it) const {
    if (!it.first || it.ended || it.shape_only || !may_ask_of_premise(*it.note->healed)) return false;
    return it.note->healed->plan.writes() || clock_() - it.confirmed >= judge_->settings().recheck;
}

advice statement_check::look_at_bind(base::byte_view statement, bool in_transaction, company around) {
    advice given;
    auto const found = prepared_.find(std::string{statement});
    if (found == prepared_.end() || found->second.controls_transaction) locked_.clear();
    if (found == prepared_.end()) {
        given.controls_transaction = given.ends_transaction = true;
        return given;
    }
    auto& it = found->second;
    if (it.begins_transaction) begun_ = true; // pgjdbc prepares its BEGIN, too
    if (it.ends_transaction) begun_ = false;
    given.controls_transaction = it.controls_transaction;
    given.ends_transaction = it.ends_transaction;
    given.splits = it.splits;
    if (it.first) given.prepare = judge_again(it);
    if (!it.ended) given.note = it.note;
    if (around == company::alone && !in_transaction && is_to_be_confirmed(it)) {
        given.premise = ask_of_premise();
        it.confirmed = clock_();
    }
    if (it.changes_session) passed_unseen();
    given.guardable = in_transaction && it.guardable && guards();
    if (given.guardable && (it.splits || !judge_->has_worked(it.masked))) {
        given.guard = true;
        given.token = it.splits ? 0 : it.masked;
    }
    return given;
}

/// What a sure opinion means for the text.
advice statement_check::advice_of(healing::cached_text& text, opinion& it) {
    advice given;
    auto const& settings = judge_->settings();
    auto const remark_once = [&](remark::kind_type kind, bool blocked) {
        if (std::exchange(it.told, true) && !blocked) return;
        if (remarks_.size() < most_remarks) remarks_.push_back({kind, text.text, it.text, it.drift, it.reason, blocked});
    };
    switch (it.kind) {
    case opinion::kind_type::fits: break;
    case opinion::kind_type::refused: {
        if (!it.reason || it.reason->kind == healing::refusal_kind::not_drift) break;
        if (!it.reason->proposals.empty()) remark_once(remark::kind_type::proposed, false);
        auto note = std::make_shared<answer_note>();
        note->refusal = it.reason;
        note->refused_sql = text.text;
        given.note = std::move(note);
        break;
    }
    case opinion::kind_type::silent: {
        bool const block = it.drift->writes && settings.silent == healing::silent_answer::block_writes &&
                           settings.healing_mode == healing::mode::heal;
        remark_once(remark::kind_type::drifted, block);
        if (!block) break;
        auto note = std::make_shared<answer_note>();
        note->error = wire::error_response(
            wire::severity::error, wire::sqlstate::feature_not_supported, "pgmend blocked this statement: its names mean something else now",
            it.drift->pattern, "A rule can say what is meant; healing.silent: report lets such statements pass.");
        given.what = advice::kind_type::block;
        given.note = std::move(note);
        break;
    }
    case opinion::kind_type::heal:
        if (settings.healing_mode == healing::mode::observe) {
            remark_once(remark::kind_type::observed, false);
            break;
        }
        if (!it.note) {
            auto note = std::make_shared<answer_note>();
            note->healed = it.text;
            if (settings.notice) note->notice = wire::notice_response(fmt::format("pgmend healed this statement: {}", it.text->plan.pattern));
            it.note = std::move(note);
        }
        given.what = advice::kind_type::edit;
        given.note = std::static_pointer_cast<answer_note const>(it.note);
        if (locked_.size() < most_locked) locked_.push_back(it.text);
        break;
    }
    return given;
}

/// The answer to what was asked about.
advice statement_check::settle(healing::cached_text& text, advice more) {
    auto given = base_advice(text, asked_in_transaction_);
    given.what = more.what;
    given.note = std::move(more.note);
    note_effects(text);
    if (asked_parse_) remember(asked_statement_, text, given.note, asked_types_);
    return given;
}

advice statement_check::pass(base::byte_view sql) { return settle(judge_->text(sql), {}); }

/// What pgmend knows of the schema may be older than a moment; names that are used again must not be missed.
bool statement_check::is_fresh(opinion const& it) const {
    if (it.text->refused_originals.empty() || std::find(locked_.begin(), locked_.end(), it.text) != locked_.end()) return true;
    return it.confirmed != base::time_point{} && !it.text->plan.writes() && clock_() - it.confirmed < judge_->settings().recheck;
}

statement_check::need statement_check::consider(base::byte_view sql, std::vector<catalog::oid> const& types, bool confirmed) {
    judge_->refresh();
    auto& text = judge_->text(sql);
    if (!judge_->schema() || !judge_->trips(text)) return {.given = settle(text, {}), .verify = nullptr, .confirm = nullptr};
    asked_number_ = view_number();
    asked_at_ = judge_->stamp();
    // Nothing is known of such sessions: what most of them have. The probe tells whether this one has it, too.
    bool const guessed = asked_number_ == 0;
    if (guessed) asked_number_ = judge_->number_of({{"pg_catalog", who_.user, "public"}, {}, client_encoding_, standard_conforming_strings_, who_.user}, circumstances());
    auto* it = judge_->known(text, asked_number_, types);
    if (it == nullptr) it = &judge_->judge(text, asked_number_, types, circumstances());
    if (fails_first(*it) && !asked_in_transaction_) return {.given = settle(text, {}), .verify = nullptr, .confirm = nullptr};
    if (it->kind != opinion::kind_type::heal || judge_->settings().healing_mode != healing::mode::heal) {
        if (guessed) return {.given = {}, .probe = true, .verify = nullptr, .confirm = nullptr};
        return {.given = settle(text, advice_of(text, *it)), .verify = nullptr, .confirm = nullptr};
    }
    bool const fresh = confirmed || is_fresh(*it);
    if (view_ && it->verified && fresh) {
        auto given = settle(text, advice_of(text, *it));
        if (judge_->views_do_not_last()) {
            view_.reset();
            number_ = 0;
        }
        return {.given = std::move(given), .verify = nullptr, .confirm = nullptr};
    }
    return {.given = {}, .probe = !view_, .verify = it->verified ? nullptr : it->text, .confirm = fresh ? nullptr : it->text};
}

std::optional<statement_check::need> statement_check::consider_ahead(base::byte_view sql, std::vector<catalog::oid> const& types, bool confirmed) {
    judge_->refresh();
    auto& text = judge_->text(sql);
    bool const heals = judge_->schema() && judge_->settings().healing_mode == healing::mode::heal && judge_->trips(text);
    if (!heals || judge_->views_do_not_last()) return std::nullopt;
    if (!view_) return need{.given = {}, .probe = true, .verify = nullptr, .confirm = nullptr};
    asked_number_ = view_number();
    asked_at_ = judge_->stamp();
    auto* it = judge_->known(text, asked_number_, types);
    if (it == nullptr) it = &judge_->judge(text, asked_number_, types, circumstances());
    if (it->kind != opinion::kind_type::heal || fails_first(*it)) return std::nullopt;
    bool const fresh = confirmed || is_fresh(*it);
    if (!it->verified || !fresh) return need{.given = {}, .verify = it->verified ? nullptr : it->text, .confirm = fresh ? nullptr : it->text};
    if (locked_.size() < most_locked) locked_.push_back(it->text); // as good as asked about where it comes
    return std::nullopt;
}

void statement_check::learn(healing::session_view view) {
    judge_->note_usual_view(who_.user, view);
    view_ = std::move(view);
    view_generation_ = judge_->schema() ? judge_->schema()->generation() : 0;
    number_ = 0;
}

healing::session_view const* statement_check::known_view(catalog::history const& schema) const {
    if (!knows_view() || path_has_changed(*view_, schema.touched_since(view_generation_))) return nullptr;
    return &*view_;
}

/// The heal that was asked about. Where the probe has found another view than was gone by, the answers say nothing: they are asked for again.
opinion* statement_check::asked_about(base::byte_view sql, std::vector<catalog::oid> const& types) {
    if (view_number() != asked_number_ || asked_at_ != judge_->stamp()) return nullptr;
    auto* const it = judge_->known(judge_->text(sql), asked_number_, types);
    return it != nullptr && it->kind == opinion::kind_type::heal ? it : nullptr;
}

void statement_check::confirmed(base::byte_view sql, std::vector<catalog::oid> const& types, base::byte_view sqlstate) {
    auto* const it = asked_about(sql, types);
    if (it == nullptr) return;
    it->confirmed = clock_();
    if (sqlstate.empty() || it->text->sqlstate == sqlstate) return;
    auto text = std::make_shared<healing::healed_text>(*it->text);
    text->sqlstate = sqlstate;
    it->text = std::move(text);
    it->note.reset(); // it has the text, too
}

void statement_check::verified(base::byte_view sql, std::vector<catalog::oid> const& types, std::optional<std::string> refused) {
    auto* const it = asked_about(sql, types);
    if (it == nullptr) return;
    if (!refused) {
        it->verified = true;
        return;
    }
    it->kind = opinion::kind_type::refused;
    it->reason = std::make_shared<healing::refusal const>(healing::refusal{std::move(*refused), healing::refusal_kind::unproven, {}});
}

void statement_check::premise_broken(base::byte_view sqlstate, std::span<base::byte_view const> request) {
    if (sqlstate == wire::sqlstate::unknown_statement) premise_there_ = false; // DEALLOCATE ALL
    else ++premises_broken_;
    auto const view = view_number();
    auto const forget = [&](base::byte_view sql, std::vector<catalog::oid> const& types) {
        auto* const text = view != 0 ? judge_->known_text(sql, healing::rewrite_cache::text_hash(sql)) : nullptr;
        if (text == nullptr) return;
        if (auto* const it = judge_->known(*text, view, types)) it->confirmed = {};
    };
    for (auto const frame : request) {
        wire::cursor in{wire::body_of(frame)};
        switch (frame.front()) {
        case 'Q': forget(in.text(), {}); break;
        case 'P': {
            auto const parse = wire::read_parse(wire::body_of(frame));
            if (!parse) break;
            forget(parse->sql, parse->parameter_types);
            auto const found = prepared_.find(std::string{parse->statement});
            if (found == prepared_.end() || !found->second.first) break;
            found->second.first.reset();
            found->second.note.reset();
            --edited_;
            break;
        }
        case 'B':
            (void)in.text();
            if (auto const found = prepared_.find(std::string{in.text()}); found != prepared_.end()) found->second.confirmed = {};
            break;
        default: break;
        }
    }
}

std::optional<statement_check::sent_edited> statement_check::edited(base::byte_view statement) const {
    auto const found = prepared_.find(std::string{statement});
    if (found == prepared_.end() || !found->second.first || found->second.ended) return std::nullopt;
    return sent_edited{found->second.note->healed, found->second.types};
}

std::shared_ptr<prepare_again const> statement_check::end_heal(base::byte_view statement) {
    auto const found = prepared_.find(std::string{statement});
    if (found == prepared_.end() || !found->second.first || found->second.ended) return nullptr;
    auto& it = found->second;
    it.ended = true;
    it.judged_at = judge_->stamp();
    return std::make_shared<prepare_again const>(prepare_again{it.first->original, it.types});
}

} // namespace pgmend::session
