#include "pgmend/app/log_sink.hpp"

#include "journald.hpp"
#include "log_output.hpp"

#include "pgmend/app/log_format.hpp"
#include "pgmend/app/rate_limiter.hpp"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace pgmend::app {
namespace {

constexpr auto last_patience = std::chrono::seconds{1}; // for what is still on the queue at the end

enum class look : std::uint8_t { text, coloured_text, json, journal };

look choose_look(config::log_format format, log_target const& target) {
    if (target.is_datagram()) return look::journal;
    bool const terminal = target.is_terminal();
    if (format == config::log_format::json || (format == config::log_format::automatic && !terminal)) return look::json;
    auto const* const no_colour = std::getenv("NO_COLOR"); // no-color.org
    auto const* const kind = std::getenv("TERM");
    bool const dumb = kind != nullptr && std::string_view{kind} == "dumb";
    return terminal && !dumb && (no_colour == nullptr || *no_colour == '\0') ? look::coloured_text : look::text;
}

std::string make_line(look l, base::log_level level, std::string_view event, std::span<base::log_field const> fields) {
    auto const now = std::chrono::system_clock::now();
    switch (l) {
    case look::json: return format_json(now, level, event, fields);
    case look::coloured_text: return format_story(now, level, event, fields, colour::on);
    case look::journal: return format_journal(level, event, fields);
    case look::text: break;
    }
    return format_story(now, level, event, fields, colour::off);
}

/// Standard error, or the journal behind it, to which fields can be told apart.
log_target standard_target(int descriptor) {
    if (is_journal(descriptor))
        if (int const journal = open_journal(); journal >= 0) return log_target::datagram(journal);
    return log_target::borrowed(descriptor);
}

log_target open_target(std::string const& file, int descriptor) {
    if (file.empty()) return standard_target(descriptor);
    auto opened = log_target::open(file);
    if (!opened) throw std::system_error(std::make_error_code(std::errc::io_error), opened.error().text);
    return std::move(*opened);
}

/// The process's signals belong to its other threads; a reader that went away must not end the process either.
void block_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

} // namespace

struct log_sink::state {
    state(config::log_settings const& settings, int own_descriptor, log_target target)
        : descriptor{own_descriptor}, used{settings}, shown{choose_look(settings.format, target)},
          output{std::make_shared<log_output>(std::move(target))} {}

    void post(std::string_view line) {
        if (auto* const queue = background.load(std::memory_order_acquire)) {
            ++posted;
            queue->log(spdlog::source_loc{}, spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
            return;
        }
        std::lock_guard lock{starting};
        ++posted;
        output->log({spdlog::string_view_t{}, spdlog::level::info, spdlog::string_view_t{line.data(), line.size()}});
    }

    /// Makes the output notice that its target was exchanged, also if nothing is logged.
    void wake() {
        ++posted;
        if (auto* const queue = background.load(std::memory_order_acquire)) {
            queue->flush();
            return;
        }
        std::lock_guard lock{starting};
        output->flush();
    }

    /// False: this event is one too many. Reports those of earlier seconds.
    bool admit(std::string_view event) {
        std::vector<rate_limiter::suppressed> over;
        bool admitted = false;
        {
            auto const now = base::steady::now();
            std::lock_guard lock{limiting};
            over = limiter.take(now);
            admitted = limiter.admit(event, now);
        }
        report(over);
        return admitted;
    }

    void report(std::vector<rate_limiter::suppressed> const& over) {
        for (auto const& s : over) {
            base::log_field const fields[] = {{"name", s.event}, {"count", s.count}};
            post(make_line(shown, base::log_level::warning, "log.suppressed", fields));
        }
    }

    base::result<void> use(std::string const& file, config::log_format format) {
        auto next = file.empty() ? base::result<log_target>{standard_target(descriptor)} : log_target::open(file);
        if (!next) return next.error();
        shown = choose_look(format, *next);
        output->exchange(std::move(*next));
        wake();
        return {};
    }

    [[nodiscard]] std::uint64_t overrun() const { return pool ? pool->overrun_counter() : 0; }

    int const descriptor;
    config::log_settings used; ///< only the owner's thread
    std::atomic<look> shown;
    std::shared_ptr<log_output> output;
    std::mutex starting; ///< `output` in the start-up phase
    std::mutex limiting;
    rate_limiter limiter{most_lines_per_second};
    std::atomic<std::uint64_t> posted{0};
    std::shared_ptr<spdlog::async_logger> logger;
    std::atomic<spdlog::async_logger*> background{nullptr};
    std::shared_ptr<spdlog::details::thread_pool> pool; ///< last: its thread ends before the rest goes
};

log_sink::log_sink(config::log_settings const& settings, int descriptor)
    : state_{std::make_unique<state>(settings, descriptor, open_target(settings.file, descriptor))} {}

log_sink::~log_sink() {
    if (!state_->pool) return;
    state_->report(state_->limiter.take(base::time_point::max()));
    drain(last_patience);
    state_->output->abandon();
    state_->background = nullptr;
    state_->pool.reset(); // waits for its thread, which no longer waits for the descriptor
}

void log_sink::write(base::log_level level, std::string_view event, base::log_field const* fields, std::size_t count) noexcept {
    try {
        bool const starting = state_->background.load(std::memory_order_relaxed) == nullptr;
        if (!starting && !state_->admit(event)) return;
        state_->post(make_line(state_->shown, level, event, {fields, count}));
    } catch (...) { // no memory: a log line is what can be missed
    }
}

void log_sink::run_in_background() {
    auto& s = *state_;
    if (s.pool) return;
    s.pool = std::make_shared<spdlog::details::thread_pool>(queue_lines, 1, block_signals, [] {});
    s.output->watch([&s] { return s.overrun(); },
                    [&s](std::uint64_t n) {
                        base::log_field const fields[] = {{"count", n}};
                        return make_line(s.shown, base::log_level::warning, "log.dropped", fields);
                    });
    s.logger = std::make_shared<spdlog::async_logger>("pgmend", s.output, s.pool, spdlog::async_overflow_policy::overrun_oldest);
    s.logger->set_error_handler([](std::string const&) {}); // spdlog's own would write to standard error, and block
    s.background.store(s.logger.get(), std::memory_order_release);
}

base::result<void> log_sink::reopen() {
    if (state_->used.file.empty()) return {};
    return state_->use(state_->used.file, state_->used.format);
}

base::result<void> log_sink::apply(config::log_settings const& settings) {
    if (auto done = state_->use(settings.file, settings.format); !done) return done;
    state_->used = settings;
    return {};
}

bool log_sink::drain(std::chrono::milliseconds limit) {
    auto const goal = state_->posted.load();
    auto const end = base::steady::now() + limit;
    while (state_->output->processed() + state_->overrun() < goal) {
        if (base::steady::now() >= end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

} // namespace pgmend::app
