#include "pgmend/control/learner.hpp"

#include "old_names.hpp"
#include "pgmend/base/log.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <future>
#include <optional>
#include <utility>

namespace pgmend::control {
namespace {

using learning::pattern_state;

learning::time_point now() { return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()); }

std::string key_of(std::string_view database, std::string_view pattern, learning::evidence from) {
    std::string key;
    key.reserve(database.size() + pattern.size() + 2);
    key += static_cast<char>(from);
    key.append(database) += '\0';
    key.append(pattern);
    return key;
}

std::string_view event_of(pattern_state to) {
    switch (to) {
    case pattern_state::proposed: return "pattern.proposed";
    case pattern_state::active: return "pattern.activated";
    case pattern_state::suspended: return "pattern.suspended";
    case pattern_state::retired: break;
    }
    return "pattern.retired";
}

/// Why a decision is not possible for a pattern that is as it is.
std::string why_not(decision what, learning::pattern const& it) {
    auto const state = it.rejected ? std::string_view{"rejected"} : name_of(it.state);
    if (it.state == pattern_state::retired) return fmt::format("pattern {} is retired; it is proposed again when a statement needs it", it.id);
    switch (what) {
    case decision::approve:
    case decision::reject: return fmt::format("pattern {} is {} already", it.id, state);
    case decision::suspend: return fmt::format("pattern {} is {}: only an active one can be suspended", it.id, state);
    case decision::resume: break;
    }
    if (it.rejected) return fmt::format("pattern {} was rejected: APPROVE PATTERN {} makes it active", it.id, it.id);
    return fmt::format("pattern {} is {}: only a suspended one can be resumed", it.id, state);
}

} // namespace

learner::learner(base::published<learning::pattern_book>& to, learner_settings settings)
    : to_{to}, settings_{settings}, work_{io_.get_executor()}, batch_timer_{io_}, tidy_timer_{io_}, hand_on_timer_{io_}, book_{settings.limits},
      published_generation_{to.get()->generation()} {}

learner::~learner() { stop(); }

/// Posts `f` to the thread; after stop: false.
template <class F>
bool learner::hand_over(F f) {
    std::lock_guard const lock{stopping_};
    if (stopped_) return false;
    boost::asio::post(io_, std::move(f));
    return true;
}

void learner::start() {
    hand_over([this] {
        tidy_later();
        hand_on_later();
    });
    thread_ = std::thread{[this] { run(); }};
}

void learner::run() {
    for (;;) {
        try {
            io_.run();
            return;
        } catch (std::exception const& e) { // out of memory, most likely: the proxy goes on without
            base::log(base::log_level::error, "pattern.failed", {{"reason", e.what()}});
        }
    }
}

void learner::stop() {
    {
        std::lock_guard const lock{stopping_};
        if (stopped_) return;
        stopped_ = true;
        boost::asio::post(io_, [this] { // behind everything that was handed over
            apply();
            hand_on();
            io_.stop();
        });
    }
    if (thread_.joinable()) thread_.join();
    else run();
}

// ------------------------------------------------------------------------------------------- from statements

template <class F>
void learner::observe(std::string const& database, std::string const& pattern, learning::evidence from, F change) {
    bool first = false;
    {
        auto key = key_of(database, pattern, from);
        std::lock_guard const lock{waiting_mutex_};
        auto found = waiting_.find(key);
        if (found == waiting_.end()) {
            if (waiting_.size() >= settings_.most_waiting) {
                ++dropped_;
                return;
            }
            found = waiting_.try_emplace(std::move(key), tally{database, pattern, from, {}}).first;
        }
        change(found->second);
        first = !std::exchange(gathering_, true);
    }
    if (first) hand_over([this] { gather(); }); // one wake-up for a batch
}

void learner::proposed(std::string const& database, std::string const& pattern, learning::evidence from, std::string const& note) {
    observe(database, pattern, from, [&note](tally& it) {
        it.proposed = true;
        it.note = note;
    });
}

void learner::used(std::string const& database, std::string const& pattern, learning::evidence from, bool success) {
    observe(database, pattern, from, [success](tally& it) { ++(success ? it.successes : it.failures); });
}

std::uint64_t learner::dropped() const {
    std::lock_guard const lock{waiting_mutex_};
    return dropped_;
}

// ------------------------------------------------------------------------------------------- on the thread

void learner::gather() {
    batch_timer_.expires_after(settings_.batch);
    batch_timer_.async_wait([this](boost::system::error_code cancelled) {
        if (!cancelled) apply();
    });
}

void learner::apply() {
    decltype(waiting_) batch;
    {
        std::lock_guard const lock{waiting_mutex_};
        batch.swap(waiting_);
        gathering_ = false;
    }
    auto const at = now();
    for (auto const& [key, it] : batch) {
        std::vector<std::optional<learning::pattern_book::change>> changes;
        if (it.proposed) changes.push_back(book_.propose(it.database, it.pattern, it.from, it.note, at));
        // A batch's failures last: they may suspend, and do so by the batch's whole count.
        for (std::uint64_t i = 0; i < it.successes; ++i)
            if (auto change = book_.record(it.database, it.pattern, it.from, true, at)) changes.push_back(change);
        for (std::uint64_t i = 0; i < it.failures; ++i)
            if (auto change = book_.record(it.database, it.pattern, it.from, false, at)) changes.push_back(change);
        for (auto const& change : changes)
            if (change) note(*change);
        if (auto const* const used = book_.find(it.database, it.pattern)) note_use(used->id, it.successes, it.failures);
    }
    publish();
}

void learner::tidy_later() {
    tidy_timer_.expires_after(settings_.tidy_every);
    tidy_timer_.async_wait([this](boost::system::error_code cancelled) {
        if (cancelled) return;
        if (auto const at = std::chrono::steady_clock::now(); at >= look_for_unused_) {
            look_for_unused_ = at + std::min<std::chrono::milliseconds>(std::chrono::minutes{1}, settings_.limits.retire_after);
            for (auto const& change : book_.retire_unused(now())) note(change);
            publish();
        }
        if (ask_schemas_) ask_schemas_();
        tidy_later();
    });
}

void learner::configure(learning::book_limits limits) {
    hand_over([this, limits] {
        apply(); // what was seen until now, by the limits until now
        settings_.limits = limits;
        book_.set_limits(limits);
        look_for_unused_ = {};
    });
}

void learner::schemas_are(std::vector<named_schema> schemas) {
    hand_over([this, schemas = std::move(schemas)] { retire_those_that_are_back(schemas); });
}

/// What people suspended or rejected stays: else it would heal again once the name is gone again.
void learner::retire_those_that_are_back(std::vector<named_schema> const& schemas) {
    for (auto const& [database, schema] : schemas) {
        auto& seen = seen_generations_[database];
        if (!schema || schema->generation() == seen) continue;
        seen = schema->generation();
        std::vector<std::uint64_t> back;
        for (auto const& [id, it] : book_.patterns()) {
            bool const lives = it.state == pattern_state::active || it.state == pattern_state::proposed;
            if (lives && it.database == database && old_name_exists(it.text, schema->current())) back.push_back(id);
        }
        for (auto const id : back)
            if (auto const change = book_.retire(id, "its old name exists again", now())) note(*change);
    }
    publish();
}

// ------------------------------------------------------------------------------------------- to and from the store

void learner::restore(std::vector<learning::pattern> kept) {
    for (auto& it : kept) book_.put(std::move(it));
    publish();
}

void learner::adopt(std::vector<learning::pattern> stored) {
    hand_over([this, stored = std::move(stored)]() mutable {
        apply();
        for (auto& it : stored) {
            auto const* const known = book_.find(it.database, it.text);
            auto const id = it.id;
            decltype(unsaved_)::node_type ours;
            if (known != nullptr && (ours = unsaved_.extract(known->id))) {
                if (ours.mapped().decided) { // newer, and on its way: only the id is new
                    it = *known;
                    it.id = id;
                } else { // mere uses add to what others decided
                    it.successes += ours.mapped().successes;
                    it.failures += ours.mapped().failures;
                    it.last_used = std::max(it.last_used, known->last_used);
                }
                ours.key() = id;
            }
            bool const news = known == nullptr || known->state != it.state || known->from != it.from;
            auto const to = it.state;
            if (auto const moved = book_.adopt(std::move(it))) {
                if (auto its = unsaved_.extract(id)) {
                    its.key() = *moved;
                    unsaved_.insert(std::move(its));
                }
            }
            if (ours) unsaved_.insert(std::move(ours));
            if (news) log_change({id, to});
        }
        publish();
    });
}

void learner::note(learning::pattern_book::change const& change) {
    log_change(change);
    if (store_ != nullptr) unsaved_[change.id].decided = true;
}

void learner::note_use(std::uint64_t id, std::uint64_t successes, std::uint64_t failures) {
    if (store_ == nullptr) return;
    auto& it = unsaved_[id];
    it.successes += successes;
    it.failures += failures;
}

void learner::hand_on_later() {
    hand_on_timer_.expires_after(settings_.hand_on_every);
    hand_on_timer_.async_wait([this](boost::system::error_code cancelled) {
        if (cancelled) return;
        hand_on();
        hand_on_later();
    });
}

void learner::hand_on() {
    if (also_) also_();
    if (store_ == nullptr) return;
    for (auto& [database, text] : book_.take_forgotten()) store_->note(state::pattern_removed{std::move(database), std::move(text)});
    for (auto const& [id, it] : std::exchange(unsaved_, {}))
        if (auto const* const now_there = book_.find(id)) store_->note(state::pattern_change{*now_there, it.decided, it.successes, it.failures});
}

/// Waits for the store; statements do not wait for this thread.
base::result<void> learner::keep_durably(learning::pattern const& it) {
    if (store_ == nullptr) return {};
    hand_on();
    auto const promise = std::make_shared<std::promise<base::result<void>>>();
    auto answer = promise->get_future();
    auto const not_after = std::chrono::steady_clock::now() + settings_.most_patience;
    store_->keep({state::pattern_change{it, true, 0, 0}}, [promise](base::result<void> kept) { promise->set_value(std::move(kept)); }, not_after);
    if (answer.wait_for(settings_.most_patience) != std::future_status::ready) return base::fail(base::errc::timeout, "the store does not answer");
    return answer.get();
}

void learner::publish() {
    if (book_.generation() == published_generation_) return;
    to_.publish(std::make_shared<learning::pattern_book const>(book_.decisions()));
    published_generation_ = book_.generation();
}

/// Identifiers only: a pattern's text and note hold no literals.
void learner::log_change(learning::pattern_book::change const& change) const {
    auto const* it = book_.find(change.id);
    if (it == nullptr) return;
    bool const alarming = change.to == pattern_state::suspended && !it->rejected;
    base::log(alarming ? base::log_level::warning : base::log_level::info, event_of(change.to),
              {{"database", it->database},
               {"id", it->id},
               {"pattern", it->text},
               {"evidence", name_of(it->from)},
               {"successes", it->successes},
               {"failures", it->failures},
               {change.to == pattern_state::proposed ? "note" : "reason", change.to == pattern_state::proposed ? it->note : it->reason}});
}

// ------------------------------------------------------------------------------------------- from people

base::result<learning::pattern> learner::decide_now(decision what, std::uint64_t id) {
    apply(); // what statements found before the decision
    auto const* it = book_.find(id);
    if (it == nullptr) return base::fail(base::errc::not_found, fmt::format("there is no pattern {}", id));
    auto const before = *it;
    std::optional<learning::pattern_book::change> change;
    switch (what) {
    case decision::approve: change = book_.approve(id, now()); break;
    case decision::reject: change = book_.reject(id, now()); break;
    case decision::suspend: change = book_.suspend(id, "suspended by hand", now()); break;
    case decision::resume: change = book_.resume(id, now()); break;
    }
    if (!change) return base::fail(base::errc::invalid_input, why_not(what, *it));
    bool const heals_more = what == decision::approve || what == decision::resume;
    if (!heals_more) publish(); // whatever the store says
    auto const after = *book_.find(id);
    if (auto const kept = keep_durably(after); !kept) {
        if (heals_more) {
            book_.put(before);
            publish();
            return base::fail(base::errc::system, fmt::format("nothing was changed: the decision could not be kept: {}", kept.error().text));
        }
        log_change(*change);
        return base::fail(base::errc::system, fmt::format("pattern {} is {} now, but a restart would forget it: {}", id, name_of(after.state),
                                                          kept.error().text));
    }
    log_change(*change);
    publish();
    return after;
}

void learner::decide(decision what, std::uint64_t id, std::function<void(base::result<learning::pattern>)> answer) {
    if (!hand_over([this, what, id, answer] { answer(decide_now(what, id)); }))
        answer(base::fail(base::errc::system, "pgmend is stopping"));
}

void learner::describe(std::function<void(std::vector<learning::pattern>)> answer) {
    auto all = [this, answer] {
        apply();
        std::vector<learning::pattern> out;
        out.reserve(book_.patterns().size());
        for (auto const& [id, it] : book_.patterns()) out.push_back(it);
        answer(std::move(out));
    };
    if (!hand_over(all)) answer({});
}

void learner::count(std::function<void(learning::pattern_counts)> answer) {
    auto all = [this, answer] {
        apply();
        answer(book_.counts());
    };
    if (!hand_over(all)) answer({});
}

} // namespace pgmend::control
