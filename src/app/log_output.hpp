// The far end of the log: a descriptor that may block, fail, or be exchanged.
#pragma once

#include "pgmend/base/error.hpp"

#include <spdlog/sinks/sink.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace pgmend::app {

/// An open descriptor, closed at the end only if it is its own.
class log_target {
  public:
    static log_target borrowed(int descriptor) { return {descriptor, false}; }
    static log_target datagram(int socket) { return {socket, true, true}; } ///< each line is one message; takes it over
    [[nodiscard]] static base::result<log_target> open(std::string const& file); ///< appends; creates it with mode 0640

    log_target(log_target&& other) noexcept : descriptor_{other.descriptor_}, owned_{std::exchange(other.owned_, false)}, datagram_{other.datagram_} {}
    log_target& operator=(log_target&& other) noexcept;
    ~log_target();

    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] bool is_terminal() const;
    [[nodiscard]] bool is_datagram() const { return datagram_; }

  private:
    log_target(int descriptor, bool owned, bool datagram = false) : descriptor_{descriptor}, owned_{owned}, datagram_{datagram} {}

    int descriptor_;
    bool owned_;
    bool datagram_;
};

/// Writes finished lines. `log` and `flush` are called by one thread at a time; the rest from any thread.
/// Waits until the descriptor takes bytes, but no longer once `abandon` was called.
class log_output final : public spdlog::sinks::sink {
  public:
    explicit log_output(log_target target) : target_{std::move(target)} {}

    /// `lost` counts the lines that never reached this object; `notice` makes the line that reports n lost ones.
    void watch(std::function<std::uint64_t()> lost, std::function<std::string(std::uint64_t)> notice);

    void log(spdlog::details::log_msg const& message) override;
    void flush() override;
    void set_pattern(std::string const&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

    void exchange(log_target next); ///< takes effect before the next line
    void abandon() { abandoned_ = true; }
    [[nodiscard]] std::uint64_t processed() const { return processed_; } ///< calls of `log` and `flush` that are done

  private:
    void take_next_target();
    [[nodiscard]] bool write_all(std::string_view line);
    void report_losses();

    log_target target_;
    std::mutex next_mutex_;
    std::optional<log_target> next_;
    std::atomic<bool> abandoned_{false};
    std::atomic<std::uint64_t> processed_{0};
    std::function<std::uint64_t()> lost_;
    std::function<std::string(std::uint64_t)> notice_;
    std::uint64_t failed_{0};   ///< lines that the descriptor refused: disk full, reader gone
    std::uint64_t reported_{0}; ///< of lost and failed ones
};

} // namespace pgmend::app
