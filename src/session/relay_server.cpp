// From the server: which answers reach the client, and which error is held.
#include "pgmend/session/relay_machine.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/session/session_memory.hpp"
#include "pgmend/session/split_machine.hpp"
#include "pgmend/telemetry/counted_times.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include "session/request_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace pgmend::session {
namespace {

/// A frame of the server's of up to this size is forwarded whole or not at all.
constexpr std::size_t most_unstreamed_bytes = 8192;

/// An idle session does not keep a larger request buffer than this.
constexpr std::size_t most_idle_request_bytes = 1024;

/// A request that fails again and again, each time at another of its messages, is not healed for ever.
constexpr std::uint32_t most_holds = 8;

/// What the server sends at any time, about no message in particular.
bool is_asynchronous(char type) { return type == 'N' || type == 'A' || type == 'S'; }

/// A name that a function or a trigger of the database uses: the client's text is innocent of it.
bool is_inside_function(wire::error_view const& fields) {
    static constexpr std::string_view about_names[] = {wire::sqlstate::undefined_column, wire::sqlstate::undefined_table, wire::sqlstate::undefined_function,
                                                       wire::sqlstate::undefined_object, wire::sqlstate::ambiguous_column, wire::sqlstate::datatype_mismatch};
    return fields.severity == "ERROR" && (!fields.where.empty() || !fields.internal_query.empty()) &&
           std::find(std::begin(about_names), std::end(about_names), fields.code) != std::end(about_names);
}

/// The text that the message with this number is about; nothing: an earlier request has prepared it.
std::optional<std::string> text_at(base::byte_view request, std::uint32_t index) {
    auto const messages = messages_of(request);
    if (index >= messages.size()) return std::nullopt;
    auto const named = [](base::byte_view frame) { return wire::cursor{frame.substr(wire::header_bytes)}; };
    if (messages[index][0] == 'Q') return std::string{named(messages[index]).text()};
    std::optional<std::uint32_t> at{index};
    if (messages[index][0] == 'E') at = newest(messages, index, 'B', named(messages[index]).text());
    if (at && messages[*at][0] == 'B') {
        auto bind = named(messages[*at]);
        (void)bind.text();
        at = newest(messages, *at, 'P', bind.text());
    }
    if (!at || messages[*at][0] != 'P') return std::nullopt;
    auto parse = named(messages[*at]);
    (void)parse.text();
    return std::string{parse.text()};
}

/// What is told of it: somebody has to change the function. Null: its text is not in sight.
std::shared_ptr<answer_note const> innocent(base::byte_view request, std::uint32_t index) {
    auto text = text_at(request, index);
    if (!text) return nullptr;
    auto note = std::make_shared<answer_note>();
    note->refusal = std::make_shared<healing::refusal const>(healing::refusal{
        "the error comes from inside a function or a trigger, whose text is the database's: it has to be changed there", healing::refusal_kind::unproven, {}});
    note->refused_sql = std::move(*text);
    return note;
}

/// A command tag that tells of a changed schema.
bool is_schema_change(base::byte_view tag) { return tag.starts_with("ALTER ") || tag.starts_with("CREATE ") || tag.starts_with("DROP "); }

} // namespace

std::string too_long_warning(std::size_t most) {
    return wire::warning_response("pgmend did not split this batch: its request is too long",
                                  fmt::format("healing.max_batch_bytes is {}. Longer ones fail as a whole: send fewer rows at a time, or raise it.", most));
}

bool is_drift(wire::error_view const& fields) {
    // The value of a parameter, while it is bound: its number is all that the context tells in every language.
    auto const number = fields.where.find('$');
    bool const of_parameter = fields.code == wire::sqlstate::invalid_text_representation && (fields.routine == "enum_in" || fields.routine == "enum_recv") && fields.internal_query.empty() &&
                              fields.internal_position.empty() && number != base::byte_view::npos && number + 1 < fields.where.size() &&
                              fields.where[number + 1] >= '1' && fields.where[number + 1] <= '9' && fields.where.find('\n') == base::byte_view::npos;
    if (of_parameter && fields.severity == "ERROR") return true;
    if (fields.severity != "ERROR" || !fields.internal_query.empty() || !fields.internal_position.empty() || !fields.where.empty())
        return false;
    // Of some states only what one routine of the server's raises is about the schema.
    static constexpr std::pair<std::string_view, std::string_view> of_one_routine[] = {
        {wire::sqlstate::feature_not_supported, "RevalidateCachedQuery"},
        {wire::sqlstate::not_null_violation, "ExecConstraints"},
        {wire::sqlstate::invalid_text_representation, "enum_in"},
        {wire::sqlstate::syntax_error, "transformInsertRow"}};
    auto const& code = fields.code;
    for (auto const& [state, routine] : of_one_routine) {
        if (code == state) return fields.routine == routine;
    }
    static constexpr std::string_view codes[] = {
        wire::sqlstate::undefined_column, wire::sqlstate::undefined_table,    wire::sqlstate::ambiguous_column,
        wire::sqlstate::undefined_function, wire::sqlstate::datatype_mismatch, wire::sqlstate::indeterminate_datatype,
        wire::sqlstate::ambiguous_parameter, wire::sqlstate::ambiguous_function, wire::sqlstate::undefined_object,
        wire::sqlstate::invalid_schema_name, wire::sqlstate::invalid_column_reference, wire::sqlstate::generated_always};
    return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

bool is_denial(wire::error_view const& fields) {
    return fields.code == wire::sqlstate::insufficient_privilege && fields.routine.starts_with("aclcheck_error") && fields.severity == "ERROR" && fields.where.empty() &&
           fields.internal_query.empty();
}

bool is_of_parameter(wire::error_view const& fields) { return fields.code == wire::sqlstate::invalid_text_representation && !fields.where.empty(); }

bool is_of_the_values(wire::error_view const& fields) {
    return fields.code == wire::sqlstate::not_null_violation || fields.code == wire::sqlstate::invalid_text_representation;
}

bool relay_machine::may_hold(wire::error_view const& fields) const {
    if (!settings_.heals || never_hold_ || !request_kept_ || request_.empty() || client_remaining_ != 0) return false;
    if (!(status_ == 'I' || (status_ == 'T' && request_guarded_))) return false;
    if (queue_.closers() + (open_ ? 1u : 0u) != 1 || queue_.empty()) return false;
    bool const own = queue_.front().own;
    if (own && !(queue_.front().note && queue_.front().note->anew)) return false;
    if (part_passed_on_ || holds_ >= most_holds) return false;
    if (!fields.where.empty() && queue_.front().kind != request_kind::bind) return false;
    if (!own && may_be_of_a_batch(fields)) return true;
    // Of a text that was healed already, a value that does not fit is its own answer; a parameter's may be a label that was renamed all the same.
    if (request_.size() > settings_.most_request_bytes) return false; // kept to be split, and for nothing else
    if (!own && !effect_passed_on_ && is_denial(fields) && text_of_failed() != nullptr) return true; // what the client wrote has an error of its own
    return !effect_passed_on_ && is_drift(fields) && (text_of_failed() == nullptr || !is_of_the_values(fields) || is_of_parameter(fields));
}

bool relay_machine::may_be_of_a_batch(wire::error_view const& fields) const {
    // What has been answered of a text of several statements is not counted.
    bool const counted = queue_.front().kind != request_kind::query && queue_.front().kind != request_kind::function_call;
    return preflight_ != nullptr && is_of_the_data(fields.code) && preflight_->splits_batches() && text_of_failed() == nullptr && (counted || !effect_passed_on_);
}

/// It would have been split, were it shorter.
bool relay_machine::is_too_long_a_batch(wire::error_view const& fields) const {
    return request_splits_ && request_too_long_ && preflight_ != nullptr && is_of_the_data(fields.code) && preflight_->splits_batches() && fields.severity == "ERROR" && queue_.closers() + (open_ ? 1u : 0u) == 1;
}

/// One more frame of the answer to the oldest message. Answers true where it leaves behind what a rollback undoes: then the
/// request has to be sent again from there on.
bool relay_machine::advance(char type) {
    if (queue_.empty()) return false;
    auto const kind = queue_.front().kind;
    auto const done = [&](request_kind expected, bool effect) {
        if (kind != expected) return true; // not to be expected: nothing is known any more
        if (queue_.front().note) note_success();
        if (queue_.front().own) {
            // Nothing of it counts.
        } else if (kind == request_kind::parse || kind == request_kind::bind) {
            auto const& edited = queue_.front().note ? queue_.front().note->healed : nullptr;
            if (edited != answered_text_) bound_ = 0;
            answered_text_ = edited;
            if (kind == request_kind::bind) ++bound_;
        } else if (kind == request_kind::execute && answered_text_ && bound_ > 0) { // a portal that goes on is no other execution
            --bound_;
            note_executed(answered_text_);
        }
        if (!queue_.front().own) {
            if (effect && first_effect_ == nothing) first_effect_ = answered_;
            ++answered_;
            if (memory_ != nullptr && mode_ == mode::relaying && (kind == request_kind::parse || kind == request_kind::close)) memory_->prepared_or_closed();
        }
        queue_.pop();
        return effect;
    };
    switch (type) {
    case '1': return done(request_kind::parse, false);
    case '2': return done(request_kind::bind, true);
    case '3': return done(request_kind::close, false);
    case 't':
        if (kind == request_kind::describe) return false; // half of the answer
        break;
    case 'T':
    case 'n':
        if (kind == request_kind::describe) return done(request_kind::describe, false);
        break;
    case 'C':
    case 'I':
    case 's':
        if (kind == request_kind::execute) return done(request_kind::execute, true);
        break;
    default: break;
    }
    if (kind == request_kind::query && queue_.front().note) note_success();
    if (!queue_.front().own && first_effect_ == nothing) first_effect_ = answered_;
    return true;
}

/// The oldest message, which has a note, is answered and not by an error.
void relay_machine::note_success() {
    auto const& note = queue_.front().note;
    if (!note->healed || note == counted_) return;
    if (queue_.front().kind == request_kind::bind) return; // of a statement that was counted when it was prepared
    counted_ = note;
    news_ = true;
    answered_notes_.push_back(note);
    if (queue_.front().kind == request_kind::query) note_executed(note->healed);
}

void relay_machine::note_executed(std::shared_ptr<healed_text const> const& text) {
    executed_.push_back({text, retried_text_ == text});
    news_ = true;
}

/// A statement of the client's is complete. One that waited behind another, or in the same text, began when that one ended.
void relay_machine::note_finished(base::byte_view tag) {
    if (queue_.empty() || queue_.front().own) return;
    auto const& front = queue_.front();
    bool const edited = (front.note && front.note->healed) || (front.kind == request_kind::execute && answered_text_);
    auto const began = std::max(front.began_us, finished_us_);
    finished_us_ = meter_.now_us;
    for (int i = 0; i < telemetry::counted_times; ++i) meter_.finished(tag, retried_text_ ? 2 : edited ? 1 : 0, finished_us_ - began);
}

/// pgjdbc prepares its BEGIN, too, and binds it ahead of a block's first statement.
failed_request::earlier_begin relay_machine::find_begin() const {
    if (preflight_ == nullptr) return {};
    auto const messages = messages_of(request_);
    for (std::uint32_t i = 0; i < std::min<std::size_t>(answered_, messages.size()); ++i) {
        if (messages[i][0] != 'B') continue;
        wire::cursor in{messages[i].substr(wire::header_bytes)};
        (void)in.text();
        auto const statement = in.text();
        if (!in.ok() || statement.empty() || newest(messages, i, 'P', statement)) continue;
        if (auto const sql = preflight_->begins(statement); !sql.empty()) return {std::string{statement}, std::string{sql}};
    }
    return {};
}

void relay_machine::hold(base::byte_view frame, base::byte_view prefix, bool may_go_on, std::uint32_t passed_on) {
    held_.anew = queue_.front().own && queue_.front().note ? queue_.front().note->anew : nullptr;
    while (!queue_.empty() && queue_.front().own) queue_.pop();
    held_began_us_ = queue_.front().began_us;
    held_.error.assign(frame);
    held_shown_.assign(error_for_client(frame, frame.substr(wire::header_bytes)));
    held_.open = open_;
    held_.guarded = request_guarded_;
    held_.unnamed = unnamed_is_new_ ? std::string{} : unnamed_;
    held_.request = request_;
    held_.failed = answered_;
    held_.begins = find_begin();
    held_.first = std::min(first_effect_, answered_);
    held_.edits = request_edits_;
    held_.text_begun = queue_.front().kind == request_kind::query && first_effect_ != nothing;
    held_.opened = false;
    held_.whole = true;
    held_.too_long = false;
    held_.premise_broken.clear();
    held_.passed_on = effect_passed_on_ ? passed_on : 0;
    held_prefix_.assign(prefix);
    held_tail_.clear();
    held_complete_.clear();
    as_extended_ = false;
    tries_ = 0;
    ++holds_;
    if (memory_ != nullptr) memory_->held();
    fail_request();
    bool const goes_on = may_go_on && !flushed_ && !asking_; // then its end is waited for
    mode_ = open_ && !goes_on ? mode::holding : mode::absorbing;
}

/// After an error: the server discards extended messages up to the next Sync.
void relay_machine::fail_request() {
    failed_ = true;
    copy_in_ = false;
    if (queue_.empty()) return;
    auto const kind = queue_.front().kind;
    if (kind == request_kind::query || kind == request_kind::function_call || kind == request_kind::sync) return;
    if (!queue_.pop_to_sync()) discarding_ = open_ = true; // also where a Query stands behind it: the server passes over that, too
}

void relay_machine::note_trouble(wire::error_view const& fields) {
    auto const& code = fields.code;
    bool const may_be = fields.severity != "ERROR" || code.starts_with("53") || code.starts_with("57") || code.starts_with("58");
    if (!may_be) return;
    bool const nested = !fields.internal_query.empty() || !fields.where.empty();
    trouble_ = server_trouble{std::string{code}, std::string{fields.routine}, nested, queue_.empty() && !open_};
    news_ = true;
}

void relay_machine::on_ready(char status) {
    status_ = status;
    ++readies_;
    if (tally_ != nullptr) tally_->add_one();
    if (memory_ != nullptr && mode_ == mode::relaying) memory_->settled(status); // else release_error() tells, or the retry's answer
    while (!queue_.empty()) { // up to the message that this ends
        auto const kind = queue_.front().kind;
        queue_.pop();
        if (kind == request_kind::sync || kind == request_kind::query || kind == request_kind::function_call) break;
    }
    if (token_ != 0 && !failed_ && queue_.empty() && preflight_ != nullptr) preflight_->worked(std::exchange(token_, 0));
    if (status == 'I') {
        if (transaction_began_us_ != 0)
            for (int i = 0; i < telemetry::counted_times; ++i) meter_.transaction_ended(meter_.now_us - transaction_began_us_);
        transaction_began_us_ = queue_.empty() && !open_ ? 0 : meter_.now_us;
        savepoint_set_ = false;
        if (std::exchange(ddl_seen_, false)) schema_changed_ = news_ = true;
    }
    if (preflight_ != nullptr) preflight_->settled(status);
    answered_ = 0;
    first_effect_ = nothing;
    effect_passed_on_ = part_passed_on_ = failed_ = copy_in_ = false;
    retried_text_.reset();
    answered_text_.reset();
    bound_ = 0;
    counted_.reset();
    noticed_.reset();
    if (queue_.empty() && !open_) {
        unnamed_is_new_ = false;
        queue_.shrink();
        if (request_.capacity() > most_idle_request_bytes) {
            request_.clear();
            request_.shrink_to_fit();
        }
        if (mode_ == mode::relaying && held_.request.capacity() > most_idle_request_bytes) held_.request = {};
    }
}

/// The text that the message which failed was sent with, where that is not the client's own.
healed_text const* relay_machine::text_of_failed() const {
    if (!queue_.empty() && queue_.front().note && queue_.front().note->healed) return queue_.front().note->healed.get();
    if (!queue_.empty() && queue_.front().kind == request_kind::execute && answered_text_) return answered_text_.get();
    return retried_text_.get();
}

base::byte_view relay_machine::error_for_client(base::byte_view frame, base::byte_view body) {
    if (!queue_.empty() && queue_.front().note && !queue_.front().note->error.empty()) {
        out_ = queue_.front().note->error;
        return out_;
    }
    auto const* const text = text_of_failed();
    if (text == nullptr) return frame;
    auto const fields = wire::read_error(body);
    std::uint32_t position = 0;
    if (fields) {
        auto const [end, failed] =
            std::from_chars(fields->position.data(), fields->position.data() + fields->position.size(), position);
        if (failed != std::errc{}) position = 0;
    }
    if (position > 0) position = healing::original_position(text->plan, text->original, position);
    out_ = wire::error_with_position(body, position);
    return out_;
}

void relay_machine::note_parameter(base::byte_view body) {
    auto const parameter = wire::read_parameter_status(body);
    if (!parameter) return;
    set_parameter(parameter->name, parameter->value);
    if (memory_ != nullptr) memory_->reported(parameter->name, parameter->value);
}

bool relay_machine::notice_is_due(char type) const {
    if (queue_.empty() || !queue_.front().note || is_asynchronous(type) || type == 'E' || type == 'Z') return false;
    auto const& front = queue_.front();
    return !front.note->notice.empty() && front.note != noticed_ && front.kind != request_kind::bind;
}

/// Behind a held error nothing comes but asynchronous messages and ReadyForQuery.
relay_machine::outcome relay_machine::on_server_absorbing(base::byte_view frame, wire::frame_header const& header) {
    held_tail_.append(frame);
    if (header.type == 'S') note_parameter(wire::body_of(frame, header));
    if (header.type == 'Z' && header.body_bytes() > 0) {
        if (std::exchange(held_.open, false)) { // it went on
            held_.whole = request_kept_;
            held_.too_long = request_splits_ && request_too_long_;
            if (request_kept_) held_.request = request_;
        }
        on_ready(frame[wire::header_bytes]);
        held_.opened = status_ == 'E' && !held_.guarded;
        mode_ = mode::holding;
    }
    return {frame.size(), {}, true};
}

/// While the answer about a premise is awaited. Of the answers ahead of it the client sees nothing yet, so that the request can be sent again as it was; what is
/// about no message passes. Nothing: go on as usual.
std::optional<relay_machine::outcome> relay_machine::on_premise(base::byte_view bytes) {
    // Parse, Bind and Close have one frame each, Execute has a row and its end.
    std::size_t ahead = 0;
    while (ahead < queue_.size() && !queue_[ahead].premise) ++ahead;
    std::size_t of_premises = 0;
    for (std::size_t i = ahead; i < queue_.size() && queue_[i].premise; ++i) of_premises += queue_[i].kind == request_kind::execute ? 2 : 1;
    std::size_t at = 0;
    while (bytes.size() - at >= wire::header_bytes) {
        auto const header = wire::read_header(bytes.substr(at));
        if (!header.length_is_valid()) return std::nullopt; // on_server() says so
        bool const whole = header.total_bytes() <= bytes.size() - at;
        if (!whole && header.total_bytes() <= most_waited_for_bytes) break;
        auto const frame = bytes.substr(at, std::min(header.total_bytes(), bytes.size() - at));
        if (whole && is_asynchronous(header.type)) {
            if (at > 0) return outcome{at, {}, true};
            if (header.type == 'S') note_parameter(wire::body_of(frame, header));
            return outcome{frame.size(), frame, true};
        }
        if (!whole || header.type == 'E') {
            auto const fields = whole ? wire::read_error(wire::body_of(frame, header)) : std::nullopt;
            if (fields && fields->severity == "ERROR" && premise_seen_ >= ahead) return fail_premise(frame, at + frame.size());
            return outcome{at, end_of_premise(), true}; // an error of the client's own message, or too long for anything of pgmend's
        }
        at += frame.size();
        if (++premise_seen_ == ahead + of_premises) return outcome{at, end_of_premise(), at < bytes.size()};
    }
    return outcome{at, {}, false};
}

/// The answers that were kept back, as far as they have come. They are ParseComplete, BindComplete and CloseComplete: nothing but their types tells them apart.
base::byte_view relay_machine::end_of_premise() {
    std::string to_client;
    for (; premise_seen_ > 0 && !queue_.front().premise; --premise_seen_) {
        auto const kind = queue_.front().kind;
        char const type = kind == request_kind::parse ? '1' : kind == request_kind::bind ? '2' : '3';
        if (!queue_.front().own) {
            if (notice_is_due(type)) {
                noticed_ = queue_.front().note;
                to_client += noticed_->notice;
            }
            wire::append_frame(to_client, type, {});
            effect_passed_on_ = effect_passed_on_ || kind == request_kind::bind;
        }
        (void)advance(type);
    }
    // What is left of pgmend's own is answered too; ahead of a Query that fails there, none of it will be.
    while (!queue_.empty() && queue_.front().own && (queue_.front().premise || as_extended_)) queue_.pop();
    premise_pending_ = false;
    premise_seen_ = 0;
    premise_answered_ = news_ = true;
    out_ = std::move(to_client);
    return out_;
}

/// The request goes on from its beginning: the client has had no answer.
relay_machine::outcome relay_machine::fail_premise(base::byte_view error, std::size_t consumed) {
    premise_pending_ = false;
    premise_seen_ = 0;
    hold(error, {}, false, 0);
    auto const fields = wire::read_error(error.substr(wire::header_bytes));
    held_.premise_broken = fields ? fields->code : base::byte_view{"?"};
    return {consumed, {}, true};
}

relay_machine::outcome relay_machine::on_server(base::byte_view bytes) {
    if (mode_ == mode::retrying || mode_ == mode::retry_outdated || mode_ == mode::retry_failed)
        return on_server_retrying(bytes);
    if (premise_pending_) {
        if (auto done = on_premise(bytes)) return *done;
    }
    std::size_t at = 0;
    std::size_t effect_at = nowhere; // where answers begin that the client must not see if the request is sent again
    std::size_t part_at = nowhere;   // where an answer to Describe begins that has not ended
    std::uint32_t effect_message = 0; // to which message of the request the answer at effect_at is
    auto const passed_on = [&](std::size_t end, base::byte_view forward, bool again) -> outcome {
        if (effect_at < end) effect_passed_on_ = true;
        if (part_at < end) part_passed_on_ = true;
        return {end, forward, again};
    };
    while (at < bytes.size()) {
        if (server_remaining_ > 0) {
            auto const part = std::min<std::uint64_t>(server_remaining_, bytes.size() - at);
            server_remaining_ -= part;
            at += part;
            continue;
        }
        auto const available = bytes.size() - at;
        if (available < wire::header_bytes) break;
        auto const header = wire::read_header(bytes.substr(at));
        if (!header.length_is_valid()) {
            server_broken_ = true;
            break;
        }
        auto const total = header.total_bytes();
        if ((header.type == 'D' || header.type == 'd') && mode_ == mode::relaying && first_effect_ != nothing &&
            available >= total) [[likely]] {
            if (effect_at == nowhere) {
                effect_at = at;
                effect_message = answered_;
            }
            if (queue_.empty() || !queue_.front().own) {
                at += total;
                continue;
            }
        }
        if (available < total) {
            bool const looked_into = header.type == 'E' || header.type == 'Z' || header.type == 'S';
            if (total <= (looked_into ? most_waited_for_bytes : most_unstreamed_bytes)) break;
            // Too long to wait for, and so too long to be held: it is streamed.
            if (!is_asynchronous(header.type)) {
                (void)advance(header.type);
                effect_passed_on_ = true;
            }
            server_remaining_ = total - available;
            at = bytes.size();
            break;
        }
        auto const frame = bytes.substr(at, total);
        auto const body = wire::body_of(frame, header);
        auto const index = answered_;
        auto const note_effect = [&](bool is_one, std::uint32_t message) {
            if (!is_one || effect_at != nowhere) return;
            effect_at = at;
            effect_message = message;
        };
        if (mode_ == mode::absorbing) return on_server_absorbing(frame, header); // nothing is before it: hold() ended the range

        bool const own = !queue_.empty() && queue_.front().own && !is_asynchronous(header.type);
        if (own && header.type != 'E') {
            if (at > 0) return passed_on(at, bytes.substr(0, at), true);
            if (header.type == 'Z') {
                status_ = body.empty() ? status_ : body[0];
                queue_.pop();
            } else {
                (void)advance(header.type);
            }
            return {total, {}, true};
        }
        if (as_extended_ && !queue_.empty() && queue_.front().kind == request_kind::query) { // a Query has no such answers
            bool const is_end = header.type == 'C' || header.type == 'Z';
            if ((is_end || header.type == 'n' || header.type == '3') && at > 0) return passed_on(at, bytes.substr(0, at), true);
            if (header.type == 'n' || header.type == '3') return {total, {}, true};
        }
        if (notice_is_due(header.type)) { // ahead of the first frame of the answer
            if (at > 0) return passed_on(at, bytes.substr(0, at), true);
            noticed_ = queue_.front().note;
            out_ = noticed_->notice;
            return {0, out_, true};
        }
        switch (header.type) {
        case 'E': {
            if (unnamed_is_new_) unnamed_.clear(); // its Parse may have been passed over
            auto const fields = wire::read_error(body);
            if (fields && may_hold(*fields)) {
                auto const from = std::min(first_effect_ != nothing ? effect_at : part_at, at);
                // More of what it binds may still come (executemany()), to be seen as a whole.
                bool const may_go_on = may_be_of_a_batch(*fields) || (is_of_parameter(*fields) && preflight_ != nullptr && preflight_->has_old_labels());
                hold(frame, bytes.substr(from, at - from), may_go_on, effect_at == nowhere ? answered_ : effect_message);
                return {at + total, bytes.substr(0, from), true};
            }
            bool const too_long = fields && !own && is_too_long_a_batch(*fields);
            if (at > 0 && (own || too_long || text_of_failed() != nullptr || (!queue_.empty() && queue_.front().note)))
                return passed_on(at, bytes.substr(0, at), true);
            if (fields && fields->severity != "ERROR") server_fatal_ = true;
            if (fields) note_trouble(*fields);
            if (fields && !own) meter_.failed(fields->code);
            if (fields && !own && settings_.heals && is_drift(*fields)) drift_passed_ = news_ = true;
            if (fields && !queue_.empty() && queue_.front().note && queue_.front().note->refusal && is_drift(*fields)) {
                refused_.push_back({queue_.front().note, std::string{fields->code}});
                news_ = true;
            }
            bool const alone = queue_.closers() + (open_ ? 1u : 0u) == 1 && request_kept_ && !own;
            if (fields && alone && is_inside_function(*fields) && preflight_ != nullptr && preflight_->active(false)) { // something has drifted
                if (auto note = innocent(request_, answered_)) {
                    refused_.push_back({std::move(note), std::string{fields->code}});
                    news_ = true;
                }
            }
            auto shown = error_for_client(frame, body);
            if (too_long && shown.data() == frame.data()) {
                out_ = too_long_warning(settings_.most_batch_bytes).append(frame);
                shown = out_;
            }
            if (memory_ != nullptr) memory_->failed();
            held_complete_.clear();
            if (first_effect_ == nothing) first_effect_ = answered_;
            effect_passed_on_ = true;
            fail_request();
            // A savepoint that could not be released: the client's Query behind it gets an error of its own.
            if (own && !queue_.empty() && queue_.front().own) return {total, {}, true};
            if (shown.data() != frame.data()) return {total, shown, true};
            break;
        }
        case 'Z':
            if (!body.empty()) on_ready(body[0]);
            effect_at = nowhere;
            if (std::exchange(as_extended_, false)) {
                out_ = std::exchange(held_complete_, {}).append(frame);
                return {total, out_, true};
            }
            break;
        case 'S': note_parameter(body); break;
        case 'N':
        case 'A': break;
        case 'G':
            note_effect(advance('G'), index);
            copy_in_ = true;
            if (!queue_.empty() && queue_.front().kind == request_kind::execute) { // a Sync sent already is ignored by the server
                if (queue_.size() == 2 && queue_[1].kind == request_kind::sync) {
                    queue_.pop_back();
                    if (memory_ != nullptr) memory_->sync_ignored();
                    open_ = true;
                }
            }
            break;
        case 'C':
            if (is_schema_change(body)) ddl_seen_ = true;
            note_finished(body);
            if (memory_ != nullptr) memory_->completed(body.substr(0, body.find('\0')));
            note_effect(advance('C'), index);
            if (as_extended_) {
                held_complete_ = frame;
                return {total, {}, true};
            }
            break;
        case 't':
            part_at = at;
            [[fallthrough]];
        default:
            note_effect(advance(header.type), index);
            if (header.type != 't') {
                part_at = nowhere;
                part_passed_on_ = false;
            }
            break;
        }
        at += total;
    }
    return passed_on(at, bytes.substr(0, at), false);
}

} // namespace pgmend::session
