// Which FROM item a name belongs to: parse_relation.c and parse_expr.c's transformColumnRef.
#include "sql/resolver.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sql/nodes.hpp"

namespace pgmend::sql {

void resolver::fail(unresolved::kind_type kind, std::string text, std::string column) {
    if (!failure_) failure_ = unresolved{kind, std::move(text), std::move(column)};
}

void resolver::not_understood(std::string_view construct) {
    fail(unresolved::kind_type::not_understood, fmt::format("{} is not understood yet", construct));
}

void resolver::put(std::string_view tag, long number) { fmt::format_to(std::back_inserter(canonical_), "{}{} ", tag, number); }

void resolver::put_text(std::string_view text) { fmt::format_to(std::back_inserter(canonical_), "{}:{} ", text.size(), text); }

void resolver::put_names(List const* strings) {
    put("n", static_cast<long>(nodes{strings}.size()));
    for (Node* node : nodes{strings}) {
        if (tag_of(node) != T_String) return not_understood("a name that is no plain name");
        put_text(text_of(node));
    }
}

std::size_t resolver::token_at(int location) const {
    if (location < 0) return none;
    auto const begin = static_cast<std::uint32_t>(location);
    auto const found = std::lower_bound(tokens_.begin(), tokens_.end(), begin,
                                        [](token const& t, std::uint32_t at) { return t.begin < at; });
    if (found == tokens_.end() || found->begin != begin) return none;
    return static_cast<std::size_t>(found - tokens_.begin());
}

bool resolver::is(std::size_t index, std::string_view word_or_sign) const {
    if (index >= tokens_.size()) return false;
    auto const& t = tokens_[index];
    if (t.kind == token_kind::word) return is_word(text_, t, word_or_sign);
    return (t.kind == token_kind::punctuation || t.kind == token_kind::operator_name) &&
           text_.substr(t.begin, t.end - t.begin) == word_or_sign;
}

std::vector<span> resolver::path(int location, std::size_t parts) {
    std::vector<span> out;
    auto index = token_at(location);
    for (std::size_t i = 0; i < parts; ++i, index += 2) {
        bool const good = index < tokens_.size() &&
                          (tokens_[index].kind == token_kind::word || tokens_[index].kind == token_kind::quoted) &&
                          (i + 1 == parts || is(index + 1, "."));
        if (!good) {
            not_understood("the way a name is written");
            return {};
        }
        out.push_back({tokens_[index].begin, tokens_[index].end});
    }
    return out;
}

resolver::from_item& resolver::add_item(std::string name) {
    auto& item = items_.emplace_back();
    item.serial = next_serial_++;
    item.name = std::move(name);
    return item;
}

void resolver::set_columns(from_item& item, offered_relation const& relation) {
    item.relation = relation.id;
    item.kind = relation.kind;
    item.columns_certain = relation.columns_certain;
    item.offered = &relation;
    for (auto const& offered : relation.columns) {
        column_entry entry;
        entry.name = offered.name;
        entry.sense = fmt::format("c{}.{}.{}", item.serial, relation.id, offered.number);
        entry.relation = relation.id;
        entry.number = offered.number;
        entry.item = item.serial;
        entry.qualifier = item.name;
        entry.catalog_name = true;
        entry.several_meanings = offered.several_meanings;
        entry.type = offered.type;
        item.columns.push_back(std::move(entry));
    }
}

/// `AS t (a, b)`: names for the first columns.
void resolver::apply_column_aliases(from_item& item, List const* names) {
    nodes const list{names};
    if (list.empty()) return;
    if (list.size() > item.columns.size() && item.columns_known) {
        return fail(unresolved::kind_type::unknown_column, fmt::format("\"{}\" has fewer columns than its alias names", item.name));
    }
    if (!item.columns_certain) return not_understood("an alias with columns over a relation whose columns changed");
    put("aliases", static_cast<long>(list.size()));
    for (std::size_t i = 0; i < list.size(); ++i) {
        put_text(text_of(list[i]));
        if (i >= item.columns.size()) {
            column_entry entry;
            entry.sense = fmt::format("l{}.{}", item.serial, i);
            entry.item = item.serial;
            item.columns.push_back(std::move(entry));
        }
        auto& entry = item.columns[i];
        entry.name = text_of(list[i]);
        entry.qualifier = item.name;
        entry.catalog_name = false;
        put_text(entry.sense);
    }
}

/// checkNameSpaceConflicts: two items of one name are an error, except plain relations without alias that differ.
void resolver::check_conflicts(std::vector<from_item*> const& left, std::vector<from_item*> const& right) {
    for (auto const* a : left) {
        if (!a->relation_visible) continue;
        for (auto const* b : right) {
            if (!b->relation_visible || a->name != b->name) continue;
            if (a->relation != 0 && b->relation != 0 && !a->aliased && !b->aliased && a->relation != b->relation) continue;
            return fail(unresolved::kind_type::ambiguous, fmt::format("table name \"{}\" specified more than once", a->name));
        }
    }
}

/// refnameNamespaceItem.
resolver::from_item* resolver::find_item(scope& from, std::string_view schema, std::string_view name) {
    std::uint32_t wanted = 0;
    if (!schema.empty()) {
        auto const* relation = look_up(schema, name, false);
        if (relation == nullptr) return nullptr;
        wanted = relation->id;
    }
    from_item* found = nullptr;
    for (scope* at = &from; at != nullptr; at = at->parent) {
        from_item* here = nullptr;
        for (auto* item : at->items) {
            if (!item->relation_visible || (item->lateral_only && !at->lateral_active)) continue;
            bool const same = schema.empty() ? item->name == name : item->relation == wanted && !item->aliased;
            if (!same) continue;
            if (here != nullptr || !item->lateral_ok) {
                fail(unresolved::kind_type::ambiguous, fmt::format("table reference \"{}\" is ambiguous", name));
                return nullptr;
            }
            here = item;
        }
        if (here == nullptr) continue;
        if (found == nullptr) found = here;
        return found;
    }
    return nullptr;
}

/// scanNSItemForColumn, with the system columns.
resolver::column_entry const* resolver::find_in_item(from_item& item, std::string_view name) {
    column_entry const* found = nullptr;
    for (auto const& entry : item.columns) {
        if (entry.name != name) continue;
        if (found != nullptr || entry.several_meanings) {
            fail(unresolved::kind_type::ambiguous, fmt::format("column reference \"{}\" is ambiguous", name), std::string{name});
            return nullptr;
        }
        found = &entry;
    }
    if (found != nullptr || item.relation == 0 || item.kind == 'v') return found;
    static constexpr std::pair<std::string_view, std::int16_t> system_names[] = {
        {"ctid", -1}, {"xmin", -2}, {"cmin", -3}, {"xmax", -4}, {"cmax", -5}, {"tableoid", -6}};
    for (auto const& [system_name, number] : system_names) {
        if (name != system_name) continue;
        auto& entry = system_columns_.emplace_back();
        entry.name = name;
        entry.sense = fmt::format("c{}.{}.{}", item.serial, item.relation, number);
        entry.relation = item.relation;
        entry.number = number;
        entry.item = item.serial;
        entry.qualifier = item.name;
        entry.catalog_name = true;
        return &entry;
    }
    return nullptr;
}

/// colNameToVar: the innermost level that has it.
resolver::column_entry const* resolver::find_unqualified(scope& from, std::string_view name, bool local_only) {
    column_entry const* found = nullptr;
    for (scope* at = &from; at != nullptr; at = at->parent) {
        column_entry const* here = nullptr;
        for (auto* item : at->items) {
            if (!item->columns_visible || (item->lateral_only && !at->lateral_active)) continue;
            auto const* entry = find_in_item(*item, name);
            if (failed()) return nullptr;
            if (entry == nullptr && !item->columns_known) {
                not_understood(fmt::format("the name \"{}\" beside \"{}\", whose columns are not known,", name, item->name));
                return nullptr;
            }
            if (entry == nullptr) continue;
            if (here != nullptr || !item->lateral_ok) {
                fail(unresolved::kind_type::ambiguous, fmt::format("column reference \"{}\" is ambiguous", name), std::string{name});
                return nullptr;
            }
            here = entry;
        }
        if (here != nullptr && found != nullptr) {
            fail(unresolved::kind_type::ambiguous, fmt::format("column reference \"{}\" may mean an outer column", name));
            return nullptr;
        }
        if (here != nullptr) found = here;
        if (local_only || (found != nullptr && !careful_)) break;
    }
    return found;
}

resolver::common_table* resolver::find_table(scope& from, std::string_view name) {
    for (scope* at = &from; at != nullptr; at = at->parent) {
        for (auto& table : at->tables) {
            if (table.name == name) return &table;
        }
    }
    return nullptr;
}

offered_relation const* resolver::look_up(std::string_view schema, std::string_view name, bool must_exist) {
    if (schema.starts_with("pg_temp") || (schema.empty() && source_.is_temporary(name))) {
        not_understood(fmt::format("the temporary relation \"{}\"", name));
        return nullptr;
    }
    auto const answer = source_.find(schema, name);
    if (answer.several_meanings) {
        fail(unresolved::kind_type::ambiguous, fmt::format("\"{}\" meant several relations at different times", name));
        return nullptr;
    }
    bool const system = schema.empty() ? name.starts_with("pg_") : schema == "pg_catalog" || schema == "information_schema";
    if (answer.relation == nullptr && must_exist && system) {
        not_understood(fmt::format("the system relation \"{}\"", name));
        return nullptr;
    }
    if (answer.relation == nullptr && must_exist) {
        fail(unresolved::kind_type::unknown_relation,
             schema.empty() ? fmt::format("relation \"{}\"", name) : fmt::format("relation \"{}.{}\"", schema, name));
    }
    return answer.relation;
}

offered_relation const* resolver::look_up(RangeVar const* name) {
    auto const* relation = look_up(name->schemaname != nullptr ? name->schemaname : "", name->relname, true);
    if (relation != nullptr && relation->kind == 'S') put("sequence");
    return relation;
}

std::size_t resolver::note_column(column_entry const& entry, std::vector<span> parts, std::string name, bool qualifiable) {
    reference made;
    made.kind = entry.catalog_name ? reference::kind_type::column : reference::kind_type::local;
    made.parts = std::move(parts);
    made.relation = entry.relation;
    made.column = entry.number;
    made.item = entry.item;
    made.name = std::move(name);
    made.of_value = entry.of_function;
    if (qualifiable) made.qualifier = entry.qualifier;
    result_.references.push_back(std::move(made));
    return result_.references.size() - 1;
}

std::size_t resolver::note_relation(RangeVar const* name, from_item const& item, bool alias_useful) {
    reference made;
    made.kind = reference::kind_type::relation;
    made.qualified = name->schemaname != nullptr;
    std::size_t const parts = 1U + (made.qualified ? 1U : 0U) + (name->catalogname != nullptr ? 1U : 0U);
    made.parts = path(name->location, parts);
    made.relation = item.relation;
    made.item = item.serial;
    made.name = name->relname;
    made.aliased = name->alias != nullptr;
    made.takes_alias = alias_useful && !made.aliased;
    if (!failed() && made.takes_alias) {
        auto const first = token_at(name->location);
        auto last = first + 2 * (parts - 1);
        if (is(last + 1, "*")) ++last; // `t *`: with its children, as always
        if (first >= 2 && is(first - 1, "(") && is(first - 2, "only") && is(last + 1, ")")) ++last;
        made.alias_at = tokens_[last].end;
    }
    result_.references.push_back(std::move(made));
    return result_.references.size() - 1;
}

/// A column of `target` that is written to, or named in a list.
std::uint32_t resolver::column_name(from_item& target, char const* name, span where) {
    if (failed()) return 0;
    column_entry const* found = nullptr;
    for (auto const& entry : target.columns) {
        if (entry.name != name) continue;
        if (entry.several_meanings || found != nullptr) {
            fail(unresolved::kind_type::ambiguous, fmt::format("column \"{}\" meant several columns at different times", name));
            return 0;
        }
        found = &entry;
    }
    if (found == nullptr) {
        fail(unresolved::kind_type::unknown_column, fmt::format("column \"{}\"", name));
        return 0;
    }
    note_column(*found, {where}, name, false);
    put_text(found->sense);
    return found->type;
}

} // namespace pgmend::sql
