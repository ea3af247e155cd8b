#include "catalog_loop.hpp"
#include "database_list.hpp"

#include "pgmend/base/log.hpp"

#include "pgmend/net/io_context.hpp"

#include <boost/asio/co_spawn.hpp>

namespace pgmend::control {

namespace asio = boost::asio;

namespace {

// Plain functions: see base::log about braces in coroutines.
void log_limited(std::size_t read, std::size_t left_out) {
    base::log(base::log_level::warning, "catalog.limited", {{"read", read}, {"left_out", left_out}});
}

void log_unavailable(pg::error const& problem, std::chrono::milliseconds pause) {
    base::log(base::log_level::warning, "catalog.unavailable",
              {{"problem", problem.text}, {"sqlstate", problem.sqlstate}, {"retry_ms", pause.count()}});
}

} // namespace

/// Begins, or if it waits for another attempt, goes on at once.
void catalog_loop::begin_startup() {
    if (starting_) {
        startup_wake_.cancel();
        return;
    }
    starting_ = true;
    auto on_end = [this](std::exception_ptr broken) {
        starting_ = false;
        if (broken) base::log(base::log_level::error, "catalog.unavailable", {{"problem", "out of memory while starting"}});
    };
    asio::co_spawn(io_.get_executor(), start_up(), on_end);
}

/// Reads a version of every database that has none, so that there is something to compare with when the first statement
/// fails; again and again until the server has answered for each.
pg::task<void> catalog_loop::start_up() {
    load_schedule attempts;
    for (;;) {
        auto const listed = co_await list_some_databases();
        bool done = false;
        if (listed) {
            if (listed->left_out > 0)
                log_limited(listed->names.size(), listed->left_out);
            done = co_await read_each(listed->names);
        }
        if (done) co_return;
        auto const now = base::steady::now();
        attempts.on_failed(now);
        auto const pause = std::chrono::duration_cast<std::chrono::milliseconds>(attempts.earliest() - now);
        if (!listed)
            log_unavailable(listed.error(), pause);
        startup_wake_.expires_at(attempts.earliest());
        co_await startup_wake_.async_wait(net::use_io_tuple);
    }
}

pg::task<pg::result<catalog_loop::listing>> catalog_loop::list_some_databases() {
    auto names = co_await list_databases(io_, settings_);
    if (!names) co_return names.error();
    listing some{std::move(*names), 0};
    if (some.names.size() > settings_.most_startup_databases) {
        some.left_out = some.names.size() - settings_.most_startup_databases;
        some.names.resize(settings_.most_startup_databases);
    }
    co_return some;
}

/// One after the other, each over a connection of its own that is closed again. False where some may be read later.
pg::task<bool> catalog_loop::read_each(std::vector<std::string> names) {
    struct signal {
        timer_type timer;
        bool given{false};
    };
    bool done = true;
    for (auto const& name : names) (void)find_or_add(name); // who asks meanwhile sees what is still to come
    for (auto const& name : names) {
        auto& d = find_or_add(name);
        if (d.schema) continue;
        if (d.cause.empty()) d.cause = "start";
        auto const answered = std::make_shared<signal>(signal{timer_type{io_, base::time_point::max()}});
        refresh(name, {}, [answered](catalog::schema_answer const&) {
            answered->given = true;
            answered->timer.cancel();
        });
        if (!answered->given) co_await answered->timer.async_wait(net::use_io_tuple);
        auto const found = databases_.find(name);
        if (found == databases_.end()) continue;
        auto const& now_known = *found->second;
        if (!now_known.schema && !(now_known.problem && is_refusal(*now_known.problem))) done = false;
    }
    co_return done;
}

} // namespace pgmend::control
