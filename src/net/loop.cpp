#include "pgmend/net/loop.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "net/system_call.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

namespace pgmend::net {
namespace {

/// What blocks for long must not hold up all else that blocks: the name of one server may not be known to anybody, while others' are.
constexpr std::size_t threads_elsewhere = 4;

thread_local loop const* running = nullptr;

[[noreturn]] void throw_errno(char const* what) { throw std::system_error{errno, std::system_category(), what}; }

/// Of an eventfd or a timerfd: so that it does not report what has been seen.
void drain(int descriptor) {
    std::uint64_t count = 0;
    (void)!::read(descriptor, &count, sizeof count);
}

} // namespace

loop::loop() : epoll_{::epoll_create1(EPOLL_CLOEXEC)}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, clock_{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)} {
    bool made = epoll_ >= 0 && wake_ >= 0 && clock_ >= 0;
    for (int* const descriptor : {&wake_, &clock_}) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = descriptor; // no address of a `watched`
        made = made && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, *descriptor, &event) == 0;
    }
    if (made) return;
    int const number = errno;
    for (int const descriptor : {epoll_, wake_, clock_})
        if (descriptor >= 0) (void)::close(descriptor);
    errno = number;
    throw_errno("an event loop");
}

loop::~loop() {
    if (elsewhere_) {
        elsewhere_->stop();
        elsewhere_->join();
    }
    {
        std::lock_guard const lock{mutex_}; // behind the last that was posted
        closing_ = true;                    // what is posted or waited for from here on is destroyed at once
    }
    // Each handler may own what has waits of its own, so they are taken out before they are destroyed.
    while (first_ != nullptr) {
        auto& it = *first_;
        first_ = it.next;
        if (first_ != nullptr) first_->previous = nullptr;
        it.next = it.previous = nullptr;
        auto const waiting = std::exchange(it.waiting, {});
    }
    while (!timers_.empty()) {
        auto const waiting = std::exchange(timers_.begin()->second->waiting, {});
        timers_.erase(timers_.begin());
    }
    for (auto* const tasks : {&due_, &posted_, &posted_by_others_}) {
        auto const all = std::exchange(*tasks, {});
    }
    shutdown();
    destroy();
    for (int const descriptor : {epoll_, wake_, clock_}) (void)::close(descriptor);
}

bool loop::runs_here() const noexcept { return running == this; }

void loop::run() {
    struct here {
        explicit here(loop const* it) : before{std::exchange(running, it)} {}
        ~here() { running = before; }
        loop const* before;
    } const while_it_runs{this};
    while (!stopped_.load(std::memory_order_relaxed)) {
        while (event_ < event_count_) on_event(events_[event_++]);
        if (next_due_ < due_.size() || !posted_.empty()) run_posted();
        if (ends_when_idle_ && idle()) return;
        look(posted_.empty());
    }
}

void loop::stop() {
    stopped_.store(true, std::memory_order_relaxed);
    wake();
}

void loop::run_elsewhere(std::function<void()> work) {
    if (!elsewhere_) elsewhere_ = std::make_unique<boost::asio::thread_pool>(threads_elsewhere);
    boost::asio::post(*elsewhere_, std::move(work));
}

void loop::run_posted() {
    if (next_due_ == due_.size()) {
        due_.clear();
        next_due_ = 0;
        keep_room(due_, 0);
        due_.swap(posted_);
    }
    while (next_due_ < due_.size() && !stopped_.load(std::memory_order_relaxed)) {
        auto it = std::move(due_[next_due_++]);
        std::move(it.handler)(it.outcome);
    }
}

void loop::look(bool block) {
    auto const count = system_call(SYS_epoll_pwait, epoll_, events_.data(), events_.size(), block ? -1 : 0, 0, 0);
    event_ = 0;
    event_count_ = static_cast<unsigned>(std::max(count, 0L)); // else a signal
}

bool loop::idle() {
    if (waits_ > 0 || !posted_.empty()) return false;
    std::lock_guard const lock{mutex_};
    return posted_by_others_.empty();
}

// -------------------------------------------------------------------------------------------------- posting

void loop::post(completion handler, boost::system::error_code outcome) {
    if (closing_) return;
    if (runs_here()) {
        keep_room(posted_, 1);
        posted_.push_back({std::move(handler), outcome});
        return;
    }
    bool first = false;
    {
        std::lock_guard const lock{mutex_};
        first = posted_by_others_.empty();
        posted_by_others_.push_back({std::move(handler), outcome});
    }
    if (first) wake();
}

/// For `more`, and for the waits under way: these may end in a destructor, where posting must not fail for want of memory.
void loop::keep_room(std::vector<task>& in, std::size_t more) const {
    auto const needed = in.size() + waits_ + more;
    if (in.capacity() < needed) in.reserve(std::max(needed, 2 * in.capacity()));
}

void loop::wake() noexcept {
    std::uint64_t const one = 1;
    (void)!::write(wake_, &one, sizeof one); // fails where it is to wake up already
}

void loop::take_what_others_posted() {
    std::lock_guard const lock{mutex_};
    keep_room(posted_, posted_by_others_.size()); // where that fails, it is tried again
    drain(wake_);
    std::move(posted_by_others_.begin(), posted_by_others_.end(), std::back_inserter(posted_));
    posted_by_others_.clear();
}

// -------------------------------------------------------------------------------------------------- sockets

void loop::watch(watched& it) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = &it;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, it.descriptor, &event) != 0) throw std::bad_alloc{}; // the one failure there is: the kernel's want of memory, or of epoll watches
    it.next = first_;
    if (first_ != nullptr) first_->previous = &it;
    first_ = &it;
}

void loop::forget(watched& it) {
    end_waits(it);
    if (closing_ && it.previous == nullptr && first_ != &it) return; // the destructor has taken it out
    (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, it.descriptor, nullptr);
    for (unsigned i = event_; i < event_count_; ++i)
        if (events_[i].data.ptr == &it) events_[i].data.ptr = nullptr;
    if (event_ > 0 && events_[event_ - 1].data.ptr == &it) events_[event_ - 1].data.ptr = nullptr; // whose handler is running
    if (it.next != nullptr) it.next->previous = it.previous;
    (it.previous != nullptr ? it.previous->next : first_) = it.next;
}

void loop::wait(watched& it, direction what, completion&& handler) {
    if (closing_) return;
    if (what == write && !it.for_writing) { // rarely waited for, so it is not reported before
        it.for_writing = true;
        it.seen[write] = false;
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.ptr = &it;
        (void)::epoll_ctl(epoll_, EPOLL_CTL_MOD, it.descriptor, &event); // reports how it is now
    }
    if (std::exchange(it.seen[what], false)) return post(std::move(handler));
    auto& waiting = it.waiting[what];
    if (!waiting) {
        keep_room(posted_, 1);
        waiting = std::move(handler);
        ++waits_;
        return;
    }
    auto both = [this, first = std::move(waiting), second = std::move(handler)](boost::system::error_code outcome) mutable {
        post(std::move(second), outcome); // whatever becomes of the first
        std::move(first)(outcome);
    };
    waiting = completion{std::move(both)};
}

void loop::end_waits(watched& it) {
    for (auto& waiting : it.waiting) {
        if (!waiting) continue;
        --waits_;
        post(std::move(waiting), boost::asio::error::operation_aborted);
    }
}

void loop::on_event(epoll_event const& event) {
    auto* const what = event.data.ptr;
    if (what == nullptr) return; // removed meanwhile
    if (what == &wake_) return take_what_others_posted();
    if (what == &clock_) return end_due_timers();
    auto& it = *static_cast<watched*>(what);
    constexpr unsigned both = EPOLLERR | EPOLLHUP;
    bool const writable = (event.events & (EPOLLOUT | both)) != 0;
    bool readable = (event.events & (EPOLLIN | both)) != 0;
    if (writable && it.waiting[write] && readable && it.waiting[read]) { // whatever becomes of the one, the other is called
        --waits_;
        post(std::move(it.waiting[read]));
        readable = false;
    }
    if (writable) on_edge(it, write);
    if (readable && event.data.ptr != nullptr) on_edge(it, read);
}

void loop::on_edge(watched& it, direction what) {
    auto& waiting = it.waiting[what];
    it.seen[what] = !waiting;
    if (!waiting) return;
    --waits_;
    std::move(waiting)({});
}

// --------------------------------------------------------------------------------------------------- timers

void loop::wait(pending_timer& it, time_point until, completion handler) {
    if (closing_) return;
    keep_room(posted_, 1);
    it.waiting.reserve(it.waiting.size() + 1);
    bool const first = it.waiting.empty();
    if (first) it.place = timers_.emplace(until, &it);
    it.waiting.push_back(std::move(handler));
    ++waits_;
    if (first) arm();
}

void loop::end_waits(pending_timer& it, boost::system::error_code outcome) {
    if (it.waiting.empty()) return;
    auto waiting = std::exchange(it.waiting, {});
    timers_.erase(it.place);
    for (auto& each : waiting) {
        --waits_;
        post(std::move(each), outcome);
    }
}

void loop::end_due_timers() {
    drain(clock_);
    armed_ = time_point::max();
    auto const now = std::chrono::steady_clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) end_waits(*timers_.begin()->second, {});
    arm();
}

/// For the first timer that is to come. One that was taken away leaves the clock as it is: it wakes up for nothing once.
void loop::arm() {
    if (timers_.empty() || timers_.begin()->first >= armed_) return;
    armed_ = timers_.begin()->first;
    auto const left = std::max(armed_ - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration{1}); // 0 disarms
    auto const seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = std::chrono::nanoseconds{left - seconds}.count();
    (void)::timerfd_settime(clock_, 0, &when, nullptr);
}

} // namespace pgmend::net
