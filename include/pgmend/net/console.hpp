// Where clients of the admin database get their answers.
#pragma once

#include "pgmend/session/console.hpp"

#include <functional>
#include <string>

namespace pgmend::net {

/// Port: runs console commands. Implemented by admin::console; called from any worker's thread.
class console {
  public:
    virtual ~console() = default;

    [[nodiscard]] virtual session::console_commands const& commands() const = 0;

    /// Answers exactly once, on any thread, perhaps before this returns. `user` is who logged in, for the log.
    virtual void run(session::console_command const& command, std::string const& user, std::function<void(session::console_answer)> answer) = 0;
};

} // namespace pgmend::net
