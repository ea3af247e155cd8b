// Where pgmend keeps what must survive a restart.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/state/records.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pgmend::state {

/// Port, implemented by store::sqlite_store and store::postgres_store. Any thread; never blocks: a thread of the store's own
/// does all the work, in the order in which it was asked for. Answers come on that thread, exactly once.
class store {
  public:
    virtual ~store() = default;

    /// Nothing, or why it could not be kept.
    using kept = std::function<void(base::result<void>)>;

    /// All or nothing, durable before the answer. What has not begun to be written by `not_after` is not written, and answered with a timeout.
    virtual void keep(std::vector<change> changes, kept answer, std::chrono::steady_clock::time_point not_after) = 0;

    /// Written within a second. While the store is down or busy it is kept in a bounded buffer; what does not fit is
    /// dropped and counted.
    virtual void note(change what) = 0;

    /// Everything that was written before the call is among the answer.
    virtual void load_patterns(std::function<void(base::result<std::vector<learning::pattern>>)> answer) = 0;
    virtual void load_drift(std::function<void(base::result<std::vector<drift_row>>)> answer) = 0;
    virtual void load_entries(entry::table_type table, std::function<void(base::result<std::vector<entry>>)> answer) = 0;

    /// For figures and logs.
    struct condition {
        bool up{false};
        std::string problem;       ///< why not
        bool newer{false};         ///< because a newer pgmend made it
        std::uint64_t waiting{0};  ///< changes that are not written yet
        std::uint64_t dropped{0};  ///< changes that found no room, or that the store refused
    };
    [[nodiscard]] virtual condition now() const = 0;
};

} // namespace pgmend::state
