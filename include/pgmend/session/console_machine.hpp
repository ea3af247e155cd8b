// The console's side of the protocol: simple and extended queries whose SQL is a handful of commands.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/session/console.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// The texts of a query: split at semicolons, without comments, spaces made one. Empty ones are left out.
[[nodiscard]] std::vector<std::string> split_commands(base::byte_view text);

/// Answers a client that has logged in to the console. Frames in, frames out; the commands themselves are run outside:
///
///   read ──on_bytes()──> run(wanted) ──on_answer()──> read | run | close
///
/// What it holds is bounded: a message's length, the number of prepared statements and portals. A message that breaks the protocol ends
/// the session, as PostgreSQL does. Every result may be asked for in text or in binary.
class console_machine {
  public:
    static constexpr std::size_t most_frame_bytes = 64 * 1024;
    static constexpr std::size_t most_statements = 256; ///< prepared at a time; as many portals

    enum class step : std::uint8_t {
        read,  ///< more bytes are needed
        run,   ///< run wanted() and call on_answer
        close, ///< send what there is to send and close
    };

    /// `commands` must outlive it.
    explicit console_machine(console_commands const& commands) : commands_{commands} {}

    /// What arrived. What the client shall get is appended to `out`, here and below.
    [[nodiscard]] step on_bytes(base::byte_view bytes, std::string& out);
    [[nodiscard]] step on_answer(console_answer answer, std::string& out);

    [[nodiscard]] console_command const& wanted() const { return wanted_; }

    /// No command is under way, nor half a message.
    [[nodiscard]] bool idle() const { return at_ == inbox_.size() && simple_.empty() && !running_; }

  private:
    struct statement {
        std::optional<console_command> command; ///< nothing: an empty query
    };
    struct portal {
        std::optional<console_command> command;
        std::vector<bool> binary; ///< by column
        std::vector<console_row> rows;
        std::size_t sent{0};
        bool ran{false};
    };
    struct execution {
        bool simple{true};
        std::string portal;
        std::uint32_t most_rows{0}; ///< 0: all
    };

    step advance(std::string& out);
    step on_frame(char type, base::byte_view body, std::string& out);
    step on_query(base::byte_view body, std::string& out);
    step next_simple(std::string& out);
    bool on_parse(base::byte_view body, std::string& out);
    bool on_bind(base::byte_view body, std::string& out);
    bool on_describe(base::byte_view body, std::string& out);
    bool on_close(base::byte_view body, std::string& out);
    step on_execute(base::byte_view body, std::string& out);
    void send_rows(portal& from, std::uint32_t most, std::string& out);
    void fail(console_error const& error, std::string& out);
    step break_off(base::byte_view message, std::string& out);

    console_commands const& commands_;
    std::string inbox_;
    std::size_t at_{0}; ///< of the inbox, the rest is to be looked at
    std::deque<std::string> simple_; ///< commands of a query that wait
    std::optional<execution> running_;
    console_command wanted_;
    std::map<std::string, statement, std::less<>> statements_;
    std::map<std::string, portal, std::less<>> portals_;
    bool skipping_{false}; ///< after an error, up to Sync
};

} // namespace pgmend::session
