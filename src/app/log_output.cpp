#include "log_output.hpp"

#include <fmt/format.h>
#include <spdlog/details/log_msg.h>
#include <sys/poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <system_error>
#include <utility>

namespace pgmend::app {
namespace {

constexpr int patience_ms = 50; // how soon `abandon` is noticed

} // namespace

base::result<log_target> log_target::open(std::string const& file) {
    // Log lines show names of users and of tables: not for everyone.
    auto const before = ::umask(0027);
    auto* const opened = std::fopen(file.c_str(), "ae");
    int const why = errno;
    ::umask(before);
    if (opened == nullptr)
        return base::fail(base::errc::system, fmt::format("cannot open the log file {}: {}", file, std::generic_category().message(why)));
    int const own = ::dup(::fileno(opened)); // the stream's buffer is of no use here
    int const why_not = errno;
    (void)std::fclose(opened);
    if (own < 0)
        return base::fail(base::errc::system, fmt::format("cannot open the log file {}: {}", file, std::generic_category().message(why_not)));
    return log_target{own, true};
}

log_target& log_target::operator=(log_target&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(owned_, other.owned_);
    std::swap(datagram_, other.datagram_);
    return *this;
}

log_target::~log_target() {
    if (owned_) (void)::close(descriptor_);
}

bool log_target::is_terminal() const { return ::isatty(descriptor_) == 1; }

void log_output::watch(std::function<std::uint64_t()> lost, std::function<std::string(std::uint64_t)> notice) {
    lost_ = std::move(lost);
    notice_ = std::move(notice);
}

void log_output::log(spdlog::details::log_msg const& message) {
    take_next_target();
    report_losses();
    if (!write_all({message.payload.data(), message.payload.size()})) ++failed_;
    ++processed_;
}

void log_output::flush() {
    take_next_target();
    report_losses();
    ++processed_;
}

void log_output::exchange(log_target next) {
    std::lock_guard lock{next_mutex_};
    next_ = std::move(next);
}

void log_output::take_next_target() {
    std::optional<log_target> next;
    {
        std::lock_guard lock{next_mutex_};
        next.swap(next_);
    }
    if (next) target_ = std::move(*next); // `next` closes the old one
}

void log_output::report_losses() {
    if (!lost_) return;
    auto const all = lost_() + failed_;
    if (all > reported_ && write_all(notice_(all - reported_))) reported_ = all;
}

bool log_output::write_all(std::string_view line) {
    while (!line.empty() && !abandoned_) {
        pollfd ready{target_.descriptor(), POLLOUT, 0};
        if (::poll(&ready, 1, patience_ms) <= 0) continue; // not yet, or interrupted
        // A pipe that is ready takes PIPE_BUF bytes without blocking (POSIX); more might block for ever.
        auto const part = target_.is_datagram() ? line.size() : std::min<std::size_t>(line.size(), PIPE_BUF);
        auto const written = ::write(target_.descriptor(), line.data(), part);
        if (written >= 0) line.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR && errno != EAGAIN) return false;
    }
    return line.empty();
}

} // namespace pgmend::app
