// The table of everything the console understands. Help and documentation come from it.
#pragma once

#include "pgmend/admin/console.hpp"
#include "pgmend/session/console.hpp"

#include <fmt/format.h>

#include <chrono>
#include <concepts>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgmend::admin {

struct request {
    console_sources const* from{nullptr};
    std::uint64_t number{0}; ///< where the command takes one
    std::string name;        ///< likewise; in capitals
    std::string user;
    std::function<void(session::console_answer)> answer; ///< to be called once
};

enum class argument_type : std::uint8_t { none, pattern, breaker, database }; ///< database: may be left out

struct command {
    std::string_view name;     ///< its words, in capitals
    std::string_view argument; ///< what the help calls the number behind it; empty: there is none
    std::string_view tag;      ///< of CommandComplete
    std::string_view help;     ///< empty: not worth telling of
    std::span<session::console_column const> columns;
    void (*run)(request) {nullptr};
    bool any_end{false};       ///< whatever comes behind the words
    argument_type takes{argument_type::none};
};

[[nodiscard]] std::span<command const> all_commands();

[[nodiscard]] std::string text_of(std::integral auto number) { return fmt::format("{}", number); }

/// session::console_commands over the table; `number` is the place in it.
[[nodiscard]] session::console_commands const& command_table();

// figures.cpp
void show_databases(request r);
void show_clients(request r);
void show_servers(request r);
void show_pools(request r);
void show_users(request r);
void show_lists(request r);
void show_state(request r);

// knowledge.cpp
void show_schema(request r);
void show_changes(request r);
void show_rules(request r);
void show_patterns(request r);

// breakers.cpp
void show_breakers(request r);
void trip_breaker(request r);
void reset_breaker(request r);
void disable_breaker(request r);
void enable_breaker(request r);

// observed.cpp
void show_stats(request r);
void show_stats_totals(request r);
void show_stats_averages(request r);
void show_totals(request r);
void show_heals(request r);
void show_drift(request r);
void show_cache(request r);
void show_memory(request r);
void show_history(request r);
void show_events(request r);
void show_monitor(request r);

// actions.cpp
void pause(request r);
void resume(request r);
void kill(request r);
void show_help(request r);
void show_version(request r);
void show_config(request r);
void approve_pattern(request r);
void reject_pattern(request r);
void suspend_pattern(request r);
void resume_pattern(request r);
void reload(request r);
void shut_down(request r);
void do_nothing(request r);

/// `2026-01-02 03:04:05 UTC`, as PgBouncer writes times.
/// The same with milliseconds, for what happens often.
[[nodiscard]] std::string fine_time_text(std::chrono::system_clock::time_point t);
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point t);

} // namespace pgmend::admin
