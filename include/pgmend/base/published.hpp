// An immutable value that one thread replaces and many read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace pgmend::base {

/// Holds the newest version of an immutable T. `publish` from any thread; each reader thread keeps a
/// `reader` of its own, whose `get` costs one atomic load while nothing has changed.
/// A mutex guards the pointer: `std::atomic<std::shared_ptr>` of libstdc++ 12 is a data race to TSan.
template <class T>
class published {
  public:
    explicit published(std::shared_ptr<T const> first) : value_{std::move(first)} {}

    void publish(std::shared_ptr<T const> next) {
        std::shared_ptr<T const> old; // destroyed outside the lock
        {
            std::lock_guard lock{mutex_};
            old = std::exchange(value_, std::move(next));
            version_.fetch_add(1, std::memory_order_release);
        }
    }

    [[nodiscard]] std::shared_ptr<T const> get() const {
        std::lock_guard lock{mutex_};
        return value_;
    }

    /// One thread's view. Not thread-safe itself; the published value must outlive it.
    class reader {
      public:
        explicit reader(published const& source) : source_{&source} {}

        [[nodiscard]] std::shared_ptr<T const> const& get() {
            auto const now = source_->version_.load(std::memory_order_acquire);
            if (now != seen_) {
                std::lock_guard lock{source_->mutex_};
                value_ = source_->value_;
                seen_ = source_->version_.load(std::memory_order_relaxed);
            }
            return value_;
        }

      private:
        published const* source_;
        std::shared_ptr<T const> value_;
        std::uint64_t seen_{0};
    };

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<T const> value_;
    std::atomic<std::uint64_t> version_{1};
};

} // namespace pgmend::base
