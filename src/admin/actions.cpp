#include "admin/commands.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/wire/sqlstate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pgmend::admin {
namespace {

using session::console_error;
using session::console_row;
using rows = std::vector<console_row>;

constexpr std::string_view config_file_error = "F0000";

/// Who did it; what became of it is logged where it happens.
void log_command(std::string_view name, request const& r) {
    base::log(base::log_level::info, "console.command", {{"user", r.user}, {"command", name}, {"number", r.number}});
    auto const now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    auto what = fmt::format("{} said {}", r.user, name);
    if (r.number != 0) what += fmt::format(" {}", r.number);
    r.from->services->journal.note({now, "console.command", std::move(what)});
}

void decide(request r, control::decision what, std::string_view name) {
    log_command(name, r);
    r.from->learner->decide(what, r.number, [answer = std::move(r.answer)](base::result<learning::pattern> const& done) {
        if (done) return answer(rows{});
        auto const kind = done.error().code;
        auto const code = kind == base::errc::not_found ? wire::sqlstate::undefined_object
            : kind == base::errc::invalid_input ? wire::sqlstate::wrong_state : std::string_view{"58000"}; // system_error
        answer(console_error{code, done.error().text, {}});
    });
}

} // namespace

void show_help(request r) {
    rows out;
    for (auto const& c : all_commands()) {
        if (c.help.empty()) continue;
        std::string columns;
        for (auto const& column : c.columns) columns.append(columns.empty() ? "" : ", ").append(column.name);
        out.push_back({fmt::format("{}{}{}", c.name, c.argument.empty() ? "" : " ", c.argument), std::string{c.help}, columns});
    }
    r.answer(std::move(out));
}

void show_version(request r) { r.answer(rows{{"pgmend " + r.from->version}}); }

void show_config(request r) {
    r.from->configuration([services = r.from->services, answer = std::move(r.answer)](std::vector<std::pair<std::string, std::string>> const& lines) {
        rows out;
        for (auto const& [topic, text] : lines)
            out.push_back({topic, text, std::nullopt, topic == "workers" || topic == "state" || topic == "http" ? "no" : "yes"});
        auto const settings = services->settings.get();
        out.push_back({"max_client_conn", fmt::format("{}", settings->listen.most_clients), "10000", "yes"}); // by PgBouncer's name, for its dashboards
        out.push_back({"max_user_connections", fmt::format("{}", settings->limits.per_user), "0", "yes"});
        answer(std::move(out));
    });
}

void approve_pattern(request r) { decide(std::move(r), control::decision::approve, "APPROVE PATTERN"); }
void reject_pattern(request r) { decide(std::move(r), control::decision::reject, "REJECT PATTERN"); }
void suspend_pattern(request r) { decide(std::move(r), control::decision::suspend, "SUSPEND PATTERN"); }
void resume_pattern(request r) { decide(std::move(r), control::decision::resume, "RESUME PATTERN"); }

namespace {

/// A name that nobody uses may be a mistake: whoever gave it shall know.
void answer_about(request r) {
    if (r.name.empty()) return r.answer(rows{});
    r.from->sessions([name = r.name, answer = std::move(r.answer)](std::vector<net::session_figures> const& all) {
        bool const used = std::any_of(all.begin(), all.end(), [&](auto const& s) { return s.database == name && !s.at_console; });
        if (used) return answer(rows{});
        answer(session::console_notice{fmt::format("no client is connected to database \"{}\" now", name), {}});
    });
}

} // namespace

void pause(request r) {
    log_command(r.name.empty() ? "PAUSE" : "PAUSE " + r.name, r);
    auto const& from = *r.from;
    auto name = r.name;
    from.pause(std::move(name), [r = std::move(r)](std::size_t replicating) {
        auto const& answer = r.answer;
        if (replicating == 0) return answer_about(r);
        answer(session::console_notice{
            fmt::format("{} replication connection{} on", replicating, replicating == 1 ? " goes" : "s go"),
            "PAUSE does not hold them back: a stream never ends by itself. SHOW CLIENTS lists them; KILL ends them."});
    });
}

void resume(request r) {
    log_command(r.name.empty() ? "RESUME" : "RESUME " + r.name, r);
    r.from->resume(r.name);
    answer_about(std::move(r));
}

void kill(request r) {
    log_command(r.name.empty() ? "KILL" : "KILL " + r.name, r);
    auto const from = r.from;
    auto const name = r.name;
    auto answer = std::move(r.answer);
    r.answer = [from, name, answer = std::move(answer)](session::console_answer const& told) {
        from->kill(name);
        answer(told);
    };
    answer_about(std::move(r)); // before they are gone
}

void reload(request r) {
    log_command("RELOAD", r);
    r.from->reload([answer = std::move(r.answer)](std::string problems) {
        while (!problems.empty() && problems.back() == '\n') problems.pop_back();
        if (problems.empty()) return answer(rows{});
        answer(console_error{config_file_error, "nothing was changed: " + problems, {}});
    });
}

void shut_down(request r) {
    log_command("SHUTDOWN", r);
    r.answer(rows{}); // before the session is told to end
    r.from->shutdown();
}

void do_nothing(request r) { r.answer(rows{}); }

} // namespace pgmend::admin
