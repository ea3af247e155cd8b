// From the client: what is sent on, edited, kept to be sent again, or asked about first.
#include "pgmend/session/relay_machine.hpp"

#include "pgmend/session/session_memory.hpp"
#include "pgmend/sql/abridged.hpp"
#include "pgmend/sql/facts.hpp"
#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/cursor.hpp"
#include "session/own_messages.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::session {
namespace {

/// A text that PostgreSQL's grammar refuses, in the place of one that shall not run: nothing is looked up or locked, and a
/// transaction block is aborted as by any error.
constexpr base::byte_view impossible_text = "?";

/// A Bind counts its values in 16 bits.
constexpr std::uint32_t most_parameters = 65535;

/// pg_type.dat: text.
constexpr std::uint32_t type_of_text = 25;

/// A longer text of an unnamed statement is not remembered.
constexpr std::size_t most_unnamed_bytes = 64 << 10;

/// The body of a message that leaves nothing behind.
constexpr base::byte_view nothing_named{"\0\0\0\0", 4};

/// A Parse, or a Bind.
message_ahead ahead_of(wire::frame_header const& header, base::byte_view body) {
    wire::cursor in{body};
    if (header.type == 'B') {
        (void)in.text();
        return {.parse = false, .statement = in.text(), .sql = {}, .types = {}};
    }
    auto view = wire::read_parse(body).value_or(wire::parse_view{});
    return {true, view.statement, view.sql, std::move(view.parameter_types)};
}

/// Of a request with more texts, and Binds of other statements, than these nothing is known ahead.
constexpr std::size_t most_later = 60;

/// What comes behind the first message of the request that begins here, where all of it is in sight, so that it can be sent again, and a Parse at its beginning is bound
/// at once. Nothing: that is not so. What was prepared by the request itself is not among the Binds.
std::optional<std::vector<message_ahead>> sight_of(base::byte_view bytes, std::size_t most) {
    std::vector<message_ahead> later;
    base::byte_view first_name;
    bool due = false; // a Bind of what the first message has prepared
    for (std::size_t at = 0; bytes.size() - at >= wire::header_bytes;) {
        auto const header = wire::read_header(bytes.substr(at));
        if (!header.length_is_valid() || header.total_bytes() > bytes.size() - at || at + header.total_bytes() > most || later.size() > most_later) return std::nullopt;
        auto const body = wire::body_of(bytes.substr(at), header);
        wire::cursor in{body};
        bool const first = at == 0;
        at += header.total_bytes();
        if (due && header.type != 'B') return std::nullopt;
        switch (header.type) {
        case 'Q': return first ? std::optional{std::move(later)} : std::nullopt;
        case 'S': return later;
        case 'P':
            if (first) {
                first_name = in.text();
                due = true;
            } else {
                auto view = wire::read_parse(body);
                if (!view || view->sql.size() > relay_machine::most_waited_for_bytes) return std::nullopt;
                later.push_back({true, view->statement, view->sql, std::move(view->parameter_types)});
            }
            break;
        case 'B': {
            (void)in.text();
            auto const name = in.text();
            if (!in.ok() || (due && name != first_name)) return std::nullopt;
            due = false;
            if (first) first_name = name;
            bool const is_new = name != first_name && std::none_of(later.begin(), later.end(), [&](auto const& it) { return it.statement == name; });
            if (is_new) later.push_back({.parse = false, .statement = name, .sql = {}, .types = {}});
            break;
        }
        case 'D':
        case 'E':
        case 'C': break;
        default: return std::nullopt;
        }
    }
    return std::nullopt;
}

/// What is told of a text that fails for drift, and that was too long to be looked at.
std::shared_ptr<answer_note const> too_long_to_heal() {
    auto note = std::make_shared<answer_note>();
    note->refusal = std::make_shared<healing::refusal const>(healing::refusal{
        "texts of more than 64 KiB are healed ahead of their failure, as simple queries or unnamed statements of up to healing.max_batch_bytes, where what is left of them without"
        " further rows of VALUES, and elements of IN and ARRAY, that are constants or parameters, is shorter and all there is to change",
        healing::refusal_kind::not_understood, {}});
    return note;
}

/// A text that is too long to be looked at, as it is looked at.
struct long_text {
    base::byte_view whole;
    std::optional<base::byte_view> statement; ///< Parse: its name
    std::vector<std::uint32_t> types;         ///< Parse: as declared
    sql::abridged abridged;
};

/// Of this message, a Query or a Parse. Nothing: it is not too long, or too long in any form. A statement with a name may be bound for a session's whole life; that one's
/// text would have to be kept.
std::optional<long_text> long_text_of(wire::frame_header const& header, base::byte_view body) {
    long_text out;
    if (header.type == 'Q') {
        out.whole = wire::cursor{body}.text();
    } else {
        auto view = wire::read_parse(body);
        if (!view || !view->statement.empty()) return std::nullopt;
        out.whole = view->sql;
        out.statement = view->statement;
        out.types = std::move(view->parameter_types);
    }
    if (out.whole.size() <= relay_machine::most_waited_for_bytes) return std::nullopt;
    auto text = sql::abridge(out.whole);
    if (!text || text->text.size() > relay_machine::most_waited_for_bytes) return std::nullopt;
    if (!text->parameters.empty() && text->parameters.back() > most_parameters) return std::nullopt;
    out.abridged = std::move(*text);
    return out;
}

/// An edit of the abridged text becomes one of the whole. False: there is none.
bool lengthen(advice& given, long_text const& text, preflight& told) {
    if (given.what != advice::kind_type::edit) return true;
    auto healed = healing::lengthened(*given.note->healed, text.abridged, text.whole);
    if (!healed) return false;
    auto note = std::make_shared<answer_note>(*given.note);
    note->healed = std::make_shared<healed_text const>(std::move(*healed));
    given.note = std::move(note);
    if (text.statement) told.lengthened(*text.statement, given.note);
    return true;
}

bool has_no_text(char type) { return type == 'B' || type == 'D' || type == 'E' || type == 'S'; }

bool begins_request(char type) { return type != 'd' && type != 'c' && type != 'f' && type != 'X'; }

} // namespace

bool relay_machine::idle() const { return status_ == 'I' && client_remaining_ == 0 && between_requests(); }

bool relay_machine::between_requests() const {
    return mode_ == mode::relaying && queue_.empty() && !open_ && (client_remaining_ == 0 || dropping_) && server_remaining_ == 0 && !skip_to_sync_ && !asking_;
}

void relay_machine::block(std::size_t behind, std::string error) {
    answer_note note;
    note.error = std::move(error);
    block_ = std::make_shared<answer_note const>(std::move(note));
    block_behind_ = behind;
}

void relay_machine::set_parameter(base::byte_view name, base::byte_view value) {
    news_ = true;
    if (name == "client_encoding") client_encoding_ = value;
    else if (name == "application_name") application_name_ = value;
    else if (name == "standard_conforming_strings") standard_conforming_strings_ = value == "on";
}

void relay_machine::begin_request() {
    request_.clear();
    request_kept_ = true;
    request_messages_ = holds_ = 0;
    request_edits_.clear();
    request_guarded_ = never_hold_ = flushed_ = request_splits_ = request_too_long_ = long_text_ = false;
    token_ = 0;
    if (transaction_began_us_ == 0) transaction_began_us_ = meter_.now_us;
}

void relay_machine::begin_client_frame(wire::frame_header const& header, std::shared_ptr<answer_note const> note) {
    auto const push = [&](request_kind kind) {
        ++request_messages_;
        queue_.push({kind, false, std::move(note), meter_.now_us});
    };
    if (header.type == 'S') {
        if (copy_in_) return; // ignored by the server (CopyGetData), so that libpq may send it early
        open_ = discarding_ = false;
        return push(request_kind::sync);
    }
    if (discarding_ && begins_request(header.type)) return;
    switch (header.type) {
    case 'Q': return push(request_kind::query);
    case 'F': return push(request_kind::function_call);
    case 'P': open_ = true; return push(request_kind::parse);
    case 'B': open_ = true; return push(request_kind::bind);
    case 'D': open_ = true; return push(request_kind::describe);
    case 'E': open_ = true; return push(request_kind::execute);
    case 'C': open_ = true; return push(request_kind::close);
    case 'c':
    case 'f': copy_in_ = false; [[fallthrough]];
    case 'd': request_kept_ = false; break;
    case 'X': terminated_ = true; break;
    case 'H': flushed_ = true; break;
    default: break;
    }
}

void relay_machine::retain(base::byte_view bytes) {
    if (!request_kept_ || !settings_.heals || terminated_) return;
    auto const most = request_splits_ ? std::max(settings_.most_request_bytes, settings_.most_batch_bytes) : settings_.most_request_bytes;
    if (request_.size() + bytes.size() > most) {
        request_kept_ = false;
        request_too_long_ = true;
        request_.clear();
        request_.shrink_to_fit();
        return;
    }
    request_.append(bytes);
}

/// A Query that was too long to be looked at ahead: whether its savepoint is still there behind it.
void relay_machine::note_end_of_long_text() {
    if (!std::exchange(long_text_, false) || !request_kept_) return;
    wire::cursor in{base::byte_view{request_}.substr(std::min(request_.size(), wire::header_bytes))};
    savepoint_set_ = sql::plain_statement(in.text()) == sql::statement_kind::insert && in.ok();
}

/// Whether its values may be old labels is asked when it is bound: by then its Parse may be gone (lib/pq sends that on its own).
void relay_machine::note_unnamed(base::byte_view parse, bool whole) {
    bool const wanted = preflight_->has_old_labels();
    if (!wanted && unnamed_.empty()) return;
    wire::cursor in{parse};
    auto const statement = in.text();
    if (in.ok() && !statement.empty()) return;
    auto const sql = in.text();
    if (wanted && whole && in.ok() && sql.size() <= most_unnamed_bytes) unnamed_.assign(sql);
    else unnamed_.clear();
    unnamed_is_new_ = true;
}

/// What tier 1 says of this message; nothing: it has nothing to say.
std::optional<advice> relay_machine::look(wire::frame_header const& header, base::byte_view body, company around) {
    bool const in_transaction = status_ == 'T';
    wire::cursor in{body};
    switch (header.type) {
    case 'Q': {
        auto const sql = in.text();
        if (!in.ok()) return std::nullopt;
        if (auto given = look_at_long(header, body)) return given;
        if (sql.size() > most_waited_for_bytes) return look_at_beginning(header, body);
        return preflight_->look(sql, nullptr, {}, in_transaction, around);
    }
    case 'P': {
        auto const view = wire::read_parse(body);
        if (!view) return std::nullopt;
        if (auto given = look_at_long(header, body)) return given;
        return preflight_->look(view->sql, &view->statement, view->parameter_types, in_transaction, around);
    }
    default: {
        (void)in.text();
        auto const statement = in.text();
        if (!in.ok()) return std::nullopt;
        return preflight_->look_at_bind(statement, in_transaction, around);
    }
    }
}

/// The same of a text of which only the beginning has come, or that is too long.
advice relay_machine::look_at_beginning(wire::frame_header const& header, base::byte_view body) {
    bool const in_transaction = status_ == 'T';
    auto sql = body;
    advice given;
    if (header.type == 'Q') {
        given = preflight_->look_at_beginning(sql, nullptr, in_transaction);
    } else {
        wire::cursor in{body};
        auto const statement = in.text();
        sql = in.ok() ? in.rest() : base::byte_view{};
        given = preflight_->look_at_beginning(sql, &statement, in_transaction);
    }
    if (!given.note && preflight_->waits_for_long_text(sql.substr(0, most_waited_for_bytes), true)) given.note = too_long_to_heal();
    return given;
}

/// It may be healed: all of it is needed, as soon as its beginning tells that, and until there is enough of the beginning.
bool relay_machine::waits_for_long(wire::frame_header const& header, base::byte_view beginning) const {
    auto text = beginning.substr(wire::header_bytes, most_waited_for_bytes);
    if (header.type == 'P' && !text.empty()) {
        if (text.front() != '\0') return false; // it has a name
        text.remove_prefix(1);
    }
    bool const may_be = header.type == 'Q' || header.type == 'P';
    if (!may_be || header.total_bytes() > settings_.most_batch_bytes || !settings_.heals || preflight_ == nullptr || block_ != nullptr || discarding_ || copy_in_ || status_ == 'E') return false;
    return preflight_->active(status_ == 'T') && preflight_->waits_for_long_text(text, beginning.size() >= most_waited_for_bytes);
}

/// As if constants and parameters that say nothing new were not in it. What heals that heals the whole. Nothing: it is not too long, or cannot be looked at so.
std::optional<advice> relay_machine::look_at_long(wire::frame_header const& header, base::byte_view body) {
    if (header.total_bytes() <= most_waited_for_bytes) return std::nullopt;
    auto const text = long_text_of(header, body);
    if (!text) return std::nullopt;
    auto given = preflight_->look(text->abridged.text, text->statement ? &*text->statement : nullptr, text->types, status_ == 'T', company::unknown);
    bool const sure = !given.splits && lengthen(given, *text, *preflight_);
    return sure ? given : look_at_beginning(header, body);
}

/// What the driver has found out about it.
advice relay_machine::take_answer(wire::frame_header const& header, base::byte_view body, company around) {
    auto given = *std::exchange(answer_, std::nullopt);
    if (around == company::alone) preflight_->goes_on(given, question_.sql, header.type == 'Q');
    if (header.total_bytes() <= most_waited_for_bytes) return given;
    auto const text = long_text_of(header, body);
    if (text) return lengthen(given, *text, *preflight_) ? given : look_at_beginning(header, body);
    if (given.what == advice::kind_type::pass && !given.note) given.note = too_long_to_heal();
    return given;
}

bool relay_machine::ask(wire::frame_header const& header, base::byte_view body) {
    question_ = {};
    question_.parse = header.type == 'P';
    if (question_.parse) {
        auto view = wire::read_parse(body);
        if (!view) return false;
        asked_sql_ = view->sql;
        question_.parameter_types = std::move(view->parameter_types);
    } else {
        asked_sql_ = wire::cursor{body}.text();
    }
    question_.types_to_ask_with = question_.parameter_types;
    if (auto text = header.total_bytes() > most_waited_for_bytes ? long_text_of(header, body) : std::nullopt) {
        asked_sql_ = std::move(text->abridged.text);
        auto& types = question_.types_to_ask_with;
        if (!text->abridged.parameters.empty()) types.resize(std::max<std::size_t>(types.size(), text->abridged.parameters.back()));
        for (auto const number : text->abridged.parameters) {
            if (number != 0 && types[number - 1] == 0) types[number - 1] = type_of_text;
        }
    }
    question_.sql = asked_sql_;
    asking_ = true;
    return true;
}

void relay_machine::answer(advice given) {
    asking_ = false;
    if (!passes_over()) answer_ = std::move(given); // else it is for nobody, and the next text is another one
}

/// Whether a statement of the request that begins here is bound with what may be the old name of a label, as far as that can be seen: where the client waits for
/// an answer ahead of its Bind (asyncpg), or where not all of it has come, it may be.
bool relay_machine::may_bind_old_label(base::byte_view request) const {
    bool values_to_come = false;
    char last = 0;
    while (request.size() >= wire::header_bytes) {
        auto const header = wire::read_header(request);
        if (!header.length_is_valid() || header.total_bytes() > request.size()) return true;
        auto const body = wire::body_of(request, header);
        switch (header.type) {
        case 'S': return false;
        case 'B':
            if (preflight_->may_have_old_label(body)) return true;
            values_to_come = false;
            break;
        case 'P': values_to_come = values_to_come || body.find('$') != base::byte_view::npos; break;
        case 'E':
        case 'D':
        case 'C':
        case 'H': break;
        default: return false; // a request of its own
        }
        last = header.type;
        request.remove_prefix(header.total_bytes());
    }
    return values_to_come || !request.empty() || last != 'H';
}

/// A savepoint of pgmend's that has served its purpose, and a new one: into the same packet as the request.
void relay_machine::put_ahead(advice const& given) {
    if (savepoint_set_ && !given.ends_transaction) {
        append_statement(out_, release_savepoint);
        expect_statement(queue_);
        savepoint_set_ = false;
    }
    if (given.guard) {
        append_statement(out_, set_savepoint);
        expect_statement(queue_);
        savepoint_set_ = request_guarded_ = true;
        token_ = given.token;
    }
}

/// Ahead of a Bind, whose body this is: the statement that it names.
void relay_machine::prepare_anew(base::byte_view bind, std::shared_ptr<prepare_again const> what) {
    wire::cursor in{bind};
    (void)in.text();
    auto const statement = in.text();
    auto const begin = append_prepare_anew(out_, statement, what->sql, what->types);
    if (memory_ != nullptr) memory_->prepared_anew(base::byte_view{out_}.substr(begin));
    auto note = std::make_shared<answer_note>();
    note->anew = std::move(what);
    for (auto& it : prepare_anew_answers(std::move(note))) queue_.push(std::move(it));
}

void relay_machine::append_edited(wire::frame_header const& header, base::byte_view body, answer_note const& note) {
    auto const& text = note.healed ? base::byte_view{note.healed->plan.sql} : impossible_text;
    if (header.type == 'Q') return wire::append_query(out_, text);
    auto const view = wire::read_parse(body); // was read once before
    auto const& types = note.healed && note.healed->plan.parameter_types ? *note.healed->plan.parameter_types : view->parameter_types;
    wire::append_parse(out_, view->statement, text, types);
}

/// Behind a Bind: the Execute behind this, and whatever else comes up to the Sync, is passed over by the server unless the premises hold.
void relay_machine::ask_of_premises() {
    for (auto& it : append_premises(out_, premise_how_ == advice::premise_type::prepared_and_asked, std::exchange(premises_due_, {}))) queue_.push(std::move(it));
    premise_pending_ = true;
}

/// A Query whose premise is asked about. The unnamed statement is gone behind it, as behind any Query.
void relay_machine::append_as_extended(healed_text const& text) {
    wire::append_parse(out_, {}, text.plan.sql, {});
    wire::append_bind(out_, {}, {}, {});
    for (auto const kind : {request_kind::parse, request_kind::bind}) queue_.push({kind, true, {}});
    ask_of_premises();
    wire::append_describe_portal(out_, {});
    wire::append_execute(out_, {});
    wire::append_close_statement(out_, {});
    wire::append_sync(out_);
    as_extended_ = true;
}

/// Of what has no text, behind the first message of its request, nobody wants to know more than that an answer is to come. So it is while nothing has drifted.
bool relay_machine::only_counts_on() const {
    return memory_ == nullptr && block_ == nullptr && !savepoint_set_ && prepare_ahead_.empty() && premises_due_.empty() && (preflight_ == nullptr || !preflight_->active(status_ == 'T'));
}

relay_machine::outcome relay_machine::on_client(base::byte_view bytes) {
    if (client_raw_) return {bytes.size(), bytes};
    std::size_t at = 0;
    std::size_t kept_from = 0;  // bytes [kept_from, at) belong to the newest request and are not retained yet
    bool assembling = false;    // what is forwarded is collected in out_
    std::optional<bool> only_counts; // what has no text
    auto const take = [&](std::size_t count) {
        if (assembling) out_.append(bytes.substr(at, count));
        at += count;
    };
    auto const assemble = [&] {
        if (!std::exchange(assembling, true)) out_.assign(bytes.substr(0, at));
    };
    auto const finish = [&](bool again) -> outcome {
        retain(bytes.substr(kept_from, at - kept_from));
        return {at, assembling ? base::byte_view{out_} : bytes.substr(0, at), again};
    };
    while (at < bytes.size()) {
        if (client_remaining_ > 0) {
            auto const part = std::min<std::uint64_t>(client_remaining_, bytes.size() - at);
            bool const dropped = skip_to_sync_ || dropping_;
            if (dropped && at > 0) return finish(true);
            client_remaining_ -= part;
            if (client_remaining_ == 0) dropping_ = false;
            if (dropped) return {part, {}, true};
            take(part);
            if (long_text_ && client_remaining_ == 0) {
                retain(bytes.substr(kept_from, at - kept_from));
                kept_from = at;
                note_end_of_long_text();
            }
            continue;
        }
        if (client_must_wait()) return finish(false);
        if (bytes.size() - at < wire::header_bytes) {
            // PostgreSQL judges the type before it has the length; so must this, or a wrong byte would wait for ever.
            if (wire::is_client_type(bytes[at])) break;
            client_raw_ = true;
            take(bytes.size() - at);
            break;
        }
        auto const header = wire::read_header(bytes.substr(at));
        if (!wire::is_client_type(header.type) || !header.length_is_valid()) {
            client_raw_ = true; // the server ends such a session with an error of its own
            take(bytes.size() - at);
            break;
        }
        auto const available = bytes.size() - at;
        bool const whole = available >= header.total_bytes();
        bool const has_text = header.type == 'Q' || header.type == 'P';
        bool const looked_into = has_text || header.type == 'B' || (header.type == 'C' && memory_ != nullptr);
        if (!whole && looked_into && (header.total_bytes() <= most_waited_for_bytes || waits_for_long(header, bytes.substr(at)))) break;
        if (skip_to_sync_) {
            if (at > 0) return finish(true); // what came before, on its own
            if (header.type != 'S' && header.type != 'X') {
                auto const part = std::min(available, header.total_bytes());
                client_remaining_ = header.total_bytes() - part;
                return {part, {}, true};
            }
            skip_to_sync_ = false;
        }

        if (whole && open_ && has_no_text(header.type)) {
            if (!only_counts) only_counts = only_counts_on();
            if (*only_counts) {
                begin_client_frame(header, nullptr);
                take(header.total_bytes());
                continue;
            }
        }
        only_counts.reset();

        // A Query ends a request that its Sync has not ended. Where only statements were prepared, and all of that is answered (asyncpg's prepare(), which
        // flushes), it is a request of its own.
        bool const ends_open = open_ && !discarding_ && !copy_in_ && (header.type == 'Q' || header.type == 'F');
        bool const stands_alone = ends_open && queue_.empty() && !has_effects();
        bool const begins = (!open_ || stands_alone) && begins_request(header.type);
        if (begins && status_ == 'I' && !answer_ && preflight_ != nullptr) preflight_->request_begins();
        std::optional<advice> given;
        bool const blocked = block_ != nullptr && block_behind_ == 0;
        bool const concerns = preflight_ != nullptr && !discarding_ && !copy_in_ && (has_text || header.type == 'B' || header.type == 'E');
        if (blocked) [[unlikely]] {
            given.emplace();
            given->what = advice::kind_type::block;
            given->note = std::exchange(block_, nullptr);
            given->controls_transaction = given->ends_transaction = true;
            if (preflight_ != nullptr) preflight_->passed_unseen();
        } else if (concerns && (preflight_->active(status_ == 'T') || savepoint_set_)) { // in this order: what is known is taken over first
            auto const body = bytes.substr(at, std::min(available, header.total_bytes())).substr(wire::header_bytes);
            auto const sight = begins && whole && queue_.empty() && status_ == 'I' && settings_.heals ? sight_of(bytes.substr(at), settings_.most_request_bytes) : std::nullopt;
            auto coming = sight && !sight->empty() ? preflight_->look_ahead(ahead_of(header, body), *sight) : preflight::coming{};
            auto const around = !sight ? company::unknown : coming.asks ? company::undecided : company::alone;
            if (has_text && !whole) given = look_at_beginning(header, body);
            else if (has_text && answer_) given = take_answer(header, body, around);
            else if (has_text || header.type == 'B') given = look(header, body, around);
            if (begins) premises_due_ = std::move(coming.premises);
            if (given && given->what == advice::kind_type::ask) {
                if (status_ != 'E' && ask(header, body)) return finish(false);
                given->what = advice::kind_type::pass;
            }
            if (!given && (header.type != 'E' || begins)) { // nothing is known of it: it may do anything
                given.emplace();
                given->controls_transaction = given->ends_transaction = true;
            }
        } else if (concerns && header.type == 'P' && whole) {
            auto const body = wire::body_of(bytes.substr(at), header);
            bool const has_name = !body.empty() && body.front() != '\0';
            auto const view = has_name ? wire::read_parse(body) : std::nullopt;
            if (view) preflight_->prepared_unseen(view->sql, view->statement);
        } else if (preflight_ != nullptr && header.type == 'C' && whole) {
            wire::cursor in{wire::body_of(bytes.substr(at), header)};
            if (in.byte() == 'S') preflight_->closed(in.text());
        }
        if (header.type == 'P' && preflight_ != nullptr && !discarding_ && !copy_in_)
            note_unnamed(bytes.substr(at, std::min(available, header.total_bytes())).substr(wire::header_bytes), whole);
        if (begins) {
            begin_request();
            kept_from = at;
            if (stands_alone) answered_ = 0;
            if (given && given->guardable && !given->guard && preflight_->has_old_labels()) given->guard = may_bind_old_label(bytes.substr(at));
            if (given && status_ == 'T' && queue_.empty() && (savepoint_set_ || given->guard)) {
                bool const release_or_set = (savepoint_set_ && !given->ends_transaction) || given->guard;
                if (release_or_set) {
                    assemble();
                    put_ahead(*given);
                    // A Query is no part of a request of extended messages.
                    if (header.type == 'Q') {
                        wire::append_sync(out_);
                        queue_.push({request_kind::sync, true, {}});
                    }
                }
            }
        }
        if (given && given->splits) request_splits_ = true;
        if (given && given->controls_transaction) {
            long_text_ = savepoint_set_ && given->splits && header.type == 'Q' && !whole;
            savepoint_set_ = false;
        }
        if (given && given->prepare && status_ != 'E') {
            assemble();
            prepare_anew(bytes.substr(at + wire::header_bytes), given->prepare);
        }
        if (!prepare_ahead_.empty() && (header.type == 'B' || header.type == 'D')) [[unlikely]] {
            assemble();
            out_.append(std::exchange(prepare_ahead_, {}));
            queue_.push({request_kind::parse, true, {}});
        }
        if (block_ != nullptr) --block_behind_;
        auto const begin = [&](std::shared_ptr<answer_note const> note) {
            begin_client_frame(header, std::move(note));
            if (!ends_open) return;
            open_ = false;
            if (!stands_alone) request_kept_ = false;
        };
        if (given && given->premise != advice::premise_type::none) {
            premise_how_ = given->premise;
            if (std::find(premises_due_.begin(), premises_due_.end(), given->note->healed) == premises_due_.end()) premises_due_.push_back(given->note->healed);
        } else if (begins && !premises_due_.empty()) {
            premise_how_ = preflight_->ask_of_premise();
        }
        bool const edited = given && (given->what == advice::kind_type::edit || given->what == advice::kind_type::block);
        if (edited && (status_ != 'E' || blocked)) {
            assemble();
            auto const edited_at = out_.size();
            if (blocked && (header.type == 'Q' || header.type == 'F')) wire::append_query(out_, impossible_text);
            else if (blocked) wire::append_parse(out_, {}, impossible_text, {}); // its error is as good as any
            else if (given->premise != advice::premise_type::none && header.type == 'Q') append_as_extended(*given->note->healed);
            else append_edited(header, wire::body_of(bytes.substr(at), header), *given->note);
            // What the client asks for tells what it leaves behind; what was sent in its place is what has been prepared.
            bool const prepares = header.type == 'P' && given->note->healed;
            auto const body = blocked ? nothing_named : prepares ? base::byte_view{out_}.substr(edited_at + wire::header_bytes) : wire::body_of(bytes.substr(at), header);
            if (memory_ != nullptr && !discarding_) memory_->on_client(blocked && header.type == 'F' ? 'Q' : header.type, body, true);
            if (given->note->healed) request_edits_.push_back({request_messages_, given->note->healed});
            begin(given->note);
            client_remaining_ = header.total_bytes() - std::min(available, header.total_bytes());
            dropping_ = client_remaining_ > 0;
            at += header.total_bytes() - client_remaining_;
            continue;
        }
        if (memory_ != nullptr && !(header.type == 'S' ? copy_in_ : discarding_))
            memory_->on_client(header.type, bytes.substr(at, std::min<std::uint64_t>(available, header.total_bytes())).substr(wire::header_bytes), whole);
        begin(given ? given->note : nullptr);
        bool const asks = !premises_due_.empty() && header.type == 'B';
        if (asks) assemble();
        if (whole) {
            take(header.total_bytes());
            if (asks) ask_of_premises();
        } else {
            client_remaining_ = header.total_bytes() - available;
            take(bytes.size() - at);
        }
        if (header.type == 'H' && mode_ == mode::absorbing) { // the client wants to know now
            mode_ = mode::holding;
            return finish(false);
        }
    }
    return finish(false);
}

} // namespace pgmend::session
