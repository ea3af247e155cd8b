#include "catalog_reader.hpp"

#include "pgmend/catalog/sharing.hpp"
#include "catalog_scan.hpp"
#include "object_rows.hpp"
#include "relation_rows.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace pgmend::control {

namespace {

/// Settings that not every version has are set where they exist. Names in a database of encoding SQL_ASCII may be anything:
/// take them as they are, since a conversion would fail. JIT would take longer than the reading, and so would a plan for each
/// list of oids. Statements that are sent together are one transaction, and must see the same moment.
constexpr auto session_settings =
    "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
    " pg_catalog.set_config('client_encoding',"
    " CASE pg_catalog.getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false),"
    " pg_catalog.set_config('default_transaction_read_only', 'on', false),"
    " pg_catalog.set_config('default_transaction_isolation', 'repeatable read', false),"
    " pg_catalog.set_config('statement_timeout', '{}', false);"
    " SELECT pg_catalog.set_config(name, CASE name WHEN 'jit' THEN 'off' WHEN 'plan_cache_mode' THEN 'force_generic_plan' ELSE '0' END, false)"
    " FROM pg_catalog.pg_settings WHERE name IN ('jit', 'plan_cache_mode', 'idle_session_timeout')";

constexpr auto which_database =
    "SELECT d.oid, pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
    " FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

constexpr auto system_identifier = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

/// Every role may execute pg_control_system(), unless somebody revoked it. There is no other name of a cluster that
/// everyone may read, so then the server's start stands for it: lineage ends with each restart, which is safe.
constexpr auto server_start =
    "SELECT 'started ' || pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.text";

/// How often rows of the catalog were written. Without a FROM, and executed by the protocol's own messages: an idle server looks at
/// little else, and finds its caches cold, so each node of a plan and each token would show.
std::string write_counters() {
    std::string sum;
    // pg_class, pg_attribute, pg_type, pg_enum, pg_proc, pg_namespace, pg_constraint, pg_attrdef and pg_index: their oids are fixed.
    for (auto const* oid : {"1259", "1249", "1247", "3501", "1255", "2615", "2606", "2604", "2610"}) {
        for (auto const* what : {"inserted", "updated", "deleted"})
            sum += fmt::format("{}pg_catalog.pg_stat_get_tuples_{}({}::pg_catalog.oid)", sum.empty() ? "SELECT " : " OPERATOR(pg_catalog.+) ", what, oid);
    }
    return sum + ", pg_catalog.txid_current_snapshot()";
}

constexpr auto snapshot_name = "pgmend_snapshot";

/// Three times as long as an idle session may keep its counters to itself.
constexpr auto counters_late = std::chrono::seconds{30};

constexpr auto listen = "LISTEN pgmend";

/// Past so many objects a full reading is as quick.
constexpr std::size_t most_named = 2000;

std::string prepare_statements(int version) {
    return fmt::format("PREPARE pgmend_relations AS {relations}; PREPARE pgmend_constraints AS {constraints}; PREPARE pgmend_indexes AS {indexes};"
                       " PREPARE pgmend_types AS {types}; PREPARE pgmend_labels AS {labels}; PREPARE pgmend_functions AS {functions};"
                       " PREPARE pgmend_schemas AS {schemas}; PREPARE pgmend_counters AS {counters};"
                       " PREPARE pgmend_snapshot AS SELECT pg_catalog.txid_current_snapshot();"
                       " PREPARE pgmend_scan(pg_catalog.txid_snapshot) AS {scan};"
                       " PREPARE pgmend_dependents(pg_catalog.oid[], pg_catalog.oid[]) AS {dependents};"
                       " PREPARE pgmend_namesakes(pg_catalog.name[], pg_catalog.oid[], pg_catalog.oid[], pg_catalog.oid[]) AS {namesakes};"
                       " PREPARE pgmend_some_relations(pg_catalog.oid[]) AS {relations} AND c.oid = ANY($1);"
                       " PREPARE pgmend_some_constraints(pg_catalog.oid[]) AS {constraints} AND o.conrelid = ANY($1);"
                       " PREPARE pgmend_some_indexes(pg_catalog.oid[]) AS {indexes} AND i.indrelid = ANY($1);"
                       " PREPARE pgmend_some_types(pg_catalog.oid[]) AS {types} AND t.oid = ANY($1);"
                       " PREPARE pgmend_some_labels(pg_catalog.oid[]) AS {some_labels};"
                       " PREPARE pgmend_some_functions(pg_catalog.oid[]) AS {functions} AND p.oid = ANY($1)",
                       fmt::arg("relations", relations_statement(origin::user, version)), fmt::arg("constraints", constraints_statement()),
                       fmt::arg("indexes", unique_indexes_statement(version)), fmt::arg("types", types_statement(origin::user)),
                       fmt::arg("labels", labels_statement()), fmt::arg("functions", functions_statement(version)),
                       fmt::arg("schemas", schemas_statement()), fmt::arg("counters", write_counters()),
                       fmt::arg("scan", scan_statement(version)), fmt::arg("dependents", dependents_statement()), fmt::arg("namesakes", namesakes_statement()),
                       fmt::arg("some_labels", labels_statement("e.enumtypid = ANY($1)")));
}

constexpr auto execute_statements =
    "EXECUTE pgmend_relations; EXECUTE pgmend_constraints; EXECUTE pgmend_indexes; EXECUTE pgmend_types;"
    " EXECUTE pgmend_labels; EXECUTE pgmend_functions; EXECUTE pgmend_schemas; SELECT pg_catalog.txid_current_snapshot()";

constexpr auto counters_name = "pgmend_counters";

/// Answers come in the order that read_objects takes them in.
std::string execute_for(changed_objects const& which) {
    return fmt::format("EXECUTE pgmend_some_relations({0}); EXECUTE pgmend_some_constraints({0}); EXECUTE pgmend_some_indexes({0});"
                       " EXECUTE pgmend_some_types({1}); EXECUTE pgmend_some_labels({1}); EXECUTE pgmend_some_functions({2})",
                       array_literal(which.relations), array_literal(which.types), array_literal(which.functions));
}

constexpr std::size_t object_answers = 6;

/// `{"a","b"}`, as a literal of type name[]. Nothing where one cannot be written so simply.
std::optional<std::string> names_literal(std::vector<std::string> const& names) {
    bool const plain = std::ranges::none_of(names, [](auto const& it) { return it.find_first_of("\"'\\") != std::string::npos; });
    if (!plain) return std::nullopt;
    return names.empty() ? "'{}'" : fmt::format("'{{\"{}\"}}'", fmt::join(names, "\",\""));
}

fresh_objects to_objects(std::span<pg::rows const> answers) {
    fresh_objects fresh;
    relation_rows rows;
    rows.add_columns(answers[0]);
    rows.add_constraints(answers[1]);
    rows.add_unique_indexes(answers[2]);
    fresh.relations = rows.take();
    fresh.types = to_types(answers[3], &answers[4]);
    fresh.functions = to_functions(answers[5]);
    return fresh;
}

bool are_same(std::vector<catalog::snapshot::schema_ptr> read, std::vector<catalog::snapshot::schema_ptr> const& known) {
    std::ranges::sort(read, {}, [](auto const& it) { return it->id; });
    return std::ranges::equal(read, known, [](auto const& a, auto const& b) { return *a == *b; });
}

pg::error unexpected(char const* what) {
    return {base::errc::invalid_input, {}, std::string{"unexpected answer: "} + what};
}

} // namespace

std::string statements_to_prepare(int server_version) { return prepare_statements(server_version); }

// Plain functions: see base::log about braces in coroutines.
catalog_reader::reading catalog_reader::nothing() { return {}; }

catalog_reader::reading catalog_reader::made_of(snapshot_ptr const& before, catalog::replacements const& what, bool complete) {
    reading r;
    r.schema = what.empty() ? before : std::make_shared<catalog::snapshot const>(*before, what);
    r.changed = what.relations.changed.size() + what.relations.gone.size() + what.types.changed.size() + what.types.gone.size() +
                what.functions.changed.size() + what.functions.gone.size();
    r.complete = complete;
    return r;
}

pg::task<pg::result<void>> catalog_reader::open(pg::parameters login, std::chrono::milliseconds statement_timeout, bool listens,
                                                base::time_point deadline) {
    identity_ = {};
    system_ = {};
    last_commit_.clear();
    moment_.clear();
    auto const opened = co_await connection_.open(std::move(login), deadline);
    if (!opened) co_return opened.error();
    auto const set = co_await connection_.query(fmt::format(session_settings, statement_timeout.count()), deadline);
    if (!set) {
        connection_.close();
        co_return set.error();
    }
    if (listens) {
        auto const listening = co_await connection_.query(listen, deadline);
        if (!listening && !connection_.is_open()) co_return listening.error();
    }
    co_return pg::result<void>{};
}

pg::task<pg::result<void>> catalog_reader::read_constants(base::time_point deadline) {
    auto const database = co_await connection_.query(which_database, deadline);
    if (!database) co_return database.error();
    if (database->size() != 1 || database->front().size() != 1) co_return unexpected("which database is this");
    auto const id = database->front().text(0, 0);
    bool const may_ask = database->front().text(0, 1) == "t";

    auto const version = connection_.server_version();
    auto const sql = fmt::format("{}; {}; {}; {}", may_ask ? system_identifier : server_start,
                                 relations_statement(origin::system, version), types_statement(origin::system),
                                 system_functions_statement());
    auto const constants = co_await connection_.query(sql, deadline);
    if (!constants) co_return constants.error();
    auto const& answers = *constants;
    if (answers.size() != 4 || answers[0].size() != 1) co_return unexpected("which cluster is this");
    identity_.system_identifier = answers[0].text(0, 0);
    std::from_chars(id.data(), id.data() + id.size(), identity_.database);
    relation_rows relations;
    relations.add_columns(answers[1]);
    system_.types = to_types(answers[2], nullptr);
    system_.system_functions = std::make_shared<std::vector<std::string> const>(to_sorted_names(answers[3]));
    // Planning them takes longer than running them on a small schema.
    auto const prepared = co_await connection_.query(prepare_statements(version), deadline);
    if (!prepared) co_return prepared.error();
    system_.relations = relations.take();
    co_return pg::result<void>{};
}

pg::task<pg::result<catalog_reader::reading>> catalog_reader::read(std::shared_ptr<catalog::snapshot const> before, changed_objects what,
                                                                   base::time_point deadline) {
    if (system_.relations.empty()) {
        auto const known = co_await read_constants(deadline);
        if (!known) co_return known.error();
    }
    bool const follows = before && !moment_.empty() && before->identity() == identity_;
    if (follows) {
        auto const began = base::steady::now();
        bool const named = !what.anything && what.size() > 0 && what.size() < most_named;
        auto some = pg::result<reading>{nothing()};
        if (named) some = co_await read_named(before, what, deadline);
        else some = co_await read_newer(before, deadline);
        if (some && some->schema) {
            some->took = base::steady::now() - began;
            co_return some;
        }
        co_await roll_back(deadline); // the transaction may be open still
        if (!some) co_return some.error();
    }
    auto const all = co_await read_all(before, deadline);
    co_return all;
}

pg::task<pg::result<catalog_reader::reading>> catalog_reader::read_all(snapshot_ptr before, base::time_point deadline) {
    auto const began = base::steady::now();
    auto counted = co_await count_writes(deadline);
    if (!counted) co_return counted.error();
    auto const answer = co_await connection_.query(execute_statements, deadline);
    if (!answer) co_return answer.error();
    auto const& answers = *answer;
    if (answers.size() != 8 || answers[7].size() != 1) co_return unexpected("objects");

    reading r;
    r.took = base::steady::now() - began;
    counters_ = std::move(*counted);
    moment_ = answers[7].text(0, 0);
    relation_rows relations;
    relations.add_columns(answers[0]);
    relations.add_constraints(answers[1]);
    relations.add_unique_indexes(answers[2]);
    catalog::contents all;
    all.relations = relations.take();
    all.relations.insert(all.relations.end(), system_.relations.begin(), system_.relations.end());
    all.types = to_types(answers[3], &answers[4]);
    all.types.insert(all.types.end(), system_.types.begin(), system_.types.end());
    all.functions = to_functions(answers[5]);
    all.schemas = to_schemas(answers[6]);
    all.system_functions = system_.system_functions;
    if (before) r.changed = catalog::share_unchanged(*before, all);
    r.schema = std::make_shared<catalog::snapshot const>(identity_, std::move(all), before.get());
    co_return r;
}

/// What the named objects are now. Others that the same transaction changed were named with them, or are about to be; until
/// then the version that comes of it may be one that no transaction saw. Two objects under one name show that, and the next
/// reading that is complete sees what nobody named.
pg::task<pg::result<catalog_reader::reading>> catalog_reader::read_named(snapshot_ptr before, changed_objects what, base::time_point deadline) {
    what = with_dependents(std::move(what), *before);
    auto const sql = fmt::format("EXECUTE pgmend_dependents({}, {}); {}", array_literal(what.relations), array_literal(what.types), execute_for(what));
    auto const answer = co_await connection_.query(sql, deadline);
    if (!answer) co_return answer.error();
    auto const& answers = *answer;
    if (answers.size() != 1 + object_answers) co_return unexpected("named objects");
    auto fresh = to_objects(std::span{answers}.subspan(1));
    // Seldom more than what was known to go with them: children of a table, a sequence or a row type that is new.
    if (what.add_new(to_changed(answers[0]))) {
        if (what.size() > most_named) co_return nothing();
        auto all = co_await read_objects(what, {}, deadline);
        if (!all) co_return all.error();
        fresh = std::move(*all);
    }
    auto differences = compare(*before, what, std::move(fresh));
    if (reaches_expressions(*before, differences)) co_return nothing();
    auto r = made_of(before, differences, false);
    if (r.schema->has_double_names(differences)) co_return nothing();
    co_return r;
}

/// What none of these names has to do with may have changed too; the next complete reading finds it.
pg::task<pg::result<catalog_reader::reading>> catalog_reader::read_called(std::shared_ptr<catalog::history const> known, std::vector<std::string> names,
                                                                          base::time_point deadline) {
    auto const before = known->versions().back();
    if (moment_.empty() || before->identity() != identity_) co_return nothing();
    auto const began = base::steady::now();
    auto const called = objects_called(*known, names);
    catalog::replacements const none;
    if (called.what.size() == 0) co_return made_of(before, none, false); // they mean nothing, and never did
    auto const list = names_literal(called.names);
    auto what = with_dependents(called.what, *before);
    if (!list || what.size() > most_named) co_return nothing();
    auto const relations = array_literal(what.relations), types = array_literal(what.types), functions = array_literal(what.functions);
    auto const sql = fmt::format("EXECUTE pgmend_namesakes({}, {}, {}, {}); EXECUTE pgmend_dependents({}, {}); EXECUTE pgmend_schemas; {}", *list, relations, types,
                                 functions, relations, types, execute_for(what));
    auto const answer = co_await connection_.query(sql, deadline);
    if (!answer) co_return answer.error();
    auto const& answers = *answer;
    if (answers.size() != 3 + object_answers) co_return unexpected("objects of some names");
    auto fresh = to_objects(std::span{answers}.subspan(3));
    auto more = to_changed(answers[0]);
    more.add(to_changed(answers[1]));
    if (what.add_new(more)) {
        if (what.size() > most_named) co_return nothing();
        auto all = co_await read_objects(what, {}, deadline);
        if (!all) co_return all.error();
        fresh = std::move(*all);
    }
    for (auto const& it : fresh.relations) { // a type that came with a change is not known yet
        for (auto const& column : it->columns) {
            if (column.type >= catalog::first_user_oid && before->find_type(column.type) == nullptr) co_return nothing();
        }
    }
    bool const same_schemas = are_same(to_schemas(answers[2]), before->schemas());
    auto differences = compare(*before, what, std::move(fresh));
    if (!same_schemas || reaches_expressions(*before, differences)) co_return nothing();
    auto r = made_of(before, differences, false);
    if (r.schema->has_double_names(differences)) co_return nothing();
    r.took = base::steady::now() - began;
    co_return r;
}

pg::task<pg::result<catalog_reader::reading>> catalog_reader::read_newer(snapshot_ptr before, base::time_point deadline) {
    // Counters first, in a transaction of their own: what is committed while the objects are read, or after the moment that
    // they are read of, shows in the next comparison.
    auto const answer = co_await connection_.query(fmt::format("BEGIN; EXECUTE {}; COMMIT; BEGIN; EXECUTE pgmend_scan('{}')", counters_name, moment_), deadline);
    if (!answer) co_return answer.error();
    auto const& answers = *answer;
    if (answers.size() != 5 || answers[1].size() != 1) co_return unexpected("newer rows");
    auto const found = to_scan(answers[4]);
    auto const which = with_dependents(found.changed, *before);
    if (which.size() > most_named) co_return nothing();
    auto fresh = co_await read_objects(which, "COMMIT", deadline);
    if (!fresh) co_return fresh.error();
    auto differences = compare(*before, which, std::move(*fresh));
    if (reaches_expressions(*before, differences)) co_return nothing();
    for (auto const& s : found.schemas) { // names of schemas are part of everything in them
        auto const* const known = before->find_schema(s->id);
        if (known && known->name != s->name) co_return nothing();
        if (!known) differences.schemas.changed.push_back(s);
    }
    for (auto const& s : before->schemas()) {
        if (std::ranges::find(found.schemas, s->id, [](auto const& o) { return o->id; }) == found.schemas.end()) differences.schemas.gone.push_back(s->id);
    }
    auto r = made_of(before, differences, true);
    if (object_counts::of(*r.schema) != found.counts) co_return nothing(); // something was dropped
    counters_ = answers[1].text(0, 0);
    moment_ = found.moment;
    co_return r;
}

/// `then`: what ends the transaction, if one is open.
pg::task<pg::result<fresh_objects>> catalog_reader::read_objects(changed_objects const& which, std::string_view then, base::time_point deadline) {
    bool const any = which.size() > 0;
    std::string sql{then};
    if (any) sql = fmt::format("{}; {}", execute_for(which), then);
    auto const answer = co_await connection_.query(sql, deadline);
    if (!answer) co_return answer.error();
    auto const& answers = *answer;
    if (answers.size() != (any ? object_answers : 0) + (then.empty() ? 0 : 1)) co_return unexpected("some objects");
    fresh_objects fresh;
    if (any) fresh = to_objects(std::span{answers}.first(object_answers));
    co_return fresh;
}

pg::task<pg::result<std::string>> catalog_reader::count_writes(base::time_point deadline) {
    auto const answer = co_await connection_.execute(counters_name, deadline);
    if (!answer) co_return answer.error();
    if (answer->size() != 1 || answer->front().size() != 1) co_return unexpected("counters");
    auto const snapshot = answer->front().text(0, 1);
    if (last_commit_ != snapshot) {
        last_commit_ = snapshot;
        quiet_since_ = base::steady::now();
    }
    auto counters = std::string{answer->front().text(0, 0)};
    co_return counters;
}

pg::task<void> catalog_reader::roll_back(base::time_point deadline) {
    if (connection_.is_open()) (void)co_await connection_.query("ROLLBACK", deadline);
}

pg::task<pg::result<bool>> catalog_reader::moved(base::time_point deadline) {
    if (!last_commit_.empty() && base::steady::now() - quiet_since_ > counters_late) { // an idle server is asked for the least
        auto const answer = co_await connection_.execute(snapshot_name, deadline);
        if (!answer) co_return answer.error();
        if (answer->size() != 1 || answer->front().size() != 1) co_return unexpected("a snapshot");
        if (answer->front().text(0, 0) == last_commit_) co_return false;
    }
    auto const counted = co_await count_writes(deadline);
    if (!counted) co_return counted.error();
    co_return *counted != counters_;
}

pg::task<pg::result<changed_objects>> catalog_reader::wait_for_change(base::time_point deadline) {
    auto const told = co_await connection_.wait_for_notification(deadline);
    if (!told) co_return told.error();
    changed_objects what;
    for (auto const& payload : connection_.take_notifications()) {
        auto const notice = change_notice::read(payload);
        what.add(notice.what);
        who_ = notice.who;
    }
    co_return what;
}

} // namespace pgmend::control
