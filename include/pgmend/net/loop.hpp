// The event loop of a thread that serves sockets.
#pragma once

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace boost::asio {
class thread_pool;
}

namespace pgmend::net {

/// A handler that is called once, or not at all. Small ones are kept in place: a wait of the relay's allocates nothing.
class completion {
  public:
    completion() = default;
    template <class Handler>
        requires(!std::is_same_v<std::decay_t<Handler>, completion>)
    explicit completion(Handler&& handler) {
        using kept = std::decay_t<Handler>;
        if constexpr (fits<kept>) {
            ::new (static_cast<void*>(space_)) kept(std::forward<Handler>(handler));
            actions_ = &actions_of<kept>;
        } else {
            auto boxed = [box = std::make_unique<kept>(std::forward<Handler>(handler))](boost::system::error_code outcome) { std::move (*box)(outcome); };
            ::new (static_cast<void*>(space_)) decltype(boxed)(std::move(boxed));
            actions_ = &actions_of<decltype(boxed)>;
        }
    }
    completion(completion&& other) noexcept : actions_{std::exchange(other.actions_, nullptr)} {
        if (actions_ != nullptr) actions_->move(other.space_, space_);
    }
    completion& operator=(completion&& other) noexcept {
        if (this == &other) return *this;
        reset();
        actions_ = std::exchange(other.actions_, nullptr);
        if (actions_ != nullptr) actions_->move(other.space_, space_);
        return *this;
    }
    ~completion() { reset(); }

    [[nodiscard]] explicit operator bool() const { return actions_ != nullptr; }

    /// The handler is gone before it runs: it may destroy what holds this, or wait again.
    void operator()(boost::system::error_code outcome) && { std::exchange(actions_, nullptr)->call(space_, outcome); }

  private:
    struct actions {
        void (*call)(void* space, boost::system::error_code outcome);
        void (*move)(void* from, void* to) noexcept;
        void (*destroy)(void* space) noexcept;
    };
    static constexpr std::size_t room = 48;
    template <class Handler>
    static constexpr bool fits = sizeof(Handler) <= room && alignof(Handler) <= alignof(void*) && std::is_nothrow_move_constructible_v<Handler>;
    template <class Handler>
    static constexpr actions actions_of{[](void* space, boost::system::error_code outcome) {
                                            auto* const place = static_cast<Handler*>(space);
                                            Handler handler{std::move(*place)};
                                            place->~Handler();
                                            std::move(handler)(outcome);
                                        },
                                        [](void* from, void* to) noexcept {
                                            auto* const place = static_cast<Handler*>(from);
                                            ::new (to) Handler(std::move(*place));
                                            place->~Handler();
                                        },
                                        [](void* space) noexcept { static_cast<Handler*>(space)->~Handler(); }};

    void reset() {
        if (actions_ != nullptr) std::exchange(actions_, nullptr)->destroy(space_);
    }

    actions const* actions_{nullptr};
    alignas(void*) std::byte space_[room];
};

/// epoll, a queue of what was posted, and timers: an execution context of Asio's, so that its coroutines and its `post` work here. What an event of a
/// socket's calls is one indirect call away from epoll_wait. With an io_context a short transaction takes 730 instructions more, of 3500 outside the kernel:
/// 2 to 3 % of the relay's CPU.
///
/// One thread runs it. `post` and `stop` from any thread; sockets and timers on that thread only, or before it runs.
///
/// Handlers that throw leave `run` with their exception; what else was due is done when `run` is called again.
class loop : public boost::asio::execution_context {
  public:
    class executor_type;

    loop();
    /// Handlers that wait are destroyed without being called, and with them what they own.
    ~loop();
    loop(loop const&) = delete;
    loop& operator=(loop const&) = delete;

    [[nodiscard]] executor_type get_executor() noexcept;

    /// Until `stop`, or, after `end_when_idle`, until nothing is posted and nothing waits.
    void run();
    void stop();
    void end_when_idle() { ends_when_idle_ = true; }

    /// On the loop's thread: has `work`, which blocks, done on another one; a few at a time, the others behind them. It may post here: the loop's destructor waits for
    /// what has begun, and the rest does not begin.
    void run_elsewhere(std::function<void()> work);

    [[nodiscard]] bool runs_here() const noexcept;

  private:
    friend class readiness;
    friend class timer;

    enum direction : std::uint8_t { read, write, directions };

    /// A descriptor. At the same address from its registration to its removal.
    struct watched {
        int descriptor{-1};
        bool for_writing{false};                       ///< epoll reports that, too
        std::array<bool, directions> seen{true, true}; ///< an edge that nobody has waited for
        std::array<completion, directions> waiting;
        watched* next{nullptr};
        watched* previous{nullptr};
    };

    struct task {
        completion handler;
        boost::system::error_code outcome;
    };

    using time_point = std::chrono::steady_clock::time_point;
    struct pending_timer {
        std::vector<completion> waiting;
        std::multimap<time_point, pending_timer*>::iterator place;
    };

    void post(completion handler, boost::system::error_code outcome = {});
    void watch(watched& it);
    void forget(watched& it);
    void wait(watched& it, direction what, completion&& handler);
    void end_waits(watched& it);
    void wait(pending_timer& it, time_point until, completion handler);
    void end_waits(pending_timer& it, boost::system::error_code outcome);

    void keep_room(std::vector<task>& in, std::size_t more) const;
    void run_posted();
    void look(bool block);
    void on_event(epoll_event const& event);
    void on_edge(watched& it, direction what);
    void take_what_others_posted();
    void end_due_timers();
    void arm();
    [[nodiscard]] bool idle();
    void wake() noexcept;

    int epoll_{-1};
    int wake_{-1};  ///< an eventfd
    int clock_{-1}; ///< a timerfd
    std::array<epoll_event, 128> events_;
    unsigned event_{0}; ///< the next one
    unsigned event_count_{0};
    std::vector<task> posted_;
    std::vector<task> due_; ///< posted before this round
    std::size_t next_due_{0};
    std::multimap<time_point, pending_timer*> timers_;
    time_point armed_{time_point::max()};
    std::size_t waits_{0};
    watched* first_{nullptr};
    bool ends_when_idle_{false};
    bool closing_{false};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::vector<task> posted_by_others_; ///< guarded by mutex_
    std::unique_ptr<boost::asio::thread_pool> elsewhere_; ///< null until it is needed
};

/// Calls what it is given on the loop's thread: at once where that is the caller's, unless blocking.never is required.
class loop::executor_type {
  public:
    explicit executor_type(loop& where) noexcept : loop_{&where} {}

    [[nodiscard]] loop& context() const noexcept { return *loop_; }
    [[nodiscard]] loop& query(boost::asio::execution::context_t) const noexcept { return *loop_; }
    [[nodiscard]] boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
        return never_ ? boost::asio::execution::blocking_t{boost::asio::execution::blocking.never} : boost::asio::execution::blocking_t{boost::asio::execution::blocking.possibly};
    }
    [[nodiscard]] executor_type require(boost::asio::execution::blocking_t::never_t) const noexcept { return {*loop_, true}; }
    [[nodiscard]] executor_type require(boost::asio::execution::blocking_t::possibly_t) const noexcept { return {*loop_, false}; }

    template <class Function>
    void execute(Function&& function) const {
        if (!never_ && loop_->runs_here()) {
            std::decay_t<Function> now{std::forward<Function>(function)};
            std::move(now)();
            return;
        }
        auto later = [function = std::decay_t<Function>(std::forward<Function>(function))](boost::system::error_code) mutable { std::move(function)(); };
        loop_->post(completion{std::move(later)});
    }

    friend bool operator==(executor_type const&, executor_type const&) noexcept = default;

  private:
    executor_type(loop& where, bool never) noexcept : loop_{&where}, never_{never} {}

    loop* loop_;
    bool never_{false};
};

inline loop::executor_type loop::get_executor() noexcept { return executor_type{*this}; }

} // namespace pgmend::net
