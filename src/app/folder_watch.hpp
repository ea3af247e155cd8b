// Tells when files in some directories have been saved.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <vector>

namespace pgmend::app {

/// Calls `changed` on the context's thread once files in the watched directories were written and closed, renamed, made or removed, and nothing
/// more has happened for `quiet` (at the latest `most_delay` after the first event): who saves several files, or in several steps,
/// is read once. A directory that cannot be watched (any more) is tried again every second, and `changed` is called when it can. inotify (Linux).
class folder_watch {
  public:
    static constexpr std::chrono::milliseconds quiet{150};
    static constexpr std::chrono::milliseconds most_delay{600};

    folder_watch(boost::asio::io_context& context, std::function<void()> changed);

    /// From now on these. None: nothing is watched.
    void set(std::vector<std::filesystem::path> folders);

    /// No call of `changed` after this.
    void stop();

  private:
    using clock = std::chrono::steady_clock;

    void open();
    void wait();
    void on_readable();
    void on_event();
    void watch_again_later();

    std::function<void()> changed_;
    std::vector<std::filesystem::path> folders_;
    boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> events_;
    boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, boost::asio::io_context::executor_type> pause_;
    boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, boost::asio::io_context::executor_type> retry_;
    clock::time_point first_event_{};
    bool pending_{false};
};

} // namespace pgmend::app
