#include "pgmend/admin/console.hpp"

#include "admin/commands.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <utility>

namespace pgmend::admin {

console::console(console_sources sources) : sources_{std::move(sources)} {}
console::~console() = default;

session::console_commands const& console::commands() const { return command_table(); }

void console::run(session::console_command const& command, std::string const& user, std::function<void(session::console_answer)> answer) {
    auto const& found = all_commands()[command.number];
    bool const looks = found.name.starts_with("SHOW") || found.help.empty();
    if (!looks) {
        auto const settings = sources_.services->settings.get();
        auto const& users = settings->admin.users;
        if (std::find(users.begin(), users.end(), user) == users.end())
            return answer(session::console_error{wire::sqlstate::insufficient_privilege, fmt::format("user \"{}\" may only look: {} is for admin.users", user, found.name), {}});
    }
    found.run({&sources_, command.argument.value_or(0), command.name, user, std::move(answer)});
}

std::string fine_time_text(std::chrono::system_clock::time_point t) {
    auto const ms = std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count() % 1000;
    return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(t)), ms);
}

std::string time_text(std::chrono::system_clock::time_point t) {
    return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(t)));
}

} // namespace pgmend::admin
