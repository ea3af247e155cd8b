#include "pgmend/rules/catalog_check.hpp"

#include "written_names.hpp"

#include "pgmend/base/overloaded.hpp"
#include "pgmend/sql/names.hpp"
#include "pgmend/sql/parse.hpp"
#include "pgmend/yaml/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace pgmend::rules {
namespace {

using relations = std::vector<catalog::relation const*>;

/// What a rule says that a database does not bear out.
struct doubt {
    doubt(std::string says, bool is_near = true) : text{std::move(says)}, near{is_near} {}
    std::string text;
    bool near; ///< the rest of what it says is there: this is the database that it is for
};
using mistake = std::optional<doubt>;

/// What PostgreSQL would take a name for, schemas aside. Its own relations are left to it.
class relations_by_name final : public sql::relation_source {
  public:
    explicit relations_by_name(catalog::snapshot const& schema) : schema_{schema} {
        for (auto const& r : schema.relations()) by_name_[r->name].push_back(r.get());
    }

    [[nodiscard]] relations find_all(std::string_view schema, std::string_view name) const {
        relations out;
        auto const found = by_name_.find(name);
        if (found == by_name_.end()) return out;
        std::copy_if(found->second.begin(), found->second.end(), std::back_inserter(out),
                     [&](catalog::relation const* r) { return schema.empty() || r->schema == schema; });
        return out;
    }

    [[nodiscard]] std::vector<std::string_view> names() const {
        std::vector<std::string_view> out;
        for (auto const& [name, _] : by_name_) out.push_back(name);
        return out;
    }

    answer find(std::string_view schema, std::string_view name) override {
        auto const found = find_all(schema, name);
        if (found.empty()) return {};
        auto const* const r = found.front();
        auto [made, is_new] = offered_.try_emplace(r->id);
        if (is_new) {
            made->second.id = r->id;
            made->second.kind = r->kind;
            for (auto const& c : r->columns) made->second.columns.push_back({c.name, c.number});
        }
        return {&made->second, found.size() > 1};
    }
    bool is_temporary(std::string_view) const override { return false; }

  private:
    catalog::snapshot const& schema_;
    std::map<std::string_view, relations> by_name_;
    std::map<catalog::oid, sql::offered_relation> offered_; // nodes stay where they are
};

/// One database.
class examiner {
  public:
    examiner(rule_set const& all, catalog::snapshot const& schema) : schema_{schema}, by_name_{schema} {
        for (auto const& r : all.rules()) {
            if (r.mode == rule_mode::off) continue;
            if (auto const* const a = std::get_if<column_renamed>(&r.does)) old_columns_.emplace(a->column.table, a->column.column);
            if (auto const* const b = std::get_if<column_gone>(&r.does)) old_columns_.emplace(b->column.table, b->column.column);
            if (auto const* const c = std::get_if<object_renamed>(&r.does))
                if (c->kind == object_kind::table) moved_.emplace(c->object.name, &c->now);
        }
        names_ = by_name_.names();
        for (auto const& f : schema.functions()) functions_.emplace(f->name, f->schema);
        for (auto const& t : schema.types()) types_.emplace(t->name, t.get());
    }

    mistake examine(rule const& r) {
        return std::visit(base::overloaded{
                              [&](column_renamed const& a) { return renamed_column(a); },
                              [&](column_gone const& a) { return gone(a); },
                              [&](column_default const& a) { return column_exists(a.column, a.column.column); },
                              [&](label_renamed const& a) { return label(a); },
                              [&](object_renamed const& a) { return object(a); },
                              [&](star_pinned const& a) { return star(a); },
                              [&](batch_split const& a) { return table_of(a.table).empty() ? no_table(a.table) : mistake{}; },
                              [&](statement_replaced const& a) { return statement(a); },
                              [&](statement_fallback const&) { return mistake{}; },
                          },
                          r.does);
    }

  private:
    /// The table that old code calls so: under its old name, or under what a rule says that it is called now.
    [[nodiscard]] relations table_of(object_name const& name) const {
        auto found = by_name_.find_all(name.schema, name.name);
        if (!found.empty()) return found;
        auto const [first, last] = moved_.equal_range(name.name);
        for (auto at = first; at != last && found.empty(); ++at) found = by_name_.find_all(at->second->schema, at->second->name);
        return found;
    }

    /// Comparing with every name is what costs most, and nobody reads the hundredth.
    [[nodiscard]] std::string meant(std::string_view text, std::span<std::string_view const> names) const {
        if (suggested_ == most_suggestions) return {};
        ++suggested_;
        return yaml::did_you_mean(text, names);
    }

    [[nodiscard]] mistake no_table(object_name const& name) const {
        auto const other = meant(name.name, names_);
        return doubt{fmt::format("there is no table {}, and no rule says what it is called now{}", written(name), other), !other.empty()};
    }

    [[nodiscard]] mistake no_column(catalog::relation const& table, std::string_view column) const {
        std::vector<std::string_view> names;
        for (auto const& c : table.columns) names.push_back(c.name);
        return fmt::format("{} has no column {}{}", written(object_name{table.schema, table.name}), yaml::in_quotes(column), meant(column, names));
    }

    [[nodiscard]] mistake column_exists(column_name const& of, std::string const& column) const {
        object_name const table{of.schema, of.table};
        auto const tables = table_of(table);
        if (tables.empty()) return no_table(table);
        bool const any = std::any_of(tables.begin(), tables.end(), [&](auto const* t) { return t->find_column(column) != nullptr; });
        return any ? mistake{} : no_column(*tables.front(), column);
    }

    [[nodiscard]] mistake renamed_column(column_renamed const& a) const { return column_exists(a.column, a.now); }

    [[nodiscard]] mistake gone(column_gone const& a) const {
        object_name const table{a.column.schema, a.column.table};
        auto const tables = table_of(table);
        if (tables.empty()) return no_table(table);
        for (auto const* t : tables)
            if (t->find_column(a.column.column) != nullptr)
                return fmt::format("{} still has the column {}", written(object_name{t->schema, t->name}), yaml::in_quotes(a.column.column));
        return std::nullopt;
    }

    [[nodiscard]] mistake label(label_renamed const& a) const {
        mistake out = doubt{fmt::format("there is no enum {}", written(a.type)), false};
        auto const [first, last] = types_.equal_range(a.type.name);
        for (auto at = first; at != last; ++at) {
            auto const& type = *at->second;
            if (type.kind != 'e' || (!a.type.schema.empty() && a.type.schema != type.schema)) continue;
            std::vector<std::string_view> labels;
            for (auto const& l : type.labels) labels.push_back(l.label);
            if (std::find(labels.begin(), labels.end(), a.now) != labels.end()) return std::nullopt;
            out = fmt::format("{} has no label {}{}", written(object_name{type.schema, type.name}), yaml::in_quotes(a.now), meant(a.now, labels));
        }
        return out;
    }

    [[nodiscard]] mistake object(object_renamed const& a) const {
        // Without a schema: in the one that the old name is written with, or along the search path, which is not known here.
        auto const& schema = a.now.schema.empty() ? a.object.schema : a.now.schema;
        object_name const now{schema, a.now.name};
        auto const in_schema = [&](std::string_view found) { return schema.empty() || schema == found; };
        switch (a.kind) {
            case object_kind::table:
            case object_kind::sequence: {
                auto const found = by_name_.find_all(schema, a.now.name);
                bool const sequence = a.kind == object_kind::sequence;
                if (std::any_of(found.begin(), found.end(), [&](auto const* r) { return (r->kind == 'S') == sequence; })) return std::nullopt;
                if (!found.empty()) return fmt::format("{} is {} sequence", written(now), sequence ? "no" : "a");
                auto const other = meant(a.now.name, names_);
                return doubt{fmt::format("there is no {} {}{}", sequence ? "sequence" : "table", written(now), other), !other.empty()};
            }
            case object_kind::function: {
                auto const [first, last] = functions_.equal_range(a.now.name);
                if (std::any_of(first, last, [&](auto const& f) { return in_schema(f.second); })) return std::nullopt;
                if ((schema.empty() || schema == "pg_catalog") && schema_.has_system_function(a.now.name)) return std::nullopt;
                return doubt{fmt::format("there is no function {}", written(now)), false};
            }
            case object_kind::type: {
                auto const [first, last] = types_.equal_range(a.now.name);
                if (std::any_of(first, last, [&](auto const& t) { return in_schema(t.second->schema); })) return std::nullopt;
                return doubt{fmt::format("there is no type {}", written(now)), false};
            }
        }
        return std::nullopt;
    }

    /// A column that is neither there nor known to a rule was probably misspelt.
    [[nodiscard]] mistake star(star_pinned const& a) const {
        auto const tables = table_of(a.table);
        if (tables.empty()) return no_table(a.table);
        for (auto const& column : a.columns) {
            bool const there = std::any_of(tables.begin(), tables.end(), [&](auto const* t) { return t->find_column(column) != nullptr; });
            if (!there && !old_columns_.contains({a.table.name, column})) return no_column(*tables.front(), column);
        }
        return std::nullopt;
    }

    mistake statement(statement_replaced const& a) {
        auto const now = sql::parsed_text::parse(a.now.text());
        if (!now) return std::nullopt; // it was parsed when it was loaded
        auto const meaning = now->resolve(0, by_name_, false);
        if (auto const* const none = std::get_if<sql::unresolved>(&meaning)) {
            using kind = sql::unresolved::kind_type;
            bool const certain = none->kind == kind::unknown_column || none->kind == kind::unknown_relation;
            return certain ? mistake{doubt{"replace: " + none->text, none->kind == kind::unknown_column}} : mistake{};
        }
        // Where the old statement can still be understood, both must answer with the same columns.
        auto const before = sql::parsed_text::parse(a.statement.text());
        if (!before) return std::nullopt;
        auto const old_meaning = before->resolve(0, by_name_, false);
        auto const* const was = std::get_if<sql::resolution>(&old_meaning);
        if (was == nullptr) return std::nullopt;
        return other_columns(was->columns, std::get<sql::resolution>(meaning).columns);
    }

    [[nodiscard]] static mistake other_columns(std::optional<std::vector<sql::result_column>> const& was, std::optional<std::vector<sql::result_column>> const& now) {
        if (was.has_value() != now.has_value()) return mistake{was ? "replace answers with no rows, as statement does" : "replace answers with rows, as statement does not"};
        if (!was) return std::nullopt;
        if (was->size() != now->size()) return fmt::format("replace answers with {} columns, statement with {}", now->size(), was->size());
        for (std::size_t i = 0; i < was->size(); ++i)
            if ((*was)[i].label != (*now)[i].label)
                return fmt::format("column {} of replace's answer is called {}, of statement's {}", i + 1, yaml::in_quotes((*now)[i].label), yaml::in_quotes((*was)[i].label));
        return std::nullopt;
    }

    static constexpr std::size_t most_suggestions = 100;

    catalog::snapshot const& schema_;
    relations_by_name by_name_;
    std::vector<std::string_view> names_; ///< of relations
    mutable std::size_t suggested_{0};
    std::set<std::pair<std::string_view, std::string_view>> old_columns_; ///< table, column: those that rules speak of
    std::multimap<std::string_view, object_name const*> moved_;           ///< tables by their old names
    std::multimap<std::string_view, std::string_view> functions_; ///< name, schema
    std::multimap<std::string_view, catalog::type_entry const*> types_;
};

} // namespace

std::vector<yaml::problem> check_against(rule_set const& rules, std::span<named_schema const> databases) {
    std::vector<std::pair<std::string_view, examiner>> examiners;
    examiners.reserve(databases.size());
    for (auto const& d : databases) examiners.emplace_back(d.database, examiner{rules, *d.schema});
    std::vector<yaml::problem> out;
    for (auto const& r : rules.rules()) {
        if (r.mode == rule_mode::off) continue;
        std::string told;
        bool told_near = false;
        bool good = false;
        std::size_t possible = 0;
        for (auto& [database, one] : examiners) {
            auto const& only = r.when.databases;
            if (good || (!only.empty() && std::find(only.begin(), only.end(), database) == only.end())) continue;
            ++possible;
            auto const found = one.examine(r);
            good = !found;
            if (!found || !(told.empty() || (found->near && !told_near))) continue;
            told = fmt::format("rule {}: in database {} {}", r.name, database, found->text);
            told_near = found->near;
        }
        if (!good && possible > 1) told += ", and the rule fits no other database";
        if (!good && possible > 0) out.push_back({r.where.file, r.where.line, r.where.column, yaml::severity::warning, std::move(told)});
    }
    return out;
}

std::string probe_of(rule const& of, catalog::snapshot const& schema) {
    auto const* const gone = std::get_if<column_gone>(&of.does);
    auto const* const filled = std::get_if<column_default>(&of.does);
    if (filled == nullptr && (gone == nullptr || !gone->read)) return {};
    auto const& column = gone != nullptr ? gone->column : filled->column;
    auto const& all = schema.relations();
    auto const table = std::find_if(all.begin(), all.end(), [&](auto const& it) {
        bool const named = it->name == column.table && (column.schema.empty() || it->schema == column.schema);
        return named && (gone != nullptr || it->find_column(std::string_view{column.column}) != nullptr);
    });
    if (table == all.end()) return {};
    auto const name = written(object_name{(*table)->schema, (*table)->name});
    if (gone != nullptr) return fmt::format("SELECT ({}) FROM {}", *gone->read, name);
    return fmt::format("INSERT INTO {} ({}) VALUES (({}))", name, sql::quoted_name(column.column), filled->expression);
}

} // namespace pgmend::rules
