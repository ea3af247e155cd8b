#include "pgmend/rules/rule_set.hpp"

#include "pgmend/base/overloaded.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pgmend::rules {
namespace {

std::string key_of(std::string_view a, std::string_view b) { // no name holds a NUL
    std::string out;
    out.reserve(a.size() + b.size() + 1);
    return out.append(a).append(1, '\0').append(b);
}

std::string key_of(object_kind kind, std::string_view name) {
    return std::string(1, static_cast<char>('0' + static_cast<int>(kind))).append(name);
}

/// The schema that a rule names; empty: every schema.
std::string_view schema_of(rule const& r) {
    return std::visit(base::overloaded{
                          [](column_renamed const& a) { return std::string_view{a.column.schema}; },
                          [](column_gone const& a) { return std::string_view{a.column.schema}; },
                          [](column_default const& a) { return std::string_view{a.column.schema}; },
                          [](label_renamed const& a) { return std::string_view{a.type.schema}; },
                          [](object_renamed const& a) { return std::string_view{a.object.schema}; },
                          [](star_pinned const& a) { return std::string_view{a.table.schema}; },
                          [](batch_split const& a) { return std::string_view{a.table.schema}; },
                          [](auto const&) { return std::string_view{}; },
                      },
                      r.does);
}

/// Smaller goes first.
std::tuple<bool, bool, bool> precedence(rule const* r) { return {r->learned, schema_of(*r).empty(), r->when.always()}; }

void put_in_order(auto& index) {
    for (auto& [_, found] : index)
        std::stable_sort(found.begin(), found.end(), [](auto const* a, auto const* b) { return precedence(a) < precedence(b); });
}

bool in_schema(rule const& r, std::string_view schema) {
    auto const named = schema_of(r);
    return named.empty() || named == schema;
}

rule const* first(std::span<rule const* const> candidates, std::string_view schema, circumstances const& who) {
    auto const found = std::find_if(candidates.begin(), candidates.end(), [&](rule const* r) { return in_schema(*r, schema) && r->applies(who); });
    return found == candidates.end() ? nullptr : *found;
}

} // namespace

rule_set::rule_set() = default;

rule_set::rule_set(std::vector<rule> rules, std::uint64_t generation) : rules_{std::move(rules)}, generation_{generation} {
    for (auto const& r : rules_) {
        by_name_[r.name].push_back(&r);
        if (r.mode == rule_mode::off) continue;
        auto const put = [&](by_text& index, std::string at, std::string const& name) {
            index[std::move(at)].push_back(&r);
            names_.push_back(name);
        };
        auto const put_statement = [&](statement_shape const& statement) {
            statements_[statement.hash()].push_back(&r);
            if (auto word = statement.telling_word(); word.empty()) has_wordless_statements_ = true;
            else statement_words_.push_back(std::move(word));
        };
        std::visit(base::overloaded{
                       [&](column_renamed const& a) {
                           put(columns_, key_of(a.column.table, a.column.column), a.column.column);
                           renaming_[a.column.column].push_back(&r);
                           if (a.column.table != a.column.column) renaming_[a.column.table].push_back(&r);
                       },
                       [&](column_gone const& a) {
                           put(columns_, key_of(a.column.table, a.column.column), a.column.column);
                           renaming_[a.column.column].push_back(&r);
                       },
                       [&](column_default const& a) { put(defaults_, a.column.table, a.column.table); },
                       [&](label_renamed const& a) {
                           put(labels_, a.label, a.label);
                           renaming_[a.label].push_back(&r);
                       },
                       [&](object_renamed const& a) {
                           put(objects_, key_of(a.kind, a.object.name), a.object.name);
                           renaming_[a.object.name].push_back(&r);
                       },
                       [&](star_pinned const& a) { put(stars_, a.table.name, a.table.name); },
                       [&](batch_split const& a) { put(batches_, a.table.name, a.table.name); },
                       [&](statement_replaced const& a) { put_statement(a.statement); },
                       [&](statement_fallback const& a) {
                           put_statement(a.statement);
                           has_fallbacks_ = true;
                       },
                   },
                   r.does);
    }
    for (auto* const words : {&names_, &statement_words_}) {
        std::sort(words->begin(), words->end());
        words->erase(std::unique(words->begin(), words->end()), words->end());
    }
    for (auto* const index : {&columns_, &objects_, &stars_, &batches_, &defaults_, &labels_}) put_in_order(*index);
    put_in_order(statements_);
}

std::span<rule const* const> rule_set::entries(by_text const& index, std::string_view key_text) {
    auto const found = index.find(key_text);
    return found == index.end() ? std::span<rule const* const>{} : std::span<rule const* const>{found->second};
}

rule const* rule_set::column(std::string_view schema, std::string_view table, std::string_view column, circumstances const& who) const {
    if (columns_.empty()) return nullptr;
    return first(entries(columns_, key_of(table, column)), schema, who);
}

rule const* rule_set::object(object_kind kind, std::string_view schema, std::string_view name, circumstances const& who) const {
    if (objects_.empty()) return nullptr;
    for (auto const* r : entries(objects_, key_of(kind, name))) {
        // `customers -> crm.customers` has nothing to say of crm.customers.
        auto const& now = std::get<object_renamed>(r->does).now;
        bool const there = !schema.empty() && now.schema == schema && now.name == name;
        if (!there && in_schema(*r, schema) && r->applies(who)) return r;
    }
    return nullptr;
}

rule const* rule_set::star(std::string_view schema, std::string_view table, circumstances const& who) const {
    return first(entries(stars_, table), schema, who);
}

rule const* rule_set::on_error(std::string_view schema, std::string_view table, circumstances const& who) const {
    return first(entries(batches_, table), schema, who);
}

bool rule_set::splits(std::string_view table, circumstances const& who) const {
    auto const found = entries(batches_, table);
    return std::any_of(found.begin(), found.end(), [&](rule const* r) { return r->mode.value_or(rule_mode::heal) == rule_mode::heal && r->applies(who); });
}

std::vector<rule const*> rule_set::defaults(std::string_view schema, std::string_view table, circumstances const& who) const {
    std::vector<rule const*> out;
    auto const column_of = [](rule const* r) -> std::string const& { return std::get<column_default>(r->does).column.column; };
    for (auto const* r : entries(defaults_, table)) {
        if (!in_schema(*r, schema) || !r->applies(who)) continue;
        bool const known = std::any_of(out.begin(), out.end(), [&](rule const* other) { return column_of(other) == column_of(r); });
        if (!known) out.push_back(r);
    }
    return out;
}

rule const* rule_set::label(std::string_view schema, std::string_view type, std::string_view label, circumstances const& who) const {
    for (auto const* r : entries(labels_, label))
        if (std::get<label_renamed>(r->does).type.name == type && in_schema(*r, schema) && r->applies(who)) return r;
    return nullptr;
}

std::vector<rule const*> rule_set::labels(std::string_view label, circumstances const& who) const {
    std::vector<rule const*> out;
    for (auto const* r : entries(labels_, label))
        if (r->applies(who)) out.push_back(r);
    return out;
}

std::optional<rule_set::matched> rule_set::replacement(scanned_text const& client, circumstances const& who) const {
    if (!client.matchable()) return std::nullopt;
    auto const found = statements_.find(client.hash());
    if (found == statements_.end()) return std::nullopt;
    for (auto const* r : found->second) {
        auto const* const does = std::get_if<statement_replaced>(&r->does);
        if (does == nullptr || !r->applies(who)) continue;
        if (auto edit = replace(does->statement, does->now, client)) return matched{r, std::move(*edit)};
    }
    return std::nullopt;
}

rule const* rule_set::fallback(scanned_text const& client, circumstances const& who) const {
    if (!client.matchable()) return nullptr;
    auto const found = statements_.find(client.hash());
    if (found == statements_.end()) return nullptr;
    for (auto const* r : found->second) {
        auto const* const does = std::get_if<statement_fallback>(&r->does);
        if (does != nullptr && r->applies(who) && does->statement.match(client)) return r;
    }
    return nullptr;
}

std::vector<rule const*> rule_set::renaming(std::span<std::string const> names) const {
    std::vector<rule const*> out;
    if (renaming_.empty()) return out;
    for (auto const& name : names) {
        auto const found = entries(renaming_, name);
        out.insert(out.end(), found.begin(), found.end());
    }
    std::sort(out.begin(), out.end()); // they stand in one array
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

rule const* rule_set::find(std::string_view rule_name) const {
    auto const found = entries(by_name_, rule_name);
    return found.empty() ? nullptr : found.front();
}

} // namespace pgmend::rules
