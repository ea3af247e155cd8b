// Reading fields out of a message body without ever running past its end.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstdint>

namespace pgmend::wire {

/// Walks over a body. After the first read past the end `ok()` is false and every read answers zero or empty:
/// check once, at the end. Views point into the body.
class cursor {
  public:
    explicit cursor(base::byte_view body) : rest_{body} {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    [[nodiscard]] base::byte_view rest() const { return rest_; }

    char byte() {
        if (!take(1)) return 0;
        return taken_[0];
    }
    std::int16_t i16() { return take(2) ? static_cast<std::int16_t>(base::load_u16(taken_.data())) : std::int16_t{0}; }
    std::int32_t i32() { return take(4) ? static_cast<std::int32_t>(base::load_u32(taken_.data())) : 0; }
    std::uint32_t u32() { return take(4) ? base::load_u32(taken_.data()) : 0; }
    base::byte_view bytes(std::size_t count) { return take(count) ? taken_ : base::byte_view{}; }

    /// Text up to a NUL byte, which is passed over.
    base::byte_view text() {
        auto const end = rest_.find('\0');
        if (end == base::byte_view::npos) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        auto const found = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return found;
    }

  private:
    bool take(std::size_t count) {
        if (!ok_ || rest_.size() < count) {
            ok_ = false;
            rest_ = {};
            return false;
        }
        taken_ = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return true;
    }

    base::byte_view rest_;
    base::byte_view taken_;
    bool ok_{true};
};

} // namespace pgmend::wire
