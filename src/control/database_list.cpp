#include "database_list.hpp"

#include "catalog_reader.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/control/login.hpp"

namespace pgmend::control {

namespace {

constexpr int oldest_supported_server = 120000;

/// The busiest first, since not all of them may be read.
constexpr auto connectable_databases =
    "SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datallowconn AND NOT d.datistemplate"
    " ORDER BY pg_catalog.pg_stat_get_db_xact_commit(d.oid) DESC, d.datname";

// A plain function: see base::log about braces in coroutines.
void log_unsupported(int server_version) {
    base::log(base::log_level::warning, "catalog.unsupported",
              {{"server_version", server_version}, {"oldest", oldest_supported_server}});
}

pg::task<pg::result<std::vector<std::string>>> list_in(boost::asio::io_context& io, watcher_settings settings, std::string name) {
    auto const login = login_parameters(settings, name);
    if (!login) {
        pg::error e{login.error().code, {}, login.error().text};
        co_return e;
    }
    catalog_reader reader{io};
    auto const deadline = base::steady::now() + settings.backend.connect_timeout;
    auto const opened = co_await reader.open(*login, settings.load_timeout, false, deadline);
    if (!opened) co_return opened.error();
    if (reader.server_version() < oldest_supported_server)
        log_unsupported(reader.server_version());
    auto const answer = co_await reader.connection().query(connectable_databases, deadline);
    if (!answer) co_return answer.error();
    std::vector<std::string> names;
    for (auto const& rows : *answer) {
        for (std::size_t row = 0; row < rows.size(); ++row) names.emplace_back(rows.text(row, 0));
    }
    co_return names;
}

} // namespace

bool is_refusal(pg::error const& e) {
    return e.code == base::errc::invalid_input ||
           (e.sqlstate.size() == 5 && !e.sqlstate.starts_with("57") && !e.sqlstate.starts_with("53"));
}

pg::task<pg::result<std::vector<std::string>>> list_databases(boost::asio::io_context& io, watcher_settings settings) {
    auto const names = control_databases(settings);
    pg::error last;
    if (!names) {
        last = {names.error().code, {}, names.error().text};
        co_return last;
    }
    for (auto const& name : *names) {
        auto found = co_await list_in(io, settings, name);
        if (found) co_return found;
        // The first refusal is the one that is about the database which the user named, or meant.
        if (last.text.empty()) last = found.error();
        if (!is_refusal(found.error())) break;
    }
    co_return last;
}

} // namespace pgmend::control
