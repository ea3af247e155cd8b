#include "learned.hpp"
#include "live_schemas.hpp"
#include "watching.hpp"

#include "pgmend/app/options.hpp"
#include "pgmend/config/rule_files.hpp"
#include "pgmend/control/analysis.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/learning/evidence.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/session/database_judge.hpp"
#include "pgmend/store/postgres_store.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <utility>

namespace pgmend::app {
namespace {

struct built_in_type {
    std::string_view name;
    catalog::oid id;
};
/// What --parameters understands besides numbers (PostgreSQL 15, pg_type.dat).
constexpr std::array built_in_types{
    built_in_type{"bool", 16},          built_in_type{"bytea", 17},     built_in_type{"int8", 20},        built_in_type{"bigint", 20},
    built_in_type{"int2", 21},          built_in_type{"smallint", 21},  built_in_type{"int4", 23},        built_in_type{"int", 23},
    built_in_type{"integer", 23},       built_in_type{"text", 25},      built_in_type{"json", 114},       built_in_type{"float4", 700},
    built_in_type{"float8", 701},       built_in_type{"inet", 869},     built_in_type{"bpchar", 1042},    built_in_type{"varchar", 1043},
    built_in_type{"date", 1082},        built_in_type{"time", 1083},    built_in_type{"timestamp", 1114}, built_in_type{"timestamptz", 1184},
    built_in_type{"interval", 1186},    built_in_type{"numeric", 1700}, built_in_type{"uuid", 2950},      built_in_type{"jsonb", 3802},
    built_in_type{"int4[]", 1007},      built_in_type{"text[]", 1009},  built_in_type{"int8[]", 1016},    built_in_type{"unknown", 0}};

base::result<std::vector<catalog::oid>> types_of(std::vector<std::string> const& names) {
    std::vector<catalog::oid> out;
    for (auto const& name : names) {
        auto const found = std::ranges::find(built_in_types, std::string_view{name}, &built_in_type::name);
        bool const number = !name.empty() && name.size() < 10 && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
        if (found == built_in_types.end() && !number)
            return base::fail(base::errc::invalid_input, fmt::format("--parameters: not a type that is known here: {} (pg_type.oid works for every type)", name));
        out.push_back(number ? static_cast<catalog::oid>(std::stoul(name)) : found->id);
    }
    return out;
}

/// What was found out before the planner is asked.
struct inquiry {
    config::settings settings;
    std::string database;
    std::shared_ptr<catalog::history const> schema;
    std::string source; ///< where the schema was read
    bool live{false};   ///< the server can be asked
    std::shared_ptr<rules::rule_set const> rules;
    std::shared_ptr<learning::pattern_book const> book; ///< what people decided
    std::vector<catalog::oid> parameter_types;
    std::vector<std::string> shown_path; ///< as it was given
    healing::session_view session;
};

/// The versions that are kept, with the server's of this moment on top.
base::result<void> find_schema(inquiry& it) {
    std::vector<std::string> names;
    std::vector<std::string> sources;
    if (!it.settings.state.empty()) {
        auto const all = store::read_all(it.settings.state);
        if (!all && !it.live) return base::fail(all.error().code, all.error().text);
        if (all) {
            store::kept_database const* found = nullptr;
            for (auto const& one : *all) {
                if (std::ranges::find(names, one.name) == names.end()) names.push_back(one.name);
                if (it.database.empty() || one.name == it.database) found = &one; // of several that had the name, the last made
            }
            if (it.database.empty() && names.size() == 1) it.database = names.front();
            if (found && found->name == it.database) {
                std::vector<catalog::history::kept_version> versions;
                for (std::size_t i = 0; i < found->rows.size(); ++i) versions.push_back({found->versions[i], found->rows[i].number, found->rows[i].at});
                if (!versions.empty()) it.schema = catalog::history::restored(std::move(versions));
                sources.push_back(it.settings.state);
            }
        }
    }
    if (it.database.empty())
        return base::fail(base::errc::invalid_input, fmt::format("which database? --database NAME{}{}", names.empty() ? "" : ", one of: ", fmt::join(names, ", ")));
    if (it.live) {
        auto const now = read_schema(watcher_settings_of(it.settings), it.database, it.settings.backends.front().connect_timeout + std::chrono::seconds{10});
        if (!now && !it.schema) return base::fail(now.error().code, now.error().text);
        if (now) {
            auto const& newest = (*now)->versions().back();
            it.schema = it.schema && it.schema->current().same_schema(*newest) ? it.schema : catalog::history::with(it.schema, newest);
            sources.push_back("the server");
        } else {
            it.live = false;
        }
    }
    if (!it.schema) {
        auto const known = names.empty() ? std::string{"none"} : fmt::format("{}", fmt::join(names, ", "));
        return base::fail(base::errc::not_found, fmt::format("database {} is not in {}; it has: {}", it.database, it.settings.state, known));
    }
    it.source = fmt::format("{}", fmt::join(sources, " and "));
    return {};
}

/// The patterns that the state keeps. A state that is not there yet has none.
base::result<std::shared_ptr<learning::pattern_book const>> decisions(std::string const& place) {
    auto book = std::make_shared<learning::pattern_book>();
    if (place.empty() || (!store::is_postgres(place) && !std::filesystem::exists(place))) return std::shared_ptr<learning::pattern_book const>{std::move(book)};
    auto kept = store::read_records(place);
    if (!kept) return base::fail(kept.error().code, kept.error().text);
    for (auto& pattern : kept->patterns) book->put(std::move(pattern));
    return std::shared_ptr<learning::pattern_book const>{std::move(book)};
}

/// As current_schemas(true) has it; schemas that do not exist keep their places.
std::vector<std::string> resolved_path(std::vector<std::string> const& given, std::string const& role) {
    std::vector<std::string> out;
    if (std::ranges::find(given, "pg_catalog") == given.end()) out.emplace_back("pg_catalog");
    for (auto const& name : given) {
        if (name != "$user") out.push_back(name);
        else if (!role.empty()) out.push_back(role);
    }
    return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        auto const end = std::min(text.find('\n'), text.size());
        out.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

/// Lines that differ, with what is equal ahead of them and behind.
void print_diff(std::string_view before, std::string_view after, std::ostream& out) {
    auto const a = lines_of(before);
    auto const b = lines_of(after);
    std::size_t head = 0;
    while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
    std::size_t tail = 0;
    while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
    for (std::size_t i = 0; i < head; ++i) out << "  " << a[i] << '\n';
    for (std::size_t i = head; i < a.size() - tail; ++i) out << "- " << a[i] << '\n';
    for (std::size_t i = head; i < b.size() - tail; ++i) out << "+ " << b[i] << '\n';
    for (std::size_t i = a.size() - tail; i < a.size(); ++i) out << "  " << a[i] << '\n';
}

void line(std::ostream& out, std::string_view name, std::string_view text) { out << fmt::format("{:<11}{}\n", name, text); }

std::string refused_by(pg::error const& e) { return fmt::format("{} ({})", e.text, e.sqlstate); }

/// What SHOW PATTERNS says of it.
std::string state_of(inquiry const& it, std::string const& pattern) {
    auto const* const known = it.book->find(it.database, pattern);
    return known == nullptr ? std::string{} : fmt::format(" [pattern {}, {}]", known->id, learning::name_of(known->state));
}

void print_plan(inquiry const& it, healing::plan const& plan, std::string_view sql, std::ostream& out) {
    line(out, "evidence", learning::name_of(plan.evidence));
    for (auto const& pattern : plan.patterns) line(out, "pattern", pattern + state_of(it, pattern));
    line(out, "kind", plan.writes() ? "write" : "read");
    if (it.settings.healing.healing_mode == healing::mode::observe) line(out, "mode", "observe: this would be done, and is not");
    if (it.settings.healing.healing_mode == healing::mode::off) line(out, "mode", "off: this would be done, and is not");
    for (auto const& lost : plan.losses) line(out, "loses", "the value written to " + lost.column);
    out << '\n';
    print_diff(sql, plan.sql, out);
    if (plan.parameter_types) out << fmt::format("  parameter types: {}\n", fmt::join(*plan.parameter_types, ", "));
}

void print_refusal(inquiry const& it, healing::refusal const& refused, std::string_view sql, std::ostream& out) {
    line(out, "refused", fmt::format("{}: {}", healing::name_of(refused.kind), refused.reason));
    for (auto const& one : refused.proposals) {
        if (one.patterns.empty()) { // a rule that only observes
            for (auto const& pattern : one.what.patterns) line(out, "pattern", pattern + state_of(it, pattern));
            line(out, "mode", "observe: this would be done, and is not");
            out << '\n';
            print_diff(sql, one.what.sql, out);
            continue;
        }
        std::vector<std::string> patterns;
        for (auto const& pattern : one.patterns) patterns.push_back(pattern + state_of(it, pattern));
        line(out, "proposal", fmt::format("{} ({}): {}", fmt::join(patterns, "; "), learning::name_of(one.what.evidence), one.note));
        out << '\n';
        print_diff(sql, one.what.sql, out);
    }
}

healing::server_error fields_of(pg::error const& e) {
    return {.sqlstate = e.sqlstate, .routine = e.details.routine, .position = e.details.position, .column = e.details.column,
            .table = e.details.table, .schema = e.details.schema, .hint = e.details.hint};
}

} // namespace

int explain(explain_options const& options, std::ostream& out, std::ostream& err) {
    auto const fail = [&](std::string const& why) {
        err << "pgmend: " << why << '\n';
        return status_failure;
    };
    inquiry it;
    if (options.server.file || options.server.backend) {
        auto loaded = effective_settings(options.server);
        err << config::format(loaded.problems);
        if (!loaded.ok()) return status_failure;
        it.settings = std::move(loaded.values);
    }
    if (options.server.state) it.settings.state = *options.server.state;
    if (options.server.control) it.settings.control = options.server.control;
    it.live = it.settings.control && !it.settings.backends.empty();
    if (!it.live && it.settings.state.empty()) return fail("nothing is known of the schema: give --state FILE, or --backend and --control, or a configuration that has them");
    auto const types = types_of(options.parameters);
    if (!types) return fail(types.error().text);
    it.parameter_types = *types;
    it.database = options.database.value_or("");
    if (auto const found = find_schema(it); !found) return fail(found.error().text);

    auto const now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    auto loaded = config::load_rule_files(it.settings.rules, now);
    err << config::format(loaded.problems);
    if (!loaded.ok()) return status_failure;
    learned_memory learned;
    add_learned_rules(it.settings, now, loaded, learned);
    it.rules = std::make_shared<rules::rule_set const>(std::move(loaded.rules), 1);

    auto book = decisions(it.settings.state);
    if (!book) return fail(book.error().text);
    it.book = std::move(*book);

    auto const user = options.user.value_or("");
    auto const application = options.application_name.value_or("");
    it.shown_path = options.search_path.empty() ? std::vector<std::string>{"$user", "public"} : options.search_path;
    it.session = {.search_path = resolved_path(it.shown_path, user), .temporary_relations = {}, .client_encoding = "UTF8",
                  .standard_conforming_strings = true, .role = user};
    rules::circumstances const who{it.database, user, application, now};
    healing::knowledge const known{.schema = it.schema.get(), .rules = it.rules.get(), .book = it.book.get(), .policy = it.settings.healing.policy};
    auto const sql = options.sql == "-" ? std::string{std::istreambuf_iterator<char>{std::cin}, {}} : options.sql;
    healing::question question{.sql = sql, .session = it.session, .parameter_types = it.parameter_types, .error = {}, .described = {}, .who = who};

    line(out, "database", fmt::format("{}, version {} of its schema, {} known, from {}", it.database, it.schema->generation(), it.schema->versions().size(), it.source));
    line(out, "session", fmt::format("{}search_path {}", user.empty() ? "" : "role " + user + ", ", fmt::join(it.shown_path, ", ")));
    if (!it.rules->empty()) line(out, "rules", fmt::format("{} in {} file{}", it.rules->rules().size(), loaded.files, loaded.files == 1 ? "" : "s"));

    session::database_judge judge{std::make_shared<base::published<catalog::history> const>(it.schema)};
    judge.configure(it.settings.healing, it.rules, it.book);
    judge.refresh();
    bool const trips = judge.trips(judge.text(sql));

    auto const ask = [&](std::string text) -> std::optional<pg::result<control::analysis>> {
        if (!it.live) return std::nullopt;
        return control::analyse(watcher_settings_of(it.settings), {.database = it.database, .role = options.user, .search_path = it.shown_path,
                                                                    .statements = {std::move(text)}, .parameter_types = it.parameter_types});
    };

    if (trips) {
        auto const verdict = healing::judge(question, known);
        if (auto const* const plan = std::get_if<healing::plan>(&verdict)) {
            line(out, "tier", "1: rewritten before it is sent");
            print_plan(it, *plan, sql, out);
            if (plan->statements > 1) return status_ok;
            auto const said = ask(plan->sql);
            if (said && *said) out << '\n' << fmt::format("PostgreSQL {}\n", (**said).front() ? "refuses the rewritten text: " + refused_by(*(**said).front()) : "accepts the rewritten text");
            else if (said) err << "pgmend: the server was not asked: " << said->error().text << '\n';
            return status_ok;
        }
        if (auto const* const refused = std::get_if<healing::refusal>(&verdict)) {
            line(out, "tier", "0: sent as it is; where PostgreSQL refuses it, the client gets that error");
            print_refusal(it, *refused, sql, out);
            return status_ok;
        }
        auto const& fits = std::get<healing::fits>(verdict);
        if (fits.drift) {
            line(out, "tier", fits.drift->writes && it.settings.healing.silent == healing::silent_answer::block_writes ? "0: refused with 0A000 (healing.silent: block_writes)" : "0: sent as it is");
            line(out, "drift", "PostgreSQL accepts it, and it means something else than before: " + fits.drift->pattern);
            return status_ok;
        }
        if (fits.not_understood) line(out, "note", fmt::format("not judged: {}: {}", healing::name_of(fits.not_understood->kind), fits.not_understood->reason));
    }
    auto const said = ask(sql);
    if (said && !*said) err << "pgmend: the server was not asked: " << said->error().text << '\n';
    if (!said || !*said || !(**said).front()) {
        line(out, "tier", trips ? "0: sent as it is; its names mean what they meant" : "0: sent as it is; it mentions nothing that has changed");
        if (said && *said) out << "\nPostgreSQL accepts it\n";
        else out << "\nWhether PostgreSQL accepts it was not asked (that needs a backend and a control connection)\n";
        return status_ok;
    }
    auto const& error = *(**said).front();
    if (error.details.internal) {
        line(out, "tier", "0: sent as it is; PostgreSQL refuses it: " + refused_by(error));
        line(out, "refused", "the error comes from inside a function");
        return status_ok;
    }
    question.error = fields_of(error);
    auto const verdict = healing::judge(question, known);
    if (auto const* const plan = std::get_if<healing::plan>(&verdict)) {
        line(out, "tier", "2: PostgreSQL refuses it, then it is rewritten and sent again: " + refused_by(error));
        print_plan(it, *plan, sql, out);
        return status_ok;
    }
    line(out, "tier", "2: PostgreSQL refuses it, and the client gets that error: " + refused_by(error));
    if (auto const* const refused = std::get_if<healing::refusal>(&verdict)) print_refusal(it, *refused, sql, out);
    else line(out, "refused", "the error has nothing to do with a change of the schema");
    return status_ok;
}

} // namespace pgmend::app
