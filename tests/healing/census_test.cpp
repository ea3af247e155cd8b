// What real projects' migrations dropped and renamed (tests/census), asked of the planner.
#include "healing/schema_script.hpp"
#include "pgmend/healing/planner.hpp"
#include "pgmend/learning/pattern_book.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/yaml/document.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <set>

namespace pgmend::healing {
namespace {

using sql::quoted_name;

struct column {
    std::string name, type;
};

/// One line of tests/census/changes.jsonl: what one migration did to one table.
struct change {
    std::string project, file;
    std::string schema{"public"}, table;         ///< before
    std::string schema_after, table_after;
    std::vector<column> before, after;           ///< by number: what stays comes first in `after`, in its old order
    std::vector<std::string> dropped;
    std::map<std::string, std::string> renamed;

    bool was_dropped(std::string const& name) const { return std::ranges::find(dropped, name) != dropped.end(); }
    bool has_now(std::string const& name) const { return std::ranges::find(after, name, &column::name) != after.end(); }
    bool moved() const { return schema != schema_after || table != table_after; }
    std::string old_name() const { return quoted_name(schema) + "." + quoted_name(table); }
    std::string new_name() const { return quoted_name(schema_after) + "." + quoted_name(table_after); }

    std::string create() const {
        std::string columns;
        for (auto const& it : before) columns += (columns.empty() ? "" : ", ") + quoted_name(it.name) + " " + it.type;
        return "CREATE TABLE " + old_name() + " (" + columns + ")";
    }
    /// Names that change places go by names that nothing has.
    std::string migrate() const {
        std::string ddl;
        auto const alter = [&](std::string const& action) { ddl += "ALTER TABLE " + old_name() + " " + action + ";"; };
        for (auto const& name : dropped) alter("DROP COLUMN " + quoted_name(name));
        for (auto const& [from, to] : renamed) alter("RENAME COLUMN " + quoted_name(from) + " TO " + quoted_name("census " + to));
        for (auto const& [from, to] : renamed) alter("RENAME COLUMN " + quoted_name("census " + to) + " TO " + quoted_name(to));
        std::size_t number = 0;
        for (auto const& it : before) {
            if (was_dropped(it.name)) continue;
            auto const& now = after.at(number++);
            if (now.type != it.type) alter("ALTER COLUMN " + quoted_name(now.name) + " TYPE " + now.type);
        }
        for (; number < after.size(); ++number) alter("ADD COLUMN " + quoted_name(after[number].name) + " " + after[number].type);
        if (table != table_after) alter("RENAME TO " + quoted_name(table_after));
        if (schema != schema_after) ddl += "ALTER TABLE " + quoted_name(schema) + "." + quoted_name(table_after) + " SET SCHEMA " + quoted_name(schema_after) + ";";
        return ddl;
    }
    column const& now(std::string const& name) const {
        std::size_t number = 0;
        for (auto const& it : before) {
            if (it.name == name) break;
            if (!was_dropped(it.name)) ++number;
        }
        return after.at(number);
    }
    column const& was(std::string const& name) const { return *std::ranges::find(before, name, &column::name); }
};

std::vector<column> columns_of(yaml::node const& list) {
    std::vector<column> found;
    for (auto const& pair : list.items) found.push_back({pair->items.at(0)->text, pair->items.at(1)->text});
    return found;
}

std::vector<change> read_census() {
    std::vector<change> all;
    std::ifstream in{std::string{PGMEND_TEST_DATA} + "/census/changes.jsonl"};
    for (std::string line; std::getline(in, line);) {
        auto const document = yaml::parse_document(line);
        REQUIRE(document.root);
        change made;
        std::optional<std::string> table, schema;
        for (auto const& [key, where, value] : document.root->entries) {
            if (key == "project") made.project = value->text;
            if (key == "file") made.file = value->text;
            if (key == "schema") made.schema = value->text;
            if (key == "table") made.table = value->text;
            if (key == "schema_renamed") schema = value->text;
            if (key == "table_renamed") table = value->text;
            if (key == "before") made.before = columns_of(*value);
            if (key == "after") made.after = columns_of(*value);
            if (key == "dropped") for (auto const& it : value->items) made.dropped.push_back(it->text);
            if (key == "renamed") for (auto const& it : value->entries) made.renamed[it.key] = it.value->text;
        }
        made.schema_after = schema.value_or(made.schema);
        made.table_after = table.value_or(made.table);
        all.push_back(std::move(made));
    }
    return all;
}

/// The planner with the default policy, and what it knows of one change.
struct world {
    catalog::history const* history{nullptr};
    session_view session;
    learning::pattern_book book;

    explicit world(std::shared_ptr<catalog::history const> const& knows) : history{knows.get()} {
        session.search_path = {"pg_catalog", "public"};
        session.client_encoding = "UTF8";
    }
    verdict accepted(std::string_view sql) const { return judge({sql, session, {}, false, {}, false, {}, {}}, {history, nullptr, &book, {}}); }
    verdict refused(std::string_view sql, std::size_t at, std::string_view state, std::string_view routine, std::string_view hint = "") const {
        question asked{sql, session, {}, false, {}, false, {}, {}};
        asked.error = server_error{state, routine, static_cast<std::uint32_t>(at + 1), {}, {}, {}, hint};
        return judge(asked, {history, nullptr, &book, {}});
    }
};

struct worlds {
    std::shared_ptr<catalog::history const> known;    ///< seen before and after
    std::shared_ptr<catalog::history const> unknown;  ///< seen only as it is now

    explicit worlds(change const& it) {
        testing::schema_script script;
        script.run(it.create());
        known = std::make_shared<catalog::history>(script.take());
        script.run(it.migrate());
        auto const now = script.take();
        known = catalog::history::with(known, now);
        unknown = std::make_shared<catalog::history>(now);
    }
};

struct tally {
    int columns{0}, again{0}, hint{0}, similarity{0}, dropped{0}, lineage{0}, asked{0};
};

/// Never a plan. What is proposed, by what it rests on.
void must_not_heal(verdict const& answer, std::set<evidence>& proposed) {
    REQUIRE(!std::holds_alternative<plan>(answer));
    if (auto const* refused = std::get_if<refusal>(&answer)) {
        for (auto const& it : refused->proposals) proposed.insert(it.what.evidence);
    }
}

/// What an application does with a column: a statement in three parts, and which routine of PostgreSQL's says that there is no such column.
struct statement {
    std::string_view head, middle, tail;
    std::string table, column;
    std::string_view routine;
    bool column_first{false};

    std::string sql() const {
        return std::string{head} + (column_first ? column : table) + std::string{middle} + (column_first ? table : column) + std::string{tail};
    }
    std::size_t table_at() const { return column_first ? head.size() + column.size() + middle.size() : head.size(); }
    std::size_t column_at() const { return column_first ? head.size() : head.size() + table.size() + middle.size(); }
    bool reads() const { return routine == "errorMissingColumn"; }

    verdict no_column(world const& w, std::string_view hint = "") const { return w.refused(sql(), column_at(), "42703", routine, hint); }
    verdict no_table(world const& w) const { return w.refused(sql(), table_at(), "42P01", "parserOpenTable"); }
    verdict accepted(world const& w) const { return w.accepted(sql()); }
};

std::vector<statement> uses_of(std::string const& table, std::string const& column) {
    return {{"SELECT ", " FROM ", "", table, column, "errorMissingColumn", true},
            {"SELECT 1 FROM ", " WHERE ", " IS NULL", table, column, "errorMissingColumn"},
            {"UPDATE ", " SET ", " = NULL", table, column, "transformUpdateTargetList"},
            {"INSERT INTO ", " (", ") VALUES (NULL)", table, column, "checkInsertTargets"}};
}

std::string told(verdict const& answer) {
    if (auto const* healed = std::get_if<plan>(&answer)) return healed->sql;
    if (auto const* refused = std::get_if<refusal>(&answer)) return std::string{name_of(refused->kind)} + ": " + refused->reason;
    return std::get<fits>(answer).drift ? "drifted" : "fits";
}

} // namespace

TEST_CASE("census: no dropped column heals by itself, whatever PostgreSQL's HINT says") {
    tally with, without;
    for (auto const& it : read_census()) {
        if (it.dropped.empty()) continue;
        INFO(it.project << " " << it.file << " " << it.table);
        worlds const versions{it};
        for (auto const& name : it.dropped) {
            INFO(name);
            auto const column = quoted_name(name);
            for (auto const& [history, counted] : {std::pair{&versions.known, &with}, std::pair{&versions.unknown, &without}}) {
                world const w{*history};
                ++counted->columns;
                std::set<evidence> proposed, ignored;
                if (it.has_now(name)) { // dropped, and another one added under its name: PostgreSQL accepts all of these
                    ++counted->again;
                    for (auto const& use : uses_of(it.new_name(), column)) must_not_heal(use.accepted(w), proposed);
                    CHECK(proposed.empty());
                    continue;
                }
                for (auto const& use : uses_of(it.new_name(), column)) {
                    ++counted->asked;
                    must_not_heal(use.no_column(w), proposed);
                    if (!use.reads()) continue; // those errors have no HINT
                    for (auto const& other : it.after) {
                        ++counted->asked;
                        std::set<evidence> offered;
                        must_not_heal(use.no_column(w, "Perhaps you meant to reference the column \"" + it.table_after + "." + other.name + "\"."), offered);
                        if (counted == &without) CHECK(offered == std::set{evidence::hint});
                        else CHECK((offered == std::set{evidence::lineage} || (it.moved() && offered.empty()))); // the table's new name never went with the column
                    }
                }
                if (it.moved()) { // the statement has the table's old name, too
                    for (auto const& use : uses_of(it.old_name(), column)) must_not_heal(use.no_table(w), ignored);
                }
                counted->hint += static_cast<int>(proposed.contains(evidence::hint));
                counted->similarity += static_cast<int>(proposed.contains(evidence::similarity));
                counted->lineage += static_cast<int>(proposed.contains(evidence::lineage));
            }
        }
    }
    CHECK(with.columns == 331);
    CHECK(with.again == 33);
    CHECK(with.lineage == 295); // the other three statements never fitted any version: their table has another name, too
    CHECK(with.hint + with.similarity == 0);
    CHECK(without.columns == 331);
    CHECK(without.similarity == 25); // names of other columns that it would propose
    CHECK(without.lineage + without.hint == 0);
}

TEST_CASE("census: every rename heals, to exactly the statement that it was") {
    int columns = 0, tables = 0, reused = 0, other_type = 0;
    for (auto const& it : read_census()) {
        if (it.renamed.empty() && !it.moved()) continue;
        INFO(it.project << " " << it.file << " " << it.table);
        worlds const versions{it};
        world const w{versions.known};
        world const stranger{versions.unknown};
        auto const names = [&] {
            std::vector<std::string> found;
            for (auto const& [from, to] : it.renamed) found.push_back(from);
            if (found.empty()) {
                for (auto const& c : it.before) {
                    if (it.was_dropped(c.name)) continue;
                    found.push_back(c.name);
                    break;
                }
            }
            return found;
        }();
        columns += static_cast<int>(it.renamed.size());
        tables += static_cast<int>(it.moved());
        auto const as = it.table == it.table_after ? std::string{} : " AS " + quoted_name(it.table);
        for (auto const& name : names) {
            INFO(name);
            auto const from = quoted_name(name), to = quoted_name(it.now(name).name);
            auto const uses = uses_of(it.old_name(), from);
            auto const is_accepted = [&](statement const& use) { // it means another column now, or the whole row
                return !it.moved() && (it.has_now(name) || (use.reads() && name == it.table));
            };
            auto const answer = [&](world const& asked, statement const& use) {
                return is_accepted(use) ? use.accepted(asked) : it.moved() ? use.no_table(asked) : use.no_column(asked);
            };
            std::set<evidence> ignored;
            for (auto const& use : uses) must_not_heal(answer(stranger, use), ignored); // nobody told it
            reused += static_cast<int>(is_accepted(uses[0]));
            other_type += static_cast<int>(it.now(name).type != it.was(name).type); // varchar(36) -> varchar(512): nothing is lost
            std::string const expected[] = {"SELECT " + (from == to ? to : to + " AS " + from) + " FROM " + it.new_name() + as,
                                            "SELECT 1 FROM " + it.new_name() + as + " WHERE " + to + " IS NULL",
                                            "UPDATE " + it.new_name() + as + " SET " + to + " = NULL",
                                            "INSERT INTO " + it.new_name() + " (" + to + ") VALUES (NULL)"};
            for (std::size_t i = 0; i < uses.size(); ++i) CHECK(told(answer(w, uses[i])) == (is_accepted(uses[i]) ? "drifted" : expected[i]));
        }
    }
    CHECK(columns == 142);
    CHECK(tables == 44);
    CHECK(reused == 4);
    CHECK(other_type == 2);
}

} // namespace pgmend::healing
