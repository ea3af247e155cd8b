#include "healing/rule_versions.hpp"

#include "healing/meaning.hpp"
#include "healing/version_builder.hpp"
#include "healing/version_source.hpp"
#include "pgmend/rules/rule_set.hpp"
#include "pgmend/sql/lexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace pgmend::healing {
namespace {

using rules::object_kind;

constexpr std::size_t longest_chain = 16; ///< of rules that lead from name to name

std::string dotted(std::string_view schema, std::string_view name) { return fmt::format("{}.{}", schema, name); }

/// Works out what the rules make of one schema for one text.
class undoing {
  public:
    undoing(lineage const& versions, question const& asked, rules::rule_set const& rules)
        : versions_{versions}, asked_{asked}, rules_{rules}, names_{identifiers(asked.sql)} {}

    [[nodiscard]] bool run();
    [[nodiscard]] lineage result() const;

  private:
    [[nodiscard]] std::string written_schema(std::string_view name) const;
    [[nodiscard]] std::string home(std::string_view rule_schema, std::string_view name, std::string_view fallback) const;
    void object(rules::rule const& by, rules::object_renamed const& says);
    void relation(rules::rule const& by, rules::object_renamed const& says, std::string const& schema);
    void functions(rules::rule const& by, rules::object_renamed const& says, std::string const& schema);
    void type(rules::rule const& by, rules::object_renamed const& says, std::string const& schema);
    void column(rules::rule const& by, rules::column_renamed const& says);
    void gone(rules::column_gone const& says);
    void label(rules::rule const& by, rules::label_renamed const& says);
    void forget(std::string_view schema, std::string_view name);
    [[nodiscard]] std::set<catalog::oid> tables(std::string_view schema, std::string_view name) const;
    [[nodiscard]] catalog::relation const* target(object_kind kind, std::string_view schema, rules::object_name now) const;
    void problem(rules::rule const& by, std::string_view what);
    void contradicts(rules::rule const& by, std::string_view before, std::string_view rule_says, std::string_view history_says);

    /// `change` on the first version that does not have the object under an old name yet, and where rules override, there.
    template <class F>
    void undo(bool live, F const& change) {
        bool const done = overriding_.try_undo(change);
        overrides_ = overrides_ || (live && done);
        if (live) return;
        for (auto& it : builders_) {
            if (it.try_undo(change)) return;
        }
        builders_.emplace_back(versions_.now);
        (void)builders_.back().try_undo(change);
    }

    lineage const& versions_;
    question const& asked_;
    rules::rule_set const& rules_;
    std::vector<std::string> names_;
    std::vector<version_builder> builders_;
    version_builder overriding_{versions_.now};
    std::map<std::size_t, version_builder> cleaned_; ///< by index in versions_.earlier
    std::map<catalog::oid, std::int16_t> made_up_;   ///< by relation: the newest number of a column that only rules know
    bool overrides_{false};
    std::shared_ptr<rule_versions> out_{std::make_shared<rule_versions>()};
};

void undoing::problem(rules::rule const& by, std::string_view what) { out_->problems.push_back(fmt::format("rule {} heals nothing: {}", by.name, what)); }

/// `before`: the old name as patterns have it, "relation public.customers".
void undoing::contradicts(rules::rule const& by, std::string_view before, std::string_view rule_says, std::string_view history_says) {
    refusal const why{fmt::format("ambiguous: rule {} says that {} is now {}, the history of the schema says {}", by.name, before, rule_says, history_says),
                      refusal_kind::ambiguous_lineage, {}};
    for (auto const now : {rule_says, history_says}) out_->contradicted.emplace(fmt::format("{} -> {}", before, now), why);
}

/// The schema that the text writes in front of a name; empty: none.
std::string undoing::written_schema(std::string_view name) const {
    auto const list = sql::scan(asked_.sql);
    auto const text = [&](std::size_t i) { return asked_.sql.substr(list.tokens[i].begin, list.tokens[i].end - list.tokens[i].begin); };
    auto const known = [&](std::string_view schema) {
        return std::any_of(versions_.every.begin(), versions_.every.end(), [&](auto const& it) {
            return it->find_schema(schema) != nullptr || it->has_schema(schema);
        });
    };
    for (std::size_t i = 2; i < list.tokens.size(); ++i) {
        if (text(i - 1) != ".") continue;
        auto const is = identifiers(text(i));
        auto const schema = identifiers(text(i - 2));
        if (is.size() == 1 && schema.size() == 1 && is[0] == name && known(schema[0])) return schema[0];
    }
    return {};
}

/// Where the old name belongs: as the rule says, or the text; else on the path, there where it is found first.
std::string undoing::home(std::string_view rule_schema, std::string_view name, std::string_view fallback) const {
    if (!rule_schema.empty()) return std::string{rule_schema};
    if (auto written = written_schema(name); !written.empty()) return written;
    if (!fallback.empty()) return std::string{fallback};
    // Not the "$user" that does not exist: patterns would be named after whoever was first.
    auto const possible = [](std::string const& it) { return !it.starts_with("pg_"); };
    auto const lives = [&](std::string const& it) { return possible(it) && (versions_.now.find_schema(it) != nullptr || versions_.now.has_schema(it)); };
    auto const& path = asked_.session.search_path;
    auto found = std::find_if(path.begin(), path.end(), lives);
    if (found == path.end()) found = std::find_if(path.begin(), path.end(), possible);
    return found != path.end() ? *found : "public";
}

/// What is gone and had the name: the rule knows better what became of it.
void undoing::forget(std::string_view schema, std::string_view name) {
    for (std::size_t i = 0; i < versions_.earlier.size(); ++i) {
        auto const& version = *versions_.earlier[i];
        auto const clean = [&](auto const& entries, auto const& find, auto const& hide) {
            for (auto const& it : entries) {
                if (it->name != name || (!schema.empty() && it->schema != schema) || find(it->id) != nullptr) continue;
                hide(cleaned_.try_emplace(i, version).first->second, it->id);
            }
        };
        clean(version.relations(), [&](catalog::oid id) { return versions_.now.find(id); },
              [](version_builder& in, catalog::oid id) { in.hide_relation(id); });
        clean(version.types(), [&](catalog::oid id) { return versions_.now.find_type(id); },
              [](version_builder& in, catalog::oid id) { in.hide_type(id); });
        clean(version.functions(), [&](catalog::oid id) { return versions_.now.find_function(id); },
              [](version_builder& in, catalog::oid id) { in.hide_function(id); });
    }
}

void undoing::object(rules::rule const& by, rules::object_renamed const& says) {
    auto const fallback = says.now.schema.empty() && says.kind != object_kind::function ? [&] {
        if (says.kind == object_kind::type) {
            auto const* found = find_type(versions_.now, asked_.session, {}, says.now.name);
            return found != nullptr ? std::string_view{found->schema} : std::string_view{};
        }
        auto const* found = find_relation(versions_.now, asked_.session, {}, says.now.name);
        return found != nullptr ? std::string_view{found->schema} : std::string_view{};
    }() : std::string_view{};
    auto const schema = home(says.object.schema, says.object.name, fallback);
    forget(says.object.schema, says.object.name);
    switch (says.kind) {
    case object_kind::table:
    case object_kind::sequence: return relation(by, says, schema);
    case object_kind::function: return functions(by, says, schema);
    case object_kind::type: return type(by, says, schema);
    }
}

catalog::relation const* undoing::target(object_kind kind, std::string_view schema, rules::object_name now) const {
    for (std::size_t steps = 0; steps < longest_chain; ++steps) {
        auto const in = now.schema.empty() ? schema : std::string_view{now.schema};
        if (auto const* found = versions_.now.find(in, now.name)) return found;
        auto const* next = rules_.object(kind, in, now.name, asked_.who);
        if (next == nullptr) return nullptr;
        now = std::get<rules::object_renamed>(next->does).now;
    }
    return nullptr;
}

void undoing::relation(rules::rule const& by, rules::object_renamed const& says, std::string const& schema) {
    auto const& name = says.object.name;
    auto const* is = target(says.kind, schema, says.now);
    if (is == nullptr || (is->kind == 'S') != (says.kind == object_kind::sequence)) {
        return problem(by, fmt::format("there is no {} {}", says.kind == object_kind::sequence ? "sequence" : "table or view",
                                       dotted(says.now.schema.empty() ? schema : says.now.schema, says.now.name)));
    }
    auto const* live = versions_.now.find(schema, name);
    if (live == is) return;
    if (live != nullptr && !by.overrides()) return problem(by, fmt::format("{} exists", dotted(schema, name)));
    if (live == nullptr) {
        for (auto const& version : versions_.earlier) {
            auto const* was = version->find(schema, name);
            auto const* lives = was != nullptr ? versions_.now.find(was->id) : nullptr;
            if (lives != nullptr && lives != is) contradicts(by, "relation " + dotted(schema, name), dotted(is->schema, is->name), dotted(lives->schema, lives->name));
        }
    }
    out_->by_pattern.emplace(fmt::format("relation {} -> {}", dotted(schema, name), dotted(is->schema, is->name)), &by);
    undo(live != nullptr, [&](version_builder& in) { return in.name_relation(is->id, schema, name); });
}

void undoing::functions(rules::rule const& by, rules::object_renamed const& says, std::string const& schema) {
    auto const& name = says.object.name;
    std::vector<catalog::function_entry const*> found;
    rules::object_name now = says.now;
    for (std::size_t steps = 0; steps < longest_chain; ++steps) {
        bool const open = now.schema.empty() && says.object.schema.empty() && written_schema(name).empty();
        found = find_functions(versions_.now, asked_.session, open ? std::string_view{} : now.schema.empty() ? schema : now.schema, now.name);
        auto const* next = found.empty() ? rules_.object(says.kind, now.schema.empty() ? schema : now.schema, now.name, asked_.who) : nullptr;
        if (next == nullptr) break;
        now = std::get<rules::object_renamed>(next->does).now;
    }
    if (found.empty()) return problem(by, fmt::format("there is no function {}", says.now.schema.empty() ? says.now.name : dotted(says.now.schema, says.now.name)));
    auto const live = versions_.now.find_functions(schema, name);
    if (!live.empty() && !by.overrides()) return problem(by, fmt::format("a function {} exists", dotted(schema, name)));
    for (auto const* is : found) {
        for (auto const& version : live.empty() ? versions_.earlier : std::vector<std::shared_ptr<catalog::snapshot const>>{}) {
            for (auto const* was : version->find_functions(schema, name)) {
                auto const* lives = versions_.now.find_function(was->id);
                if (lives != nullptr && (lives->schema != is->schema || lives->name != is->name)) {
                    contradicts(by, "function " + dotted(schema, name), dotted(is->schema, is->name), dotted(lives->schema, lives->name));
                }
            }
        }
        for (auto const& from : {schema, is->schema}) {
            out_->by_pattern.emplace(fmt::format("function {} -> {}", dotted(from, name), dotted(is->schema, is->name)), &by);
        }
        undo(!live.empty(), [&](version_builder& in) { return in.name_function(is->id, schema, name); });
    }
}

void undoing::type(rules::rule const& by, rules::object_renamed const& says, std::string const& schema) {
    auto const& name = says.object.name;
    catalog::type_entry const* is = nullptr;
    rules::object_name now = says.now;
    for (std::size_t steps = 0; is == nullptr && steps < longest_chain; ++steps) {
        auto const in = now.schema.empty() ? schema : now.schema;
        is = versions_.now.find_type(in, now.name);
        auto const* next = is == nullptr ? rules_.object(says.kind, in, now.name, asked_.who) : nullptr;
        if (next == nullptr) break;
        now = std::get<rules::object_renamed>(next->does).now;
    }
    if (is == nullptr) return problem(by, fmt::format("there is no type {}", dotted(says.now.schema.empty() ? schema : says.now.schema, says.now.name)));
    auto const* live = versions_.now.find_type(schema, name);
    if (live == is) return;
    if (live != nullptr && !by.overrides()) return problem(by, fmt::format("{} exists", dotted(schema, name)));
    if (live == nullptr) {
        for (auto const& version : versions_.earlier) {
            auto const* was = version->find_type(schema, name);
            auto const* lives = was != nullptr ? versions_.now.find_type(was->id) : nullptr;
            if (lives != nullptr && lives != is) contradicts(by, "type " + dotted(schema, name), dotted(is->schema, is->name), dotted(lives->schema, lives->name));
        }
    }
    for (auto const& from : {schema, is->schema}) {
        out_->by_pattern.emplace(fmt::format("type {} -> {}", dotted(from, name), dotted(is->schema, is->name)), &by);
    }
    undo(live != nullptr, [&](version_builder& in) { return in.name_type(is->id, schema, name); });
}

/// Live relations that the name may stand for in a rule: by today's name, by a rule's old name, by an earlier one.
std::set<catalog::oid> undoing::tables(std::string_view schema, std::string_view name) const {
    std::set<catalog::oid> out;
    auto const take = [&](catalog::relation const& it) {
        if (it.name == name && (schema.empty() || it.schema == schema) && versions_.now.find(it.id) != nullptr) out.insert(it.id);
    };
    overriding_.each_relation(take);
    for (auto const& it : builders_) it.each_relation(take);
    for (auto const& it : versions_.now.relations()) take(*it);
    if (!out.empty()) return out;
    for (auto const& version : versions_.earlier) {
        for (auto const& it : version->relations()) take(*it);
    }
    return out;
}

void undoing::column(rules::rule const& by, rules::column_renamed const& says) {
    auto const& old = says.column.column;
    auto const found = tables(says.column.schema, says.column.table);
    if (found.empty()) return problem(by, fmt::format("there is no table {}", says.column.table));
    std::size_t done = 0;
    std::string missing;
    for (auto const id : found) {
        auto const& table = *versions_.now.find(id);
        auto now = says.now;
        auto const* is = table.find_column(std::string_view{now});
        for (std::size_t steps = 0; is == nullptr && steps < longest_chain; ++steps) {
            auto const* next = rules_.column(says.column.schema.empty() ? table.schema : says.column.schema, says.column.table, now, asked_.who);
            auto const* further = next != nullptr ? std::get_if<rules::column_renamed>(&next->does) : nullptr;
            if (further == nullptr) break;
            now = further->now;
            is = table.find_column(std::string_view{now});
        }
        if (is == nullptr) {
            missing = fmt::format("{} has no column {}", dotted(table.schema, table.name), says.now);
            continue;
        }
        auto const* live = table.find_column(std::string_view{old});
        if (live != nullptr && !by.overrides()) {
            missing = fmt::format("{} has a column {}", dotted(table.schema, table.name), old);
            continue;
        }
        ++done;
        auto const names = [&](catalog::relation const& it) {
            if (it.id == id) out_->by_pattern.emplace(fmt::format("column {}.{} -> {}", dotted(it.schema, it.name), old, is->name), &by);
        };
        names(table);
        overriding_.each_relation(names);
        for (auto const& it : builders_) it.each_relation(names);
        for (std::size_t i = 0; i < versions_.earlier.size(); ++i) {
            auto const* was = versions_.earlier[i]->find(id);
            if (was == nullptr) continue;
            names(*was);
            auto const* column = was->find_column(std::string_view{old});
            if (column == nullptr || column->number == is->number) continue;
            auto const* lives = table.find_column(column->number);
            if (lives == nullptr) {
                cleaned_.try_emplace(i, *versions_.earlier[i]).first->second.hide_column(id, column->number);
            } else if (live == nullptr) {
                for (auto const* called : {&table, was}) {
                    contradicts(by, fmt::format("column {}.{}", dotted(called->schema, called->name), old), is->name, lives->name);
                }
            }
        }
        auto const number = is->number;
        undo(live != nullptr, [&](version_builder& in) { return in.name_column(id, number, old); });
    }
    if (done == 0 && !missing.empty()) problem(by, missing);
}

/// A column that is in no version that is known was there once all the same: the rule says so. Its type is not known, nor its place in `*`.
void undoing::gone(rules::column_gone const& says) {
    auto const& name = says.column.column;
    for (auto const id : tables(says.column.schema, says.column.table)) {
        auto const& table = *versions_.now.find(id);
        bool known = table.find_column(std::string_view{name}) != nullptr;
        auto last = table.columns.empty() ? std::int16_t{0} : table.columns.back().number;
        for (auto const& version : versions_.earlier) {
            auto const* was = version->find(id);
            if (was == nullptr) continue;
            known = known || was->find_column(std::string_view{name}) != nullptr;
            for (auto const& it : was->columns) last = std::max(last, it.number);
        }
        if (known) continue; // with its number, type and place
        auto& made = made_up_[id];
        made = std::max(made, last);
        if (made == std::numeric_limits<std::int16_t>::max()) continue;
        ++made;
        undo(false, [&](version_builder& in) { return in.add_column(id, made, name); });
    }
}

void undoing::label(rules::rule const& by, rules::label_renamed const& says) {
    std::size_t done = 0;
    std::set<catalog::oid> types;
    auto const take = [&](catalog::type_entry const& it) {
        if (it.name == says.type.name && (says.type.schema.empty() || it.schema == says.type.schema)) types.insert(it.id);
    };
    overriding_.each_type(take);
    for (auto const& it : versions_.now.types()) take(*it);
    for (auto const& version : types.empty() ? versions_.earlier : std::vector<std::shared_ptr<catalog::snapshot const>>{}) {
        for (auto const& it : version->types()) take(*it);
    }
    for (auto const id : types) {
        auto const* type = versions_.now.find_type(id);
        if (type == nullptr) continue;
        catalog::enum_label const* is = nullptr;
        bool live = false;
        for (auto const& it : type->labels) {
            if (it.label == says.now) is = &it;
            live = live || it.label == says.label;
        }
        if (is == nullptr || (live && !by.overrides())) continue;
        ++done;
        for (std::size_t i = 0; i < versions_.earlier.size(); ++i) {
            auto const* was = versions_.earlier[i]->find_type(id);
            for (auto const& it : was != nullptr ? was->labels : std::vector<catalog::enum_label>{}) {
                if (live || it.label != says.label || it.id == is->id) continue;
                for (auto const& lives : type->labels) {
                    auto const full = dotted(type->schema, type->name);
                    if (lives.id == it.id) contradicts(by, fmt::format("enum {}.{}", full, says.label), dotted(full, is->label), dotted(full, lives.label));
                }
            }
        }
        out_->by_pattern.emplace(fmt::format("enum {}.{} -> {}.{}", dotted(type->schema, type->name), says.label, dotted(type->schema, type->name), is->label), &by);
        auto const label_id = is->id;
        undo(live, [&](version_builder& in) { return in.name_label(id, label_id, says.label); });
    }
    if (done == 0) problem(by, fmt::format("enum {} has no such label, or has the old one too", says.type.name));
}

bool undoing::run() {
    auto which = rules_.renaming(names_);
    std::erase_if(which, [this](rules::rule const* it) { return !it->applies(asked_.who); });
    if (which.empty()) return false;
    // Of two that speak of the same name the one that the rule set finds first goes in first; objects before what is in them.
    std::stable_sort(which.begin(), which.end(), [](rules::rule const* a, rules::rule const* b) {
        auto const rank = [](rules::rule const& it) {
            return std::pair{std::holds_alternative<rules::object_renamed>(it.does) ? 0 : 1, it.learned ? 2 : it.when.always() ? 1 : 0};
        };
        return rank(*a) < rank(*b);
    });
    for (auto const* it : which) {
        if (auto const* says = std::get_if<rules::object_renamed>(&it->does)) object(*it, *says);
        if (auto const* says = std::get_if<rules::column_renamed>(&it->does)) column(*it, *says);
        if (auto const* says = std::get_if<rules::column_gone>(&it->does)) gone(*says);
        if (auto const* says = std::get_if<rules::label_renamed>(&it->does)) label(*it, *says);
    }
    return true;
}

lineage undoing::result() const {
    lineage made = versions_;
    for (auto const& it : builders_) out_->undone.push_back(it.build());
    if (overrides_) out_->overriding = overriding_.build();
    for (std::size_t i = 0; i < versions_.earlier.size(); ++i) {
        auto const found = cleaned_.find(i);
        if (found == cleaned_.end()) continue;
        auto const clean = found->second.build();
        std::replace(made.every.begin(), made.every.end(), made.earlier[i], clean);
        made.earlier[i] = clean;
    }
    made.earlier.insert(made.earlier.begin(), out_->undone.begin(), out_->undone.end());
    made.every.insert(made.every.begin() + 1, out_->undone.begin(), out_->undone.end()); // behind the current one
    made.rules = out_;
    return made;
}

} // namespace

rules::rule const* rule_versions::behind(std::string_view pattern) const {
    auto const found = by_pattern.find(pattern);
    return found != by_pattern.end() ? found->second : nullptr;
}

lineage with_rules(lineage versions, question const& asked, rules::rule_set const* rules) {
    if (rules == nullptr || rules->empty()) return versions;
    undoing work{versions, asked, *rules};
    return work.run() ? work.result() : versions;
}

rules::rule const* observed(std::vector<std::string> const& patterns, rules::rule_set const* rules) {
    if (rules == nullptr) return nullptr;
    constexpr std::string_view beginning = "rule ";
    for (std::string_view it : patterns) { // "rule name", "rule name: what of it"
        if (!it.starts_with(beginning)) continue;
        it.remove_prefix(beginning.size());
        for (auto end = it.size(); end != std::string_view::npos; end = end == 0 ? end - 1 : it.rfind(": ", end - 1)) {
            auto const* const rule = rules->find(it.substr(0, end));
            if (rule != nullptr && rule->mode == rules::rule_mode::observe) return rule;
        }
    }
    return nullptr;
}

} // namespace pgmend::healing
