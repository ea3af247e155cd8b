// Counts the statements that drift, in memory, and hands the counts on to the store.
#pragma once

#include "pgmend/state/store.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace pgmend::control {

/// A statement costs a short mutex and a hash table's entry. Any thread.
class drift_book final : public state::drift_log {
  public:
    explicit drift_book(std::size_t most_rows = 10000) : most_rows_{most_rows} {}

    void add(state::drift_row const& seen) override;
    void describe(std::function<void(std::vector<state::drift_row>)> answer) override;

    /// What a store had: before anything is added.
    void restore(std::vector<state::drift_row> kept);
    /// What was counted since the last call goes to the store.
    void hand_on(state::store& to);

  private:
    struct counted {
        state::drift_row row;
        std::uint64_t unsaved{0};
    };
    [[nodiscard]] static std::string key_of(state::drift_row const& row);
    void make_room();

    std::size_t most_rows_;
    std::mutex mutex_;
    std::unordered_map<std::string, counted> rows_;
    std::vector<std::string> changed_; ///< keys of rows with unsaved counts
};

} // namespace pgmend::control
