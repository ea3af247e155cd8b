#include "dead_letters.hpp"

#include "watching.hpp"

#include "pgmend/app/options.hpp"
#include "pgmend/control/login.hpp"
#include "pgmend/pg/blocking_connection.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/state/report.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <set>

namespace pgmend::app {
namespace {

constexpr std::chrono::seconds patience{30};
constexpr std::int64_t retry_lock = 7301846592087014; // any number, the same for all; one of store's is beside it

bool waits(state::dead_letter const& it) { return it.state == "waiting"; }

/// What has to be said before one of them. Sent on its own: the server takes a message apart by the settings that it had before.
std::string preparation_of(state::dead_letter const& it) {
    return fmt::format("{}; SET LOCAL ROLE {}; SET LOCAL search_path TO {};\n", it.settings.empty() ? "SET LOCAL standard_conforming_strings = on" : it.settings,
                       sql::quoted_name(it.user), it.search_path.empty() ? "\"$user\", public" : it.search_path);
}

} // namespace

void list(std::vector<state::dead_letter> const& letters, std::ostream& out) {
    if (letters.empty()) out << "No row was set aside.\n";
    for (auto const& it : letters)
        out << fmt::format("{}  {}  {}  {} as {} in {}, rule {}: {} {}\n  {}\n", it.id, it.state, state::time_text(it.at),
                           it.application_name.empty() ? "(no application_name)" : it.application_name, it.user, it.database, it.rule, it.sqlstate, it.message,
                           it.statement);
}

void write_script(std::vector<state::dead_letter> const& letters, std::ostream& out) {
    std::string database;
    for (auto const& it : letters) {
        if (!waits(it)) continue;
        if (it.database != database) {
            database = it.database;
            out << "\\connect " << sql::quoted_name(database) << '\n';
        }
        out << fmt::format("-- {}, {}: {}\nBEGIN;\n{}COMMIT;\n", it.id, it.sqlstate, it.message.substr(0, it.message.find('\n')), preparation_of(it) + it.statement + ";\n");
    }
}

int retry(std::vector<state::dead_letter> const& letters, std::string const& place, config::settings const& settings,
          std::optional<std::string> const& connection, std::ostream& out, std::ostream& err) {
    auto const parameters_for = [&](std::string const& database) -> base::result<pg::parameters> {
        if (connection) {
            auto parsed = pg::parse_connection_string(*connection);
            if (parsed) (*parsed)["dbname"] = database;
            return parsed;
        }
        if (settings.backends.empty() || !settings.control) return base::fail(base::errc::invalid_input, "where to? --connect CONNINFO, or a configuration with control");
        return control::login_parameters(watcher_settings_of(settings), database);
    };
    std::map<std::string, std::unique_ptr<pg::blocking_connection>> connections;
    std::set<std::string> elsewhere; // databases in which another retry is under way
    std::set<std::uint64_t> done_before;
    // One at a time in a database; and what another one did until now was not known when the letters were read.
    auto const take = [&](pg::blocking_connection& to) -> base::result<bool> {
        auto const taken = to.query(fmt::format("SELECT pg_catalog.pg_try_advisory_lock({})", retry_lock), patience);
        if (!taken) return base::fail(base::errc::system, taken.error().text);
        if (taken->front().text(0, 0) != "t") return false;
        auto const now = store::read_records(place);
        if (!now) return now.error();
        for (auto const& it : now->dead_letters)
            if (!waits(it)) done_before.insert(it.id);
        return true;
    };
    bool well = true;
    for (auto const& it : letters) {
        if (!waits(it) || elsewhere.contains(it.database)) continue;
        auto const fail = [&](std::string const& why) {
            err << fmt::format("pgmend: {}: {}\n", it.id, why);
            well = false;
        };
        auto& to = connections[it.database];
        if (!to) {
            to = std::make_unique<pg::blocking_connection>();
            auto wanted = parameters_for(it.database);
            if (!wanted) {
                err << "pgmend: " << wanted.error().text << '\n';
                return status_failure;
            }
            if (auto const opened = to->open(std::move(*wanted), patience); !opened) {
                fail(opened.error().text);
                to.reset();
                continue;
            }
            auto const taken = take(*to);
            if (!taken || !*taken) {
                fail(taken ? fmt::format("another retry is under way in database {}", it.database) : taken.error().text);
                elsewhere.insert(it.database);
                continue;
            }
        }
        if (done_before.contains(it.id)) continue;
        auto stored = to->query("BEGIN;" + preparation_of(it), patience);
        if (stored) stored = to->query(it.statement + ";COMMIT", patience);
        if (!stored) {
            fail(stored.error().text + (to->is_open() ? "" : "; whether it is stored now is not known: look before the next retry"));
            if (to->is_open()) (void)to->query("ROLLBACK", patience);
            else to.reset();
            continue;
        }
        auto done = it;
        done.state = "retried";
        if (auto const marked = store::mark(place, done); !marked) fail("it is stored, but could not be marked: " + marked.error().text);
        else out << fmt::format("{}: stored\n", it.id);
    }
    return well ? status_ok : status_failure;
}

} // namespace pgmend::app
