#include "pgmend/control/analysis.hpp"

#include "pgmend/control/login.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>

namespace pgmend::control {
namespace {

namespace asio = boost::asio;

pg::task<pg::result<analysis>> analyse_in(asio::io_context& io, watcher_settings settings, analysis_request request) {
    auto const login = login_parameters(settings, request.database);
    if (!login) {
        pg::error e{login.error().code, {}, login.error().text};
        co_return e;
    }
    auto const deadline = [&] { return base::steady::now() + settings.load_timeout; };
    pg::pg_connection connection{io};
    auto const opened = co_await connection.open(*login, base::steady::now() + settings.backend.connect_timeout);
    if (!opened) co_return opened.error();
    std::string set;
    if (request.role) set += "SET ROLE " + quoted_identifier(*request.role) + ";";
    std::string path;
    for (auto const& name : request.search_path) path += (path.empty() ? "" : ", ") + quoted_identifier(name);
    if (!path.empty()) set += "SET search_path = " + path + ";";
    if (!set.empty()) {
        auto const done = co_await connection.query(set, deadline());
        if (!done) co_return done.error();
    }
    analysis out;
    for (auto const& sql : request.statements) {
        auto const described = co_await connection.describe(sql, request.parameter_types, deadline());
        if (!described && !connection.is_open()) co_return described.error();
        out.push_back(described ? std::nullopt : std::optional{described.error()});
    }
    co_return out;
}

} // namespace

std::string quoted_identifier(std::string_view name) {
    std::string out{'"'};
    for (char const c : name) out.append(c == '"' ? 2 : 1, c);
    return out += '"';
}

pg::result<analysis> analyse(watcher_settings const& settings, analysis_request const& request) {
    asio::io_context io{1};
    std::optional<pg::result<analysis>> outcome;
    auto on_end = [&](std::exception_ptr broken, pg::result<analysis> found) {
        if (broken) std::rethrow_exception(broken);
        outcome = std::move(found);
    };
    asio::co_spawn(io.get_executor(), analyse_in(io, settings, request), on_end);
    io.run();
    return *outcome;
}

} // namespace pgmend::control
