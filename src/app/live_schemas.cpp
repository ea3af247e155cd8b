#include "live_schemas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <thread>

namespace pgmend::app {

base::result<std::vector<control::watched_database>> read_schemas(control::watcher_settings const& settings, std::chrono::milliseconds limit) {
    control::catalog_watcher watcher{settings};
    watcher.start();
    auto const until = std::chrono::steady_clock::now() + limit;
    std::vector<control::watched_database> found;
    while (std::chrono::steady_clock::now() < until) {
        auto const answer = std::make_shared<std::promise<std::vector<control::watched_database>>>();
        auto arrived = answer->get_future();
        watcher.describe([answer](std::vector<control::watched_database> databases) { answer->set_value(std::move(databases)); });
        found = arrived.get();
        bool const all = std::all_of(found.begin(), found.end(), [](auto const& d) { return d.schema != nullptr || !d.problem.empty(); });
        if (!found.empty() && all) break;
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    watcher.stop();
    if (std::none_of(found.begin(), found.end(), [](auto const& d) { return d.schema != nullptr; })) {
        auto const told = std::find_if(found.begin(), found.end(), [](auto const& d) { return !d.problem.empty(); });
        return base::fail(base::errc::connection_lost, told != found.end() ? told->problem : "the server did not answer in time, or refused the control connection");
    }
    return found;
}

base::result<std::shared_ptr<catalog::history const>> read_schema(control::watcher_settings const& settings, std::string const& database,
                                                                  std::chrono::milliseconds limit) {
    control::catalog_watcher watcher{settings};
    watcher.start();
    auto const answer = std::make_shared<std::promise<catalog::schema_answer>>();
    auto arrived = answer->get_future();
    watcher.refresh(database, {}, [answer](catalog::schema_answer found) { answer->set_value(std::move(found)); });
    if (arrived.wait_for(limit) != std::future_status::ready) watcher.stop(); // which answers
    auto found = arrived.get();
    watcher.stop();
    if (!found.schema) return base::fail(base::errc::connection_lost, fmt::format("the schema of {} could not be read: {}", database, found.problem));
    return found.schema;
}

} // namespace pgmend::app
