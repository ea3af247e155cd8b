// What the console understands and answers, as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgmend::session {

enum class console_type : std::uint8_t { text, integer, real }; ///< text, int8, float8

struct console_column {
    std::string_view name;
    console_type type{console_type::text};
};

/// A command that was understood. Views live as long as the console_commands.
struct console_command {
    std::size_t number{0}; ///< means something to the console_commands alone
    std::optional<std::uint64_t> argument;
    std::span<console_column const> columns; ///< empty: it returns no rows
    std::string_view tag;                    ///< of CommandComplete
    std::string name{};                      ///< the argument where it is a name: of a breaker in capitals; of a database, empty: all
};

struct console_error {
    std::string_view code; ///< SQLSTATE
    std::string message;
    std::string hint;
};

/// Values in text, as PostgreSQL writes them; nothing: NULL. Each row has a value for each column.
using console_row = std::vector<std::optional<std::string>>;

/// A command without rows has been carried out, and there is something to say about it.
struct console_notice {
    std::string message;
    std::string detail;
};

using console_answer = std::variant<std::vector<console_row>, console_error, console_notice>;

/// Port: the table of commands. Only looks things up, so it may be asked from any thread.
class console_commands {
  public:
    virtual ~console_commands() = default;
    /// `text` is one command: no semicolon, no comment, not empty, spaces only between words.
    [[nodiscard]] virtual std::variant<console_command, console_error> find(std::string_view text) const = 0;
};

} // namespace pgmend::session
