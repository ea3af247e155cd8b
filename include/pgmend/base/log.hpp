// Log events: one named event with typed fields; where they go is decided above.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <variant>

namespace pgmend::base {

enum class log_level : std::uint8_t { debug, info, warning, error };

/// One field of an event. Text is UTF-8 or not: a sink escapes what is not. The viewed text only has to
/// live until `log` returns.
struct log_field {
    using value_type = std::variant<std::string_view, std::int64_t, double, bool>;

    log_field(std::string_view k, std::string_view v) : key{k}, value{v} {}
    log_field(std::string_view k, char const* v) : key{k}, value{std::string_view{v}} {}
    log_field(std::string_view k, std::same_as<bool> auto v) : key{k}, value{v} {}
    log_field(std::string_view k, double v) : key{k}, value{v} {}
    template <std::integral I>
        requires(!std::same_as<I, bool>)
    log_field(std::string_view k, I v) : key{k}, value{static_cast<std::int64_t>(v)} {}

    std::string_view key;
    value_type value;
};

/// Where events go. Called from any thread; must not block for long and must not throw.
class log_sink {
  public:
    virtual ~log_sink() = default;
    virtual void write(log_level level, std::string_view event, log_field const* fields, std::size_t count) noexcept = 0;
};

/// Installs the process's sink (nullptr: events are discarded). The sink must outlive every caller of `log`.
void set_log_sink(log_sink* sink, log_level lowest) noexcept;

/// Whether an event of this level would be written; ask before building expensive fields.
[[nodiscard]] bool log_enabled(log_level level) noexcept;

/// Writes one event. Names are stable and documented in the README: `client.connected`, `statement.healed`, …
/// Never pass literals of a statement, parameters or passwords.
void log(log_level level, std::string_view event, std::span<log_field const> fields);

/// Not from inside a coroutine: with optimization g++ 12 loses the initialization of the array behind the braces there.
/// Call a plain function that logs.
void log(log_level level, std::string_view event, std::initializer_list<log_field> fields);

} // namespace pgmend::base
