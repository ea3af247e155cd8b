// The part of a diff that is about relations, their columns and keys.
#include "differ.hpp"
#include "pairing.hpp"
#include "type_text.hpp"

#include <algorithm>

namespace pgmend::catalog {

using enum change_kind;

namespace {

object_kind kind_of(relation const& r) {
    switch (r.kind) {
    case 'v':
    case 'm': return object_kind::view;
    case 'S': return object_kind::sequence;
    case 'c': return object_kind::type;
    default: return object_kind::table;
    }
}

std::string full(relation const& r) { return r.schema + "." + r.name; }

bool same_shape(relation const& a, relation const& b) {
    return std::ranges::equal(a.columns, b.columns, [](column const& x, column const& y) {
        return x.name == y.name && x.type == y.type && x.type_modifier == y.type_modifier;
    });
}

bool is_view(relation const& r) { return kind_of(r) == object_kind::view; }

bool needs_value(column const& c) { return c.not_null && !c.has_default && c.identity == 0 && c.generated == 0; }

bool is_key(constraint_entry const& c) { return c.kind == 'p' || c.kind == 'u'; }

bool has_constraint(relation const& r, std::string const& name) {
    return std::ranges::find(r.constraints, name, &constraint_entry::name) != r.constraints.end();
}

/// What became of an object, or where one comes from; "" for nothing.
std::string whereabouts(char const* word, relation const* r) { return r ? word + full(*r) : std::string{}; }
std::string whereabouts(char const* word, column const* c) { return c ? word + c->name : std::string{}; }

template <class T>
std::string or_else(T const* found, std::string text, char const* other) { return found ? std::move(text) : other; }

} // namespace

void differ::relations() {
    for_each_difference(before_.relations(), after_.relations(), [&](relation const* old, relation const* now) {
        if (old && now) {
            one_relation(*old, *now);
            return;
        }
        if (old) {
            if (!after_.find(old->schema, old->name)) add(dropped, kind_of(*old), severity::major, full(*old));
            return;
        }
        if (!before_.find(now->schema, now->name)) add(added, kind_of(*now), severity::info, full(*now));
    });
    // Names that mean something else now.
    for_each_difference(before_.relations(), after_.relations(), [&](relation const*, relation const* now) {
        if (!now) return;
        auto const* had = before_.find(now->schema, now->name);
        if (!had || had->id == now->id) return;
        // One that went along with its schema, into a name that an object of another schema had.
        auto const* became = after_.find(had->id);
        auto const* was = before_.find(now->id);
        bool const same_view = is_view(*had) && is_view(*now) && same_shape(*had, *now) && !became && !was;
        add(replaced, kind_of(*now), same_view ? severity::info : severity::critical, full(*now),
            or_else(became, whereabouts("now ", became), "dropped"), or_else(was, whereabouts("was ", was), "new"));
    });
}

void differ::one_relation(relation const& old, relation const& now) {
    names(old, now, kind_of(old));
    if (old.kind != now.kind)
        add(altered, kind_of(old), severity::major, full(old), std::string{old.kind}, std::string{now.kind});
    if (old.kind == 'S') return;
    columns(old, now);
    constraints(old, now);
    indexes(old, now);
}

void differ::columns(relation const& old, relation const& now) {
    auto const prefix = full(old) + ".";
    for (auto const& column : old.columns) {
        auto const* same = now.find_column(column.number);
        if (same) one_column(prefix + column.name, column, *same);
        auto const* namesake = now.find_column(column.name);
        if (namesake && namesake->number != column.number) {
            auto const* was = old.find_column(namesake->number);
            add(replaced, object_kind::column, severity::critical, prefix + column.name,
                or_else(same, whereabouts("now ", same), "dropped"), or_else(was, whereabouts("was ", was), "new"));
        } else if (!same) {
            add(dropped, object_kind::column, severity::major, prefix + column.name);
        }
    }
    for (auto const& column : now.columns) {
        if (old.find_column(column.number) || old.find_column(column.name)) continue;
        add(added, object_kind::column, needs_value(column) ? severity::major : severity::info, prefix + column.name,
            {}, needs_value(column) ? "needs a value" : "");
    }
}

void differ::one_column(std::string const& name, column const& old, column const& now) {
    auto const report = [&](change_kind kind, severity level, std::string from = {}, std::string to = {}) {
        add(kind, object_kind::column, level, name, std::move(from), std::move(to));
    };
    if (old.name != now.name) report(renamed, severity::minor, old.name, now.name);
    if (old.type != now.type || old.type_modifier != now.type_modifier) {
        report(retyped, is_widening(old, now) ? severity::minor : severity::major,
               type_text(before_, old.type, old.type_modifier), type_text(after_, now.type, now.type_modifier));
    }
    if (needs_value(now) && !needs_value(old)) report(required, severity::major);
    else if (now.not_null && !old.not_null) report(required, severity::minor);
    else if (!needs_value(now) && needs_value(old)) report(relaxed, severity::info);
    else if (!now.not_null && old.not_null) report(relaxed, severity::info);
    else if (old.has_default != now.has_default && old.generated == now.generated)
        report(altered, now.has_default ? severity::info : severity::minor, {}, now.has_default ? "has a default" : "has no default");
    if (old.identity != now.identity && now.identity == 'a') report(altered, severity::major, {}, "identity ALWAYS");
    if (old.generated != now.generated)
        report(altered, now.generated != 0 ? severity::major : severity::info, {}, now.generated != 0 ? "generated" : "no longer generated");
}

void differ::constraints(relation const& old, relation const& now) {
    auto const prefix = full(old) + ".";
    for (auto const& constraint : old.constraints) {
        auto const same = std::ranges::find(now.constraints, constraint.id, &constraint_entry::id);
        if (same != now.constraints.end()) {
            if (same->name != constraint.name)
                add(renamed, object_kind::constraint, severity::minor, prefix + constraint.name, constraint.name, same->name);
            continue;
        }
        auto const namesake = std::ranges::find(now.constraints, constraint.name, &constraint_entry::name);
        if (namesake == now.constraints.end()) {
            add(dropped, object_kind::constraint, is_key(constraint) ? severity::major : severity::info, prefix + constraint.name);
        } else if (namesake->kind != constraint.kind || namesake->columns != constraint.columns) {
            add(replaced, object_kind::constraint, is_key(constraint) ? severity::major : severity::minor, prefix + constraint.name);
        }
    }
    for (auto const& constraint : now.constraints) {
        bool const known = std::ranges::find(old.constraints, constraint.id, &constraint_entry::id) != old.constraints.end();
        if (!known && !has_constraint(old, constraint.name))
            add(added, object_kind::constraint, severity::minor, prefix + constraint.name);
    }
}

/// An index of a constraint is told of with the constraint.
void differ::indexes(relation const& old, relation const& now) {
    auto const prefix = full(old) + ".";
    auto const without_identity = [](index_entry index) {
        index.id = 0;
        index.name.clear();
        return index;
    };
    for (auto const& index : old.unique_indexes) {
        if (has_constraint(old, index.name)) continue;
        auto same = std::ranges::find(now.unique_indexes, index.id, &index_entry::id);
        if (same == now.unique_indexes.end()) same = std::ranges::find(now.unique_indexes, index.name, &index_entry::name);
        if (same == now.unique_indexes.end()) {
            add(dropped, object_kind::index, severity::major, prefix + index.name);
            continue;
        }
        if (same->name != index.name) add(renamed, object_kind::index, severity::info, prefix + index.name, index.name, same->name);
        if (without_identity(*same) != without_identity(index)) add(altered, object_kind::index, severity::major, prefix + index.name);
    }
    for (auto const& index : now.unique_indexes) {
        if (has_constraint(now, index.name)) continue;
        bool const known = std::ranges::find(old.unique_indexes, index.id, &index_entry::id) != old.unique_indexes.end() ||
                           std::ranges::find(old.unique_indexes, index.name, &index_entry::name) != old.unique_indexes.end();
        if (!known) add(added, object_kind::index, severity::minor, prefix + index.name);
    }
}

} // namespace pgmend::catalog
