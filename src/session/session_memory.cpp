#include "pgmend/session/session_memory.hpp"

#include "pgmend/base/text.hpp"
#include "pgmend/wire/cursor.hpp"
#include "pgmend/wire/frame.hpp"
#include "pgmend/wire/server_messages.hpp"

#include <algorithm>
#include <utility>

namespace pgmend::session {
namespace {

using effect = session_effect::kind_type;

/// More requests, statements or settings under way than this are not followed one by one.
constexpr std::size_t most_under_way = 4096;

constexpr std::string_view too_much = "more than pgmend keeps of one session";
constexpr std::string_view not_followed = "its messages could not be followed";

std::string frame_of(char type, base::byte_view body) {
    std::string out;
    wire::append_frame(out, type, body);
    return out;
}

} // namespace

session_memory::session_memory(base::byte_view reported_at_login, known_effects* known) : known_{known} { moved(reported_at_login, {}); }

void session_memory::moved(base::byte_view reported_at_login, base::byte_view reported_since) {
    ++version_;
    parameters_.clear();
    for (auto const& it : wire::read_parameter_frames(reported_at_login)) parameter_of(it.name).at_login = it.value;
    for (auto& it : parameters_) it.now = it.at_login;
    for (auto const& it : wire::read_parameter_frames(reported_since)) parameter_of(it.name).now = it.value;
}

session_memory::contents session_memory::whole() const {
    contents out{version_, settings_, prepared_, {}};
    for (auto const& it : parameters_) out.reported.emplace(it.name, it.now);
    return out;
}

session_memory::parameter& session_memory::parameter_of(base::byte_view name) {
    auto const found = std::find_if(parameters_.begin(), parameters_.end(), [&](auto const& it) { return it.name == name; });
    return found != parameters_.end() ? *found : parameters_.emplace_back(parameter{std::string{name}, {}, {}});
}

void session_memory::lose(std::string_view what, bool for_good) {
    if (lost_for_good_ && !for_good) return;
    lost_ = what;
    lost_for_good_ = for_good;
    lost_in_ = settled_ + ends_.size() + 1; // the request that is being sent
}

std::vector<session_effect> session_memory::look(std::string_view sql) {
    text_effects read;
    if (known_ == nullptr) read = effects_of(sql);
    auto const& found = known_ != nullptr ? known_->of(sql) : read;
    if (found.calls) ++calls_;
    if (!found.lost.empty()) lose(found.lost, found.for_good);
    return found.carried;
}

void session_memory::expect(std::vector<session_effect> const& changes) {
    if (effects_.size() + changes.size() > most_under_way) return lose(too_much, true);
    for (auto const& it : changes) effects_.push_back({settled_ + ends_.size() + 1, it});
}

void session_memory::on_client(char type, base::byte_view body, bool whole) {
    wire::cursor in{body};
    switch (type) {
    case 'Q': {
        auto const sql = in.text();
        if (whole && in.ok()) expect(look(sql));
        else lose("a statement too long to be looked at");
        if (!prepared_effects_.empty()) prepared_effects_.erase(std::string{}); // the unnamed statement is no more
        end_request();
        break;
    }
    case 'P': {
        ++sent_;
        auto const name = in.text();
        auto const sql = in.text();
        if (!whole || !in.ok()) {
            lose("a statement too long to be looked at");
            break;
        }
        auto changes = look(sql);
        if (changes.empty()) {
            if (!prepared_effects_.empty()) prepared_effects_.erase(std::string{name});
        } else if (prepared_effects_.size() >= most_settings || sql.size() > most_setting_bytes / 16) {
            lose(too_much);
        } else {
            prepared_effects_.insert_or_assign(std::string{name}, std::move(changes));
        }
        if (name.empty()) break;
        if (names_.size() >= most_under_way) lose(too_much, true);
        else names_.push_back({sent_, std::string{name}, frame_of('P', body)});
        break;
    }
    case 'C': {
        ++sent_;
        if (in.byte() != 'S') break;
        auto const name = in.text();
        if (!whole || !in.ok() || names_.size() >= most_under_way) lose(not_followed, true);
        else if (!name.empty()) names_.push_back({sent_, std::string{name}, {}});
        break;
    }
    case 'B': {
        if (prepared_effects_.empty()) break;
        (void)in.text();
        auto const statement = in.text();
        if (auto const found = prepared_effects_.find(statement); found != prepared_effects_.end()) expect(found->second);
        break;
    }
    case 'F':
        lose("a function call");
        end_request();
        break;
    case 'S': end_request(); break;
    default: break;
    }
    if (ends_.size() > most_under_way) lose(not_followed, true);
}

void session_memory::sync_ignored() {
    if (ends_.empty()) lose(not_followed, true);
    else ends_.pop_back();
}

void session_memory::prepared_anew(base::byte_view frame) {
    if (frame.size() < wire::header_bytes) return;
    wire::cursor in{frame.substr(wire::header_bytes)};
    auto const name = in.text();
    if (in.ok() && !name.empty()) keep_prepared(std::string{name}, std::string{frame});
}

void session_memory::prepared_or_closed() {
    if (held_) return;
    ++answered_;
    if (answered_ > sent_) return lose(not_followed, true);
    if (names_.empty() || names_.front().number != answered_) return;
    auto done = std::move(names_.front());
    names_.erase(names_.begin());
    if (done.frame.empty()) forget_prepared(done.name);
    else keep_prepared(done.name, std::move(done.frame));
}

void session_memory::completed(base::byte_view tag) {
    if (tag == "COMMIT") committed_ = true;
    else if (tag == "ROLLBACK") rolled_back_ = true; // also ROLLBACK TO, and a COMMIT that could not be
}

void session_memory::failed() { failed_ = true; }

void session_memory::held() { held_ = true; }

/// Those of them that were not answered by then are none: an error came first.
void session_memory::settle_names(std::uint64_t last) {
    answered_ = std::max(answered_, last);
    std::erase_if(names_, [&](auto const& it) { return it.number <= last; });
}

void session_memory::settled(char status) {
    if (ends_.empty()) return lose(not_followed, true);
    bool const concerned = held_ && (!effects_.empty() || !names_.empty());
    if (concerned) lose("a setting or a prepared statement that was sent with a statement that no longer fits");
    settle_names(ends_.front());
    ends_.erase(ends_.begin());
    settle_effects(++settled_, status);
    failed_ = held_ = false;
    if (status == 'I') committed_ = rolled_back_ = false;
}

/// What was set is as it was before where the transaction was rolled back. Where a part of it was, nobody knows which.
void session_memory::settle_effects(std::uint64_t request, char status) {
    if (effects_.empty()) return;
    auto const is_due = [&](pending_effect const& it) { return it.request <= request; };
    // DEALLOCATE is no part of a transaction.
    for (auto const& it : effects_) {
        bool const now = it.request == request && (it.what.kind == effect::deallocate || it.what.kind == effect::deallocate_all);
        if (now && failed_) lose("a DEALLOCATE that failed, perhaps");
        else if (now) apply(it.what, request);
    }
    std::erase_if(effects_, [&](auto const& it) { return is_due(it) && (it.what.kind == effect::deallocate || it.what.kind == effect::deallocate_all); });
    if (status != 'I') return;
    bool const undone = failed_ || rolled_back_;
    bool const due = std::any_of(effects_.begin(), effects_.end(), is_due);
    if (due && undone && committed_) lose("a setting in a transaction that was rolled back in part");
    if (!undone) {
        for (auto const& it : effects_)
            if (is_due(it)) apply(it.what, request);
    }
    std::erase_if(effects_, is_due);
}

void session_memory::apply(session_effect const& what, std::uint64_t request) {
    ++version_;
    switch (what.kind) {
    case effect::setting: return keep_setting(what);
    case effect::reset_all: std::erase_if(settings_, [](auto const& it) { return it.name != "role"; }); break; // the role is not among them
    case effect::deallocate: forget_prepared(what.name); break;
    case effect::deallocate_all:
        prepared_.clear();
        prepared_bytes_ = 0;
        break;
    case effect::discard_all:
        settings_.clear();
        prepared_.clear();
        prepared_bytes_ = 0;
        if (!lost_for_good_ && lost_in_ <= request) lost_ = {};
        break;
    }
}

void session_memory::keep_setting(session_effect const& what) {
    std::erase_if(settings_, [&](auto const& it) { return it.name == what.name; });
    std::size_t bytes = what.name.size() + what.text.size();
    for (auto const& it : settings_) bytes += it.name.size() + it.text.size();
    if (settings_.size() >= most_settings || bytes > most_setting_bytes) return lose(too_much);
    settings_.push_back({what.name, what.text});
}

void session_memory::keep_prepared(std::string const& name, std::string frame) {
    ++version_;
    forget_prepared(name);
    if (prepared_.size() >= most_prepared || prepared_bytes_ + frame.size() > most_prepared_bytes) return lose(too_much);
    prepared_bytes_ += frame.size();
    prepared_.emplace(name, std::move(frame));
}

void session_memory::forget_prepared(std::string const& name) {
    auto const found = prepared_.find(name);
    if (found == prepared_.end()) return;
    ++version_;
    prepared_bytes_ -= found->second.size();
    prepared_.erase(found);
}

void session_memory::reported(base::byte_view name, base::byte_view value) {
    auto& it = parameter_of(name);
    if (it.now == value) return;
    it.now = value;
    ++version_;
    // A text that was sent before would be read in another way.
    auto const depends = [&](base::byte_view text) { return name == "client_encoding" ? !base::is_ascii(text) : text.find('\\') != base::byte_view::npos; };
    bool const of_texts = name == "client_encoding" || name == "standard_conforming_strings";
    if (of_texts && std::any_of(prepared_.begin(), prepared_.end(), [&](auto const& frame) { return depends(frame.second); }))
        lose("a prepared statement whose text would be read in another way now");
}

std::string_view session_memory::obstacle() const {
    if (!lost_.empty()) return lost_;
    if (!ends_.empty() || !names_.empty() || !effects_.empty()) return not_followed;
    return {};
}

} // namespace pgmend::session
