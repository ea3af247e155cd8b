#include "pgmend/session/inquiry_machine.hpp"

#include "pgmend/wire/client_messages.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"
#include "session/own_messages.hpp"

#include <fmt/format.h>

#include <utility>

namespace pgmend::session {
namespace {

/// PostgreSQL has analysed the statement and does not accept it; other errors (cancelled, aborted, out of memory, …) say nothing of it.
bool is_of_the_text(base::byte_view sqlstate) {
    return sqlstate.starts_with("42") || sqlstate.starts_with("22") || sqlstate.starts_with("3F") || sqlstate.starts_with("0A");
}

} // namespace

inquiry_machine::inquiry_machine(healing::session_view known, questions asked, bool in_transaction, std::vector<std::uint32_t> parameter_types)
    : asked_{std::move(asked)}, in_transaction_{in_transaction}, probing_{asked_.probe}, probe_{std::move(known)},
      parameter_types_{std::move(parameter_types)} {
    if (asked_.verify) verification_.emplace(asked_.verify->plan, parameter_types_);
}

std::size_t inquiry_machine::originals() const { return asked_.confirm ? asked_.confirm->refused_originals.size() : 0; }

std::string inquiry_machine::begin() const {
    std::string out;
    if (in_transaction_) append_statement(out, set_savepoint);
    if (probing_) session_probe::append(out, {});
    if (verification_) {
        verification_->append(out);
    } else if (asked_.confirm && asked_.premise && !asked_.confirm->plan.premise.empty()) {
        append_premise_statement(out);
        append_premise(out, asked_.confirm->plan.premise);
    }
    wire::append_sync(out);
    for (std::size_t i = 0; i < originals(); ++i) {
        if (in_transaction_) append_statement(out, roll_back_to_savepoint);
        append_own_parse(out, asked_.confirm->refused_originals[i], parameter_types_);
        wire::append_close_statement(out, own_name);
        wire::append_sync(out);
    }
    if (in_transaction_) {
        append_statement(out, roll_back_to_savepoint);
        append_statement(out, release_savepoint);
        wire::append_sync(out);
    }
    return out;
}

inquiry_machine::step inquiry_machine::on_server(base::byte_view frame, std::string& to_client) {
    auto const header = wire::read_header(frame);
    auto const body = wire::body_of(frame, header);
    if (header.type == 'A' || header.type == 'S') to_client.append(frame);
    if (ready_ == 0) on_first_answers(header.type, body);
    else if (ready_ <= originals()) on_original(header.type, body);
    if (header.type != 'Z') return step::need_more;
    parsed_ = 0;
    return ready_++ == originals() + (in_transaction_ ? 1 : 0) ? step::answered : step::need_more;
}

void inquiry_machine::on_first_answers(char type, base::byte_view body) {
    switch (type) {
    case 'E': {
        failed_ = true;
        auto const fields = wire::read_error(body);
        if (!verification_ || verification_->complete()) still_refused_ = false; // the premise does not hold, or could not be asked about
        if (!refused_) refused_ = fmt::format("PostgreSQL refused the edited statement with SQLSTATE {}", fields ? fields->code : base::byte_view{"?"});
        break;
    }
    case 'D':
        if (probing_ && probe_.on_row(body)) failed_ = true;
        break;
    case 'C':
        if (probing_ && body.starts_with("SELECT")) {
            probing_ = false;
            probed_ = !failed_;
            probe_.finish();
        }
        break;
    case 'T':
    case 'n':
        if (!verification_) break;
        if (auto problem = verification_->on_description(type, body); problem && !refused_) refused_ = std::move(problem);
        break;
    case 'Z':
        if (verification_ && !refused_ && !verification_->complete()) refused_ = "the edited statement was not described";
        break;
    default: break;
    }
}

void inquiry_machine::on_original(char type, base::byte_view body) {
    if (type == '1' && ++parsed_ == (in_transaction_ ? 2U : 1U)) still_refused_ = false; // the first one is of the ROLLBACK TO
    if (type != 'E') return;
    auto const fields = wire::read_error(body);
    if (!fields || !is_of_the_text(fields->code)) still_refused_ = false;
    else if (sqlstate_.empty()) sqlstate_ = fields->code;
}

std::optional<healing::session_view> inquiry_machine::view() const {
    if (!probed_) return std::nullopt;
    return probe_.view();
}

} // namespace pgmend::session
