// Where log events go: standard error or a file, without ever holding up a worker.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/config/settings.hpp"

#include <chrono>
#include <cstdint>
#include <memory>

namespace pgmend::app {

/// The process's log sink. Owned by the wiring; `write` from any thread, the rest from one.
///
///     starting --run_in_background()--> background --destructor--> drained, or abandoned after a second
///
/// starting: an event is written before `write` returns, so nothing that happens at start-up is lost.
/// background: `write` formats the line and puts it on a bounded queue (a mutex held for a move); one thread
/// of its own writes. If that thread cannot keep up, because standard error is blocked or the disk is slow,
/// the oldest lines are dropped and `log.dropped` says how many as soon as writing works again. More than
/// `most_lines_per_second` of one event are suppressed, and `log.suppressed` says which and how many.
///
/// SIGPIPE must be ignored by the process.
class log_sink final : public base::log_sink {
  public:
    static constexpr std::size_t queue_lines = 4096;
    static constexpr std::uint32_t most_lines_per_second = 200;

    /// Opens the file, if one is set; throws std::system_error with its name if that is impossible.
    /// `descriptor` is standard error, except in tests; it stays the caller's.
    explicit log_sink(config::log_settings const& settings, int descriptor = 2);
    ~log_sink() override;
    log_sink(log_sink const&) = delete;
    log_sink& operator=(log_sink const&) = delete;

    void write(base::log_level level, std::string_view event, base::log_field const* fields,
               std::size_t count) noexcept override;

    /// Ends the start-up phase. Call it before the first worker starts, and after any fork.
    void run_in_background();

    /// Opens the file again under its name (log rotation, SIGHUP). If that fails, the old one stays in use.
    [[nodiscard]] base::result<void> reopen();

    /// Applies a new format and file to a running sink; the level is `base::set_log_sink`'s. On failure all stays as it was.
    [[nodiscard]] base::result<void> apply(config::log_settings const& settings);

    /// Waits until everything written so far has left the queue. False: it has not within `limit`.
    bool drain(std::chrono::milliseconds limit);

  private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace pgmend::app
