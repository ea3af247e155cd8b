// A held error: given to the client after all, or answered by sending the request again.
#include "pgmend/session/relay_machine.hpp"

#include "pgmend/session/session_memory.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <utility>

namespace pgmend::session {
namespace {

/// A migration may rename more while a heal is under way; so often it is looked at again.
constexpr std::uint32_t most_tries = 4;

/// So much of a retry's answers is kept back until it is known to have succeeded.
constexpr std::size_t most_kept_bytes = 65536;

bool has_answer(char type) { return type != 'H' && type != 'd' && type != 'c' && type != 'f' && type != 'X'; }

/// Moves to `out` what is for the client whatever becomes of the answers around it.
void take_asynchronous(std::string& out, std::string& frames) {
    std::string others;
    for (base::byte_view rest = frames; rest.size() >= wire::header_bytes;) {
        auto const frame = rest.substr(0, wire::read_header(rest).total_bytes()); // whole: they came so
        (frame[0] == 'A' || frame[0] == 'S' ? out : others).append(frame);
        rest.remove_prefix(frame.size());
    }
    frames = std::move(others);
}

} // namespace

std::vector<base::byte_view> messages_of(base::byte_view request) {
    std::vector<base::byte_view> out;
    while (request.size() >= wire::header_bytes) {
        auto const header = wire::read_header(request);
        if (!header.length_is_valid() || header.total_bytes() > request.size()) break;
        if (has_answer(header.type)) out.push_back(request.substr(0, header.total_bytes()));
        request.remove_prefix(header.total_bytes());
    }
    return out;
}

base::byte_view message_at(base::byte_view request, std::uint32_t index) {
    while (request.size() >= wire::header_bytes) {
        auto const header = wire::read_header(request);
        if (!header.length_is_valid() || header.total_bytes() > request.size()) return {};
        if (has_answer(header.type) && index-- == 0) return request.substr(0, header.total_bytes());
        request.remove_prefix(header.total_bytes());
    }
    return {};
}

base::byte_view relay_machine::release_error(bool recovered) {
    out_.assign(held_prefix_);
    if (held_.too_long) out_ += too_long_warning(settings_.most_batch_bytes);
    out_.append(held_shown_).append(held_tail_);
    if (auto const fields = wire::read_error(base::byte_view{held_.error}.substr(wire::header_bytes))) meter_.failed(fields->code);
    if (held_.open && recovered) {
        skip_to_sync_ = true;
        discarding_ = false;
    }
    effect_passed_on_ = held_.open; // until its ReadyForQuery
    mode_ = mode::relaying;
    if (memory_ != nullptr) {
        memory_->failed();
        if (!held_.open) memory_->settled(status_);
    }
    return out_;
}

base::byte_view relay_machine::begin_retry(retry_request const& again, std::string notice) {
    out_.clear();
    take_asynchronous(out_, held_prefix_);
    take_asynchronous(out_, held_tail_);
    for (auto entry : again.answers) {
        entry.began_us = held_began_us_;
        queue_.push(std::move(entry));
    }
    answered_ = again.first;
    first_effect_ = nothing;
    effect_passed_on_ = part_passed_on_ = failed_ = discarding_ = false;
    open_ = held_.open;
    if (status_ == 'E' && !again.as_it_was) status_ = held_.guarded ? 'T' : 'I'; // it was rolled back to the savepoint, or the block was left
    retry_ = again;
    retry_.bytes.clear();
    retry_.answers.clear();
    retried_text_ = again.text;
    retry_answers_ = std::move(notice);
    ++tries_;
    never_hold_ = again.as_it_was && !again.heals_again;
    if (again.as_it_was) request_edits_.clear();
    if (again.edited) {
        std::erase_if(request_edits_, [&](auto const& it) { return it.message == *again.edited; });
        request_edits_.push_back({*again.edited, again.text});
    }
    for (auto const& it : again.edited_also) {
        std::erase_if(request_edits_, [&](auto const& known) { return known.message == it.message; });
        request_edits_.push_back(it);
    }
    mode_ = again.as_it_was ? mode::relaying : mode::retrying;
    token_ = 0; // what was sent ahead of it did not work; what a plan for once is made of has to fail each time, behind a savepoint
    return out_;
}

void relay_machine::end_retry() {
    mode_ = mode::relaying;
    retry_answers_.clear();
    held_prefix_.clear();
    held_tail_.clear();
}

/// From here on it is an ordinary request. What was kept back goes to the client first.
void relay_machine::retry_succeeded() {
    healed_ = true;
    out_ = std::move(retry_answers_);
    effect_passed_on_ = effect_passed_on_ || first_effect_ != nothing;
    end_retry();
}

relay_machine::outcome relay_machine::on_server_retrying(base::byte_view bytes) {
    if (bytes.size() < wire::header_bytes) return {};
    auto const header = wire::read_header(bytes);
    if (!header.length_is_valid()) {
        server_broken_ = true;
        return {};
    }
    auto const total = header.total_bytes();
    bool const whole = bytes.size() >= total;
    if (!whole && total <= most_waited_for_bytes) return {};
    auto const frame = bytes.substr(0, std::min(total, bytes.size()));
    if (whole && (header.type == 'A' || header.type == 'S')) {
        if (header.type == 'S') note_parameter(wire::body_of(frame, header));
        return {total, frame, true};
    }
    if (mode_ != mode::retrying) return whole ? on_failed_retry(frame, header) : broken();

    bool const own = !queue_.empty() && queue_.front().own;
    if (whole && header.type == 'E') {
        if (auto const fields = wire::read_error(wire::body_of(frame, header))) {
            // A refusal of the text, or of what prepares it, is one of the heal. Any other error is the healed statement's own
            // answer (a key that is there already, a lock timeout): what the client would have got before the schema changed.
            // Ahead of it nothing failed the first time.
            bool const ahead = own || answered_ < retry_.decisive;
            bool const of_rows = fields->code == wire::sqlstate::insufficient_privilege && fields->routine == "ExecWithCheckOptions"; // row-level security
            if (ahead || (fields->code.starts_with("42") && !of_rows) || (is_drift(*fields) && !is_of_the_values(*fields))) return on_retry_error(frame, *fields);
        }
    } else if (own) {
        if (!whole) return broken();
        if (header.type != 'N') (void)advance(header.type);
        return {total, {}, true};
    }
    bool const decisive = !retry_.whole_text && answered_ >= retry_.decisive && header.type != 'N';
    bool const room = whole && retry_answers_.size() + total <= most_kept_bytes;
    if (decisive || header.type == 'Z' || header.type == 'E' || !room) {
        retry_succeeded();
        if (out_.empty()) return on_server(bytes);
        return {0, out_, true};
    }
    retry_answers_.append(frame);
    if (header.type != 'N') (void)advance(header.type);
    return {total, {}, true};
}

relay_machine::outcome relay_machine::broken() {
    server_broken_ = true;
    return {};
}

relay_machine::outcome relay_machine::on_retry_error(base::byte_view frame, wire::error_view const& fields) {
    bool const overtaken = !queue_.empty() && queue_.front().premise;
    bool const once_more = (is_drift(fields) || overtaken) && tries_ < most_tries;
    retry_answers_.clear();
    retried_text_.reset();
    fail_request();
    if (once_more) {
        mode_ = held_.open ? mode::holding : mode::retry_outdated;
        return {frame.size(), {}, true};
    }
    retry_failed_ = true;
    retry_denied_ = fields.code == wire::sqlstate::insufficient_privilege;
    if (held_.open) { // the server discards up to the client's Sync, as it did at the first error
        auto const to_client = release_error(false);
        end_retry();
        return {frame.size(), to_client, true};
    }
    mode_ = mode::retry_failed;
    return {frame.size(), {}, true};
}

/// Up to the ReadyForQuery of the failed retry.
relay_machine::outcome relay_machine::on_failed_retry(base::byte_view frame, wire::frame_header const& header) {
    if (header.type != 'Z') return {frame.size(), {}, true};
    on_ready(header.body_bytes() > 0 ? frame[wire::header_bytes] : 'I');
    if (mode_ == mode::retry_outdated) {
        mode_ = mode::holding;
        return {frame.size(), {}, true};
    }
    auto const to_client = release_error(false);
    end_retry();
    return {frame.size(), to_client, true};
}

bool relay_machine::take_healed() { return std::exchange(healed_, false); }
bool relay_machine::take_retry_failed() { return std::exchange(retry_failed_, false); }

} // namespace pgmend::session
