#include "folder_watch.hpp"

#include "pgmend/base/log.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace pgmend::app {
namespace {

// Neither IN_MODIFY nor IN_CREATE: what is half written is of no interest.
constexpr std::uint32_t saves = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t folder_moves = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW;

} // namespace

folder_watch::folder_watch(boost::asio::io_context& context, std::function<void()> changed)
    : changed_{std::move(changed)}, events_{context.get_executor()}, pause_{context.get_executor()}, retry_{context.get_executor()} {}

void folder_watch::set(std::vector<std::filesystem::path> folders) {
    if (folders == folders_ && (events_.is_open() || folders.empty())) return;
    folders_ = std::move(folders);
    open();
}

void folder_watch::stop() {
    folders_.clear();
    boost::system::error_code ignored;
    events_.close(ignored);
    pause_.cancel();
    retry_.cancel();
    pending_ = false;
}

/// A new descriptor: the old one's watches go with it.
void folder_watch::open() {
    boost::system::error_code ignored;
    events_.close(ignored);
    retry_.cancel();
    if (folders_.empty()) return;
    int const descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (descriptor < 0) {
        base::log(base::log_level::error, "config.unwatched", {{"reason", std::generic_category().message(errno)}});
        return;
    }
    events_.assign(descriptor);
    bool all = true;
    for (auto const& folder : folders_) all = ::inotify_add_watch(descriptor, folder.c_str(), saves | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0 && all;
    wait();
    if (!all) watch_again_later();
}

void folder_watch::wait() {
    events_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](boost::system::error_code failed) {
        if (!failed) on_readable();
    });
}

void folder_watch::on_readable() {
    alignas(inotify_event) std::array<char, 4096> buffer;
    bool any = false;
    bool moved = false;
    for (;;) {
        auto const n = ::read(events_.native_handle(), buffer.data(), buffer.size());
        if (n <= 0) break;
        for (ssize_t at = 0; at < n;) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            any = true;
            moved = moved || (event.mask & folder_moves) != 0;
            at += static_cast<ssize_t>(sizeof event) + static_cast<ssize_t>(event.len);
        }
    }
    if (any) on_event();
    if (moved) watch_again_later();
    if (events_.is_open()) wait();
}

void folder_watch::on_event() {
    auto const now = clock::now();
    if (!pending_) first_event_ = now;
    pending_ = true;
    pause_.expires_at(std::min(now + quiet, first_event_ + most_delay));
    pause_.async_wait([this](boost::system::error_code failed) {
        if (failed || !pending_) return; // moved on by a later event
        pending_ = false;
        changed_();
    });
}

void folder_watch::watch_again_later() {
    retry_.expires_after(std::chrono::seconds{1});
    retry_.async_wait([this](boost::system::error_code failed) {
        if (failed || folders_.empty()) return;
        bool const there = std::all_of(folders_.begin(), folders_.end(), [](auto const& folder) {
            std::error_code ignored;
            return std::filesystem::is_directory(folder, ignored);
        });
        if (!there) return watch_again_later();
        open();
        on_event();
    });
}

} // namespace pgmend::app
