// What pgmend has found to be a heal, what people said about it, and how often it worked.
#pragma once

#include "pgmend/learning/evidence.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgmend::learning {

using time_point = std::chrono::sys_time<std::chrono::microseconds>;

/// proposed ──approve──> active <──resume── suspended
///     └────reject──> suspended   active ──suspend, failures──> suspended   any ──> retired (its old name is back, or nobody used it)
enum class pattern_state : std::uint8_t { proposed, active, suspended, retired };
[[nodiscard]] std::string_view name_of(pattern_state state);
[[nodiscard]] std::optional<pattern_state> state_named(std::string_view name);

struct pattern {
    std::uint64_t id{0};       ///< never used again
    std::string database;
    std::string text;          ///< the stable name, e.g. "column public.users.email -> email_address"; unique in its database
    evidence from{evidence::lineage};
    pattern_state state{pattern_state::proposed};
    bool rejected{false};      ///< suspended because a person said no: never proposed again
    std::string note;          ///< what approving means
    std::string reason;        ///< why it is suspended or retired
    std::uint64_t successes{0};
    std::uint64_t failures{0};
    time_point first_seen{};
    time_point last_used{};

    [[nodiscard]] double trust() const; ///< confidence of successes and failures
    bool operator==(pattern const&) const = default;
};

struct pattern_counts {
    std::array<std::uint64_t, 4> by_state{}; ///< in the order of pattern_state
    std::uint64_t bytes{0};                  ///< about what they take
};

struct book_limits {
    std::size_t most_patterns{100000}; ///< beyond it the oldest retired ones are forgotten, then the oldest proposed ones
    double lowest_trust{0.5};          ///< YAML: patterns.suspend_below; a pattern that falls below is suspended
    std::uint64_t least_trials{5};     ///< YAML: patterns.minimum_uses; but not before so many uses
    std::chrono::milliseconds retire_after{std::chrono::hours{24 * 90}}; ///< YAML: patterns.retire_after

    bool operator==(book_limits const&) const = default;
};

/// A plain value: no clock, no threads. One owner changes it; readers get copies.
class pattern_book {
  public:
    explicit pattern_book(book_limits limits = {}) : limits_{limits} {}

    /// From now on: what is suspended or retired already stays so.
    void set_limits(book_limits limits) { limits_ = limits; }

    /// A change of state, for logs and stores.
    struct change {
        std::uint64_t id{0};
        pattern_state to{pattern_state::proposed};
    };

    [[nodiscard]] pattern const* find(std::string_view database, std::string_view text) const;
    [[nodiscard]] pattern const* find(std::uint64_t id) const;
    [[nodiscard]] std::map<std::uint64_t, pattern> const& patterns() const { return patterns_; } ///< by id
    /// Kept as they change: to ask costs the same however many there are.
    [[nodiscard]] pattern_counts const& counts() const { return counts_; }
    /// Differs after every change that matters to a plan: of what is suspended and what is approved. Not after mere counts,
    /// nor because a pattern became known.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

    /// What the planner asks for, alone: the suspended and the approved patterns, under the same generation. There are as
    /// many as people made decisions, however many patterns there are.
    [[nodiscard]] pattern_book decisions() const;

    // What the planner asks.
    [[nodiscard]] bool suspended(std::string_view database, std::string_view text) const; ///< also rejected
    [[nodiscard]] bool approved(std::string_view database, std::string_view text) const;

    /// A heal that needs approval was found. Nothing where it is known already (a retired one is proposed again).
    std::optional<change> propose(std::string_view database, std::string_view text, evidence from, std::string_view note, time_point now);
    /// A heal was used. Makes an active pattern of one not known. A failure may suspend it.
    std::optional<change> record(std::string_view database, std::string_view text, evidence from, bool success, time_point now);

    // What people say. Nothing where the pattern is not known or its state does not allow it.
    std::optional<change> approve(std::uint64_t id, time_point now);
    std::optional<change> reject(std::uint64_t id, time_point now);
    std::optional<change> suspend(std::uint64_t id, std::string_view reason, time_point now);
    std::optional<change> resume(std::uint64_t id, time_point now); ///< begins to count anew

    /// Its old name exists again, or it is of no use any more.
    std::optional<change> retire(std::uint64_t id, std::string_view reason, time_point now);
    /// Retires what nobody used for `retire_after`.
    std::vector<change> retire_unused(time_point now);

    /// From a store: as it was. An id or a text that is there already is replaced.
    void put(pattern stored);
    /// From a store that others write as well: its text is replaced, and another that has its id gets a new one: then answers
    /// with that.
    std::optional<std::uint64_t> adopt(pattern stored);

    /// Database and text of those that had to make room, since the last call.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> take_forgotten() { return std::exchange(forgotten_, {}); }

  private:
    pattern* at(std::uint64_t id);
    pattern* add(std::string_view database, std::string_view text, evidence from, time_point now);
    void make_room();
    change move(pattern& it, pattern_state to);
    void erase(std::uint64_t id);
    void insert(pattern made);
    [[nodiscard]] static bool decides(pattern const& it);
    [[nodiscard]] static std::string key(std::string_view database, std::string_view text);

    book_limits limits_;
    std::map<std::uint64_t, pattern> patterns_;
    std::unordered_map<std::string, std::uint64_t> by_text_; ///< database NUL text
    pattern_counts counts_;
    std::vector<std::pair<std::string, std::string>> forgotten_;
    std::uint64_t next_{1};
    std::uint64_t generation_{1};
};

} // namespace pgmend::learning
