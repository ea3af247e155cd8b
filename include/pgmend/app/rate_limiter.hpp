// Which log events are too many.
#pragma once

#include "pgmend/base/time.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pgmend::app {

/// Admits at most `most` events of one name in a window of one second that begins with the first of them.
/// The rest are counted; the count is handed out once, when the window is over. Not thread-safe.
/// Cost: one look-up in a hash table. Names beyond `most_names` share one count, so memory is bounded.
///
///     open --(most admitted)--> suppressing --(a second since its first event; count taken)--> open
class rate_limiter {
  public:
    static constexpr std::size_t most_names = 256;

    explicit rate_limiter(std::uint32_t most) : most_{most} {}

    /// Whether this event may be written. Call `take` first: a window whose count is not yet taken goes on suppressing.
    [[nodiscard]] bool admit(std::string_view event, base::time_point now);

    struct suppressed {
        std::string event;
        std::uint64_t count{0};

        bool operator==(suppressed const&) const = default;
    };

    /// What was suppressed in windows that are over at `now`. Cheap when nothing was.
    [[nodiscard]] std::vector<suppressed> take(base::time_point now);

  private:
    struct window {
        base::time_point begin;
        std::uint32_t admitted{0};
        std::uint64_t refused{0};
    };
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
    };

    std::uint32_t most_;
    std::unordered_map<std::string, window, text_hash, std::equal_to<>> windows_;
    std::size_t suppressing_{0}; ///< windows whose `refused` is not 0
};

} // namespace pgmend::app
