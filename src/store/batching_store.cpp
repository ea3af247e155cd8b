#include "pgmend/store/batching_store.hpp"

#include "pgmend/base/log.hpp"
#include "tables.hpp"

#include <exception>
#include <iterator>
#include <utility>

namespace pgmend::store {

using clock = std::chrono::steady_clock;

batching_store::batching_store(std::string place, std::function<std::unique_ptr<tables>()> open, batch_settings settings)
    : place_{std::move(place)}, open_{std::move(open)}, settings_{settings} {}

batching_store::~batching_store() { stop(); }

void batching_store::begin() { thread_ = std::thread{[this] { run(); }}; }

void batching_store::stop() {
    {
        std::lock_guard const lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

bool batching_store::hand_over(std::function<void()> job) {
    {
        std::lock_guard const lock{mutex_};
        if (stopping_) return false;
        jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return true;
}

void batching_store::note(state::change what) {
    bool first = false;
    {
        std::lock_guard const lock{mutex_};
        if (stopping_ || noted_.size() + pending_count_ >= settings_.most_waiting) {
            ++dropped_;
            return;
        }
        noted_.push_back(std::move(what));
        first = noted_.size() == 1;
    }
    if (first) wake_.notify_one();
}

state::store::condition batching_store::now() const {
    std::lock_guard const lock{mutex_};
    return {up_, problem_, newer_, noted_.size() + pending_count_, dropped_};
}

// ------------------------------------------------------------------------------------------- on the thread

void batching_store::run() {
    if (opened() != nullptr) worked();
    auto flush_at = clock::time_point::max();
    for (;;) {
        std::function<void()> job;
        bool last = false;
        {
            std::unique_lock lock{mutex_};
            auto const something = [&] { return stopping_ || !jobs_.empty(); };
            for (;;) {
                bool const waiting = !noted_.empty() || !pending_.empty();
                if (waiting && flush_at == clock::time_point::max()) flush_at = clock::now() + settings_.flush_every;
                if (something() || clock::now() >= flush_at) break;
                if (flush_at == clock::time_point::max()) wake_.wait(lock);
                else wake_.wait_until(lock, flush_at);
            }
            if (!jobs_.empty()) {
                job = std::move(jobs_.front());
                jobs_.pop_front();
            } else {
                last = stopping_;
            }
        }
        try {
            if (clock::now() >= flush_at || last) {
                flush_at = clock::time_point::max();
                flush();
            }
            if (job) job();
        } catch (std::exception const& e) { // out of memory, most likely
            base::log(base::log_level::error, "state.failed", {{"place", place_}, {"problem", e.what()}});
        }
        if (last) break;
    }
    std::lock_guard const lock{mutex_};
    dropped_ += std::exchange(pending_count_, 0);
    tables_.reset();
}

tables* batching_store::opened() {
    if (!tables_ && clock::now() < try_again_) return nullptr;
    if (settings_.breaker != nullptr && !call_) call_ = settings_.breaker->admit(base::steady::now());
    if (settings_.breaker != nullptr && !call_) return nullptr;
    if (tables_) return tables_.get();
    try {
        tables_ = open_();
        std::uint64_t dropped = 0;
        {
            std::lock_guard const lock{mutex_};
            up_ = true;
            newer_ = false;
            problem_.clear();
            dropped = dropped_;
        }
        if (std::exchange(told_, false)) base::log(base::log_level::info, "state.recovered", {{"place", place_}, {"dropped", dropped}});
    } catch (std::exception const& e) {
        fell(e, true);
    }
    return tables_.get();
}

void batching_store::fell(std::exception const& why, bool close) {
    bool const in_use = tables_ != nullptr;
    if (close) tables_.reset();
    if (call_) settings_.breaker->failed(*std::exchange(call_, std::nullopt), why.what(), base::steady::now());
    try_again_ = clock::now() + settings_.retry_every;
    if (!std::exchange(told_, true)) base::log(base::log_level::error, "state.failed", {{"place", place_}, {"problem", why.what()}});
    {
        std::lock_guard const lock{mutex_};
        up_ = false;
        newer_ = dynamic_cast<newer_place const*>(&why) != nullptr;
        problem_ = why.what();
    }
    if (!in_use || !damaged()) return;
    try_again_ = {};
    if (opened() != nullptr) worked();
}

void batching_store::worked() {
    if (call_) settings_.breaker->succeeded(*std::exchange(call_, std::nullopt), base::duration{0}, true, base::steady::now());
}

void batching_store::drop(std::size_t count) {
    std::lock_guard const lock{mutex_};
    dropped_ += count;
}

/// Everything that was noted. What cannot be written now stays for the next time.
void batching_store::flush() {
    {
        std::lock_guard const lock{mutex_};
        pending_.insert(pending_.end(), std::make_move_iterator(noted_.begin()), std::make_move_iterator(noted_.end()));
        noted_.clear();
        pending_count_ = pending_.size();
    }
    if (pending_.empty() || opened() == nullptr || clock::now() < try_again_) return;
    if (!apply_pending()) return;
    worked();
    pending_.clear();
    std::lock_guard const lock{mutex_};
    pending_count_ = 0;
    up_ = true;
    problem_.clear();
}

/// False: the place is down.
bool batching_store::apply_pending() {
    try {
        tables_->apply(pending_);
        return true;
    } catch (failure const& e) {
        if (e.kind == failure::kind_type::of_the_place) {
            fell(e, true);
            return false;
        }
    }
    // One of them is refused: each on its own.
    for (std::size_t i = 0; i < pending_.size(); ++i) {
        try {
            tables_->apply({pending_[i]});
        } catch (failure const& e) {
            if (e.kind == failure::kind_type::of_the_place) { // those in front are written
                pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(i));
                fell(e, true);
                return false;
            }
            drop(1);
            base::log(base::log_level::error, "state.refused", {{"place", place_}, {"problem", e.what()}});
        }
    }
    return true;
}

void batching_store::keep(std::vector<state::change> changes, state::store::kept answer, clock::time_point not_after) {
    auto job = [this, changes = std::move(changes), answer, not_after] {
        if (clock::now() < not_after) flush(); // what was noted before
        base::result<void> done;
        if (clock::now() >= not_after) { // whoever asked has given up
            done = base::fail(base::errc::timeout, "the store was busy for too long");
        } else if (auto* const to = opened()) {
            try {
                to->apply(changes);
                worked();
            } catch (failure const& e) {
                if (e.kind == failure::kind_type::of_the_place) fell(e, true);
                else worked(); // it answers
                done = base::fail(base::errc::system, e.what());
            }
        } else {
            done = base::fail(base::errc::system, now().problem);
        }
        answer(std::move(done));
    };
    if (!hand_over(std::move(job))) answer(base::fail(base::errc::system, "pgmend is stopping"));
}

template <class T, class F>
void batching_store::load_records(std::function<void(base::result<T>)> answer, F read) {
    auto job = [this, answer, read] {
        flush();
        base::result<T> found{T{}};
        if (auto* const from = opened()) {
            try {
                found = read(*from);
                worked();
            } catch (failure const& e) {
                if (e.kind == failure::kind_type::of_the_place) fell(e, true);
                else worked(); // it answers
                found = base::fail(base::errc::system, e.what());
            }
        } else {
            found = base::fail(base::errc::system, now().problem);
        }
        answer(std::move(found));
    };
    if (!hand_over(std::move(job))) answer(base::fail(base::errc::system, "pgmend is stopping"));
}

void batching_store::load_patterns(std::function<void(base::result<std::vector<learning::pattern>>)> answer) {
    load_records(std::move(answer), [](tables& from) { return from.patterns(); });
}
void batching_store::load_drift(std::function<void(base::result<std::vector<state::drift_row>>)> answer) {
    load_records(std::move(answer), [](tables& from) { return from.drift(); });
}
void batching_store::load_entries(state::entry::table_type table, std::function<void(base::result<std::vector<state::entry>>)> answer) {
    load_records(std::move(answer), [table](tables& from) { return from.entries(table); });
}

void batching_store::load(std::string const& database, std::shared_ptr<catalog::snapshot const> current,
                          std::function<void(catalog::version_store::kept)> answer) {
    auto const job = [this, database, current = std::move(current), answer] {
        catalog::version_store::kept found;
        try {
            if (auto* const from = opened()) {
                found.versions = from->schemas().load(current);
                found.namesake = from->schemas().load_namesake(database, current);
                found.known = true;
                worked();
            }
        } catch (std::exception const& e) {
            fell(e, true);
        }
        answer(std::move(found));
    };
    if (!hand_over(job)) answer({});
}

/// What cannot be saved now is found when the next version is: places compare with what they have.
void batching_store::save(std::string const& database, std::shared_ptr<catalog::history const> schema, catalog::version_note note) {
    hand_over([this, database, schema = std::move(schema), note = std::move(note)] {
        try {
            if (auto* const to = opened()) {
                to->schemas().save(database, *schema, note);
                worked();
            }
        } catch (std::exception const& e) {
            fell(e, true);
        }
    });
}

} // namespace pgmend::store
