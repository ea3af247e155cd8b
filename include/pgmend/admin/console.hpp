// The console's commands: psql -p 6432 pgmend.
#pragma once

#include "pgmend/base/published.hpp"
#include "pgmend/control/catalog_watcher.hpp"
#include "pgmend/control/learner.hpp"
#include "pgmend/net/console.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/net/session_figures.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::admin {

class observatory;

/// Where the commands look and what they set going. Pointers outlive the console; functions may be called from any thread, and answer on any.
struct console_sources {
    std::string version;
    std::chrono::system_clock::time_point started{std::chrono::system_clock::now()};
    net::services* services{nullptr};
    control::learner* learner{nullptr};
    observatory const* observed{nullptr};       ///< null: no averages, no history
    control::catalog_watcher* watcher{nullptr}; ///< null: no control connection
    /// All sessions of all workers.
    std::function<void(std::function<void(std::vector<net::session_figures>)>)> sessions;
    /// Topic and text, without secrets.
    std::function<void(std::function<void(std::vector<std::pair<std::string, std::string>>)>)> configuration;
    /// As SIGHUP; answers with what is wrong with the files, or with nothing.
    std::function<void(std::function<void(std::string)>)> reload;
    /// Statements of this database (empty: of all) wait from now on, once their transactions have ended; answers when none is under way, with
    /// the number of replication connections, which go on.
    std::function<void(std::string, std::function<void(std::size_t)>)> pause;
    std::function<void(std::string)> resume;
    std::function<bool(std::string const&)> is_paused;
    std::function<void(std::string)> kill;
    /// As SIGTERM.
    std::function<void()> shutdown;
};

/// Looks commands up and runs them. Immutable while clients use it.
class console final : public net::console {
  public:
    explicit console(console_sources sources);
    ~console() override;

    /// Before anybody logs in.
    void watch(control::catalog_watcher* watcher) { sources_.watcher = watcher; }

    [[nodiscard]] session::console_commands const& commands() const override;
    void run(session::console_command const& command, std::string const& user, std::function<void(session::console_answer)> answer) override;

  private:
    console_sources sources_;
};

/// The table of commands for the manual, in Markdown.
[[nodiscard]] std::string describe_commands();
/// Likewise: what PgBouncer's console has and this one has not.
[[nodiscard]] std::string describe_missing_commands();

} // namespace pgmend::admin
