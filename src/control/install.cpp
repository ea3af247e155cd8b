#include "pgmend/control/install.hpp"

#include "catalog_reader.hpp"
#include "database_list.hpp"
#include "pgmend/control/login.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <optional>

namespace pgmend::control {

namespace {

namespace asio = boost::asio;

/// Whatever goes wrong in the function must not keep anybody from changing the schema: it is caught, and NOTIFY is left out while
/// the queue is half full, since a full one fails at COMMIT, where nothing can be caught. DDL on temporary objects alone is told
/// to nobody. The message names what changed (see change_notice), so that nothing else need be read. ENABLE ALWAYS: also for what a logical subscription applies.
constexpr auto install = R"(BEGIN;
CREATE SCHEMA IF NOT EXISTS pgmend;
COMMENT ON SCHEMA pgmend IS 'pgmend, a proxy: tells it when the schema changes (pgmend uninstall removes it)';
CREATE OR REPLACE FUNCTION pgmend.notify_of_change() RETURNS event_trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    objects text;
BEGIN
    IF current_setting('pgmend.notify', true) = 'off' OR pg_notification_queue_usage() > 0.5 THEN
        RETURN;
    END IF;
    IF tg_event = 'sql_drop' THEN
        SELECT string_agg(DISTINCT CASE
                WHEN o.classid = 'pg_class'::regclass THEN 'r' || o.objid
                WHEN o.classid = 'pg_constraint'::regclass THEN 'c' || o.objid
                WHEN o.classid = 'pg_type'::regclass THEN 't' || o.objid
                WHEN o.classid = 'pg_proc'::regclass THEN 'p' || o.objid
                WHEN o.classid = 'pg_attrdef'::regclass
                    THEN 'r' || to_regclass(format('%I.%I', o.address_names[1], o.address_names[2]))::oid
                WHEN o.classid IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass) THEN NULL
                ELSE '*' END, ',')
            INTO objects FROM pg_event_trigger_dropped_objects() AS o WHERE NOT o.is_temporary;
        IF objects IS NULL THEN
            RETURN;
        END IF;
    ELSIF tg_tag LIKE 'DROP %' OR tg_tag IN ('REFRESH MATERIALIZED VIEW', 'COMMENT', 'GRANT', 'REVOKE') THEN
        RETURN;
    ELSE
        SELECT string_agg(DISTINCT CASE
                WHEN c.classid = 'pg_class'::regclass AND tg_tag <> 'ALTER TYPE' THEN 'r' || c.objid
                WHEN c.classid = 'pg_constraint'::regclass
                    THEN 'r' || (SELECT o.conrelid FROM pg_constraint o WHERE o.oid = c.objid AND o.conrelid <> 0)
                WHEN c.classid = 'pg_type'::regclass THEN 't' || c.objid
                WHEN c.classid = 'pg_proc'::regclass THEN 'p' || c.objid
                WHEN c.classid IN ('pg_trigger'::regclass, 'pg_policy'::regclass) THEN NULL
                ELSE '*' END, ',')
            INTO objects FROM pg_event_trigger_ddl_commands() AS c WHERE c.schema_name IS DISTINCT FROM 'pg_temp';
        IF objects IS NULL THEN
            IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()) THEN
                RETURN;
            END IF;
            objects := '*';
        END IF;
    END IF;
    IF length(objects) > 6000 THEN
        objects := '*';
    END IF;
    PERFORM pg_notify('pgmend', concat('pgmend:1 ', objects, ' ',
        concat_ws(', ', session_user, nullif(current_setting('application_name'), ''), tg_tag)));
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$function$;
DROP EVENT TRIGGER IF EXISTS pgmend_ddl;
DROP EVENT TRIGGER IF EXISTS pgmend_drop;
CREATE EVENT TRIGGER pgmend_ddl ON ddl_command_end EXECUTE FUNCTION pgmend.notify_of_change();
CREATE EVENT TRIGGER pgmend_drop ON sql_drop EXECUTE FUNCTION pgmend.notify_of_change();
ALTER EVENT TRIGGER pgmend_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER pgmend_drop ENABLE ALWAYS;
COMMIT;
)";

/// The schema stays where somebody else put something into it.
constexpr auto uninstall = R"(BEGIN;
DROP EVENT TRIGGER IF EXISTS pgmend_ddl;
DROP EVENT TRIGGER IF EXISTS pgmend_drop;
DROP FUNCTION IF EXISTS pgmend.notify_of_change();
DO $do$
BEGIN
    DROP SCHEMA IF EXISTS pgmend;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;
END
$do$;
COMMIT;
)";

pg::task<std::string> run_in(asio::io_context& io, watcher_settings settings, std::string sql, std::string database) {
    auto const login = login_parameters(settings, database);
    if (!login) co_return login.error().text;
    pg::pg_connection connection{io};
    auto const opened = co_await connection.open(*login, base::steady::now() + settings.backend.connect_timeout);
    if (!opened) co_return opened.error().text;
    auto const done = co_await connection.query(sql, base::steady::now() + settings.load_timeout);
    if (done) co_return std::string{};
    if (connection.is_open()) co_await connection.query("ROLLBACK", base::steady::now() + settings.load_timeout);
    auto const& e = done.error();
    auto text = e.text + (e.sqlstate.empty() ? "" : " (" + e.sqlstate + ")");
    co_return text;
}

pg::task<pg::result<std::vector<installation>>> run_in_all(asio::io_context& io, watcher_settings settings, std::string sql,
                                                           std::vector<std::string> databases) {
    if (databases.empty()) {
        auto const listed = co_await list_databases(io, settings);
        if (!listed) co_return listed.error();
        databases = *listed;
    }
    std::vector<installation> all;
    for (auto const& name : databases) {
        auto problem = co_await run_in(io, settings, sql, name);
        all.push_back({name, std::move(problem)});
    }
    co_return all;
}

} // namespace

std::string install_sql() { return install; }

std::string uninstall_sql() { return uninstall; }

pg::result<std::vector<installation>> run_in_databases(watcher_settings const& settings, std::string const& sql,
                                                       std::vector<std::string> databases) {
    asio::io_context io{1};
    std::optional<pg::result<std::vector<installation>>> outcome;
    auto on_end = [&](std::exception_ptr broken, pg::result<std::vector<installation>> found) {
        if (broken) std::rethrow_exception(broken);
        outcome = std::move(found);
    };
    asio::co_spawn(io.get_executor(), run_in_all(io, settings, sql, std::move(databases)), on_end);
    io.run();
    return *outcome;
}

} // namespace pgmend::control
