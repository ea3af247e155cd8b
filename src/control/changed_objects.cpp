#include "changed_objects.hpp"

#include "field_text.hpp"

#include <algorithm>
#include <set>

namespace pgmend::control {

using catalog::oid;

namespace {

constexpr std::string_view mark = "pgmend:1 ";

void append(std::vector<oid>& to, std::vector<oid> const& more) { to.insert(to.end(), more.begin(), more.end()); }

void tidy(std::vector<oid>& ids) {
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

bool has(std::vector<oid> const& ids, oid id) { return std::ranges::binary_search(ids, id); }

template <class T, class F>
void compare_kind(std::vector<std::shared_ptr<T const>> fresh, std::vector<oid> asked, F const& find, catalog::replacements::of<T>& out) {
    std::vector<oid> there;
    for (auto& o : fresh) {
        there.push_back(o->id);
        auto const* known = find(o->id);
        if (!known || !(*known == *o)) out.changed.push_back(std::move(o));
    }
    tidy(there);
    tidy(asked);
    for (auto const id : asked) {
        if (id >= catalog::first_user_oid && !has(there, id) && find(id)) out.gone.push_back(id);
    }
}

} // namespace

void changed_objects::add(changed_objects const& more) {
    anything = anything || more.anything;
    append(relations, more.relations);
    append(constraints, more.constraints);
    append(types, more.types);
    append(functions, more.functions);
}

void changed_objects::add(char kind, oid id) {
    switch (kind) {
    case 'r': relations.push_back(id); break;
    case 'c': constraints.push_back(id); break;
    case 't': types.push_back(id); break;
    case 'p': functions.push_back(id); break;
    default: anything = true;
    }
}

bool changed_objects::add_new(changed_objects const& more) {
    auto const before = size();
    append(relations, more.relations);
    append(types, more.types);
    append(functions, more.functions);
    tidy(relations);
    tidy(types);
    tidy(functions);
    return size() > before;
}

change_notice change_notice::read(std::string_view payload) {
    change_notice n;
    if (!payload.starts_with(mark)) {
        n.what.anything = true;
        n.who = payload;
        return n;
    }
    payload.remove_prefix(mark.size());
    auto const end = payload.find(' ');
    auto objects = payload.substr(0, end);
    if (end != std::string_view::npos) n.who = payload.substr(end + 1);
    while (!objects.empty()) {
        auto const one = objects.substr(0, objects.find(','));
        objects.remove_prefix(std::min(objects.size(), one.size() + 1));
        auto const id = one.empty() ? oid{0} : to_number<oid>(one.substr(1));
        n.what.add(id == 0 ? '*' : one.front(), id);
    }
    return n;
}

changed_objects with_dependents(changed_objects what, catalog::snapshot const& known) {
    auto indexes = what.relations;
    tidy(indexes);
    tidy(what.constraints);
    bool const unknown = std::ranges::any_of(indexes, [&](oid id) { return known.find(id) == nullptr; });
    if (unknown || !what.constraints.empty()) {
        for (auto const& r : known.relations()) {
            bool const mine = std::ranges::any_of(r->constraints, [&](auto const& c) { return has(what.constraints, c.id); }) ||
                              std::ranges::any_of(r->unique_indexes, [&](auto const& i) { return has(indexes, i.id); });
            if (mine) what.relations.push_back(r->id);
        }
    }
    what.constraints.clear();
    for (auto const id : what.types) { // a composite type's attributes
        auto const* const type = known.find_type(id);
        if (type && type->relation != 0) what.relations.push_back(type->relation);
    }
    tidy(what.relations);
    auto const row_types_of = what.relations;
    for (auto const& t : known.types()) {
        if (t->relation != 0 && has(row_types_of, t->relation)) what.types.push_back(t->id);
    }
    tidy(what.types);
    for (std::size_t i = 0, n = what.types.size(); i < n; ++i) {
        auto const* const type = known.find_type(what.types[i]);
        if (type && type->array != 0) what.types.push_back(type->array);
    }
    tidy(what.types);
    tidy(what.functions);
    return what;
}

namespace {

/// Adds those of one kind.
template <class T>
void add_called(std::vector<std::shared_ptr<T const>> const& all, std::vector<std::string> const& names, std::vector<oid>& ids, std::vector<std::string>& found) {
    for (auto const& o : all) {
        if (o->id < catalog::first_user_oid || !std::ranges::binary_search(names, o->name)) continue;
        ids.push_back(o->id);
        found.push_back(o->name);
    }
}

/// Types of users that these rest on, and tables of row types: until nothing is added.
void add_foundations(changed_objects& what, catalog::snapshot const& now) {
    std::set<oid> relations{what.relations.begin(), what.relations.end()};
    std::set<oid> types{what.types.begin(), what.types.end()};
    std::vector<oid> open_relations = what.relations, open_types = what.types;
    auto const add_type = [&](oid id) {
        if (id >= catalog::first_user_oid && types.insert(id).second) open_types.push_back(id);
    };
    for (auto const id : what.functions) {
        auto const* const it = now.find_function(id);
        if (it == nullptr) continue;
        add_type(it->result);
        for (auto const argument : it->arguments) add_type(argument);
    }
    while (!open_relations.empty() || !open_types.empty()) {
        if (!open_relations.empty()) {
            auto const* const it = now.find(open_relations.back());
            open_relations.pop_back();
            for (std::size_t i = 0; it != nullptr && i < it->columns.size(); ++i) add_type(it->columns[i].type);
            continue;
        }
        auto const* const it = now.find_type(open_types.back());
        open_types.pop_back();
        if (it == nullptr) continue;
        add_type(it->element);
        add_type(it->base);
        if (now.find(it->relation) != nullptr && relations.insert(it->relation).second) open_relations.push_back(it->relation);
    }
    what.relations.assign(relations.begin(), relations.end());
    what.types.assign(types.begin(), types.end());
}

} // namespace

called_objects objects_called(catalog::history const& known, std::vector<std::string> const& names) {
    called_objects out;
    auto const collect = [&](catalog::snapshot const& version) {
        add_called(version.relations(), names, out.what.relations, out.names);
        add_called(version.types(), names, out.what.types, out.names);
        add_called(version.functions(), names, out.what.functions, out.names);
    };
    collect(known.current());
    auto const& steps = known.steps();
    for (std::size_t i = 1; i < steps.size(); ++i) { // what has lost its name did so in one of these
        bool const touched = steps[i]->everything || std::ranges::any_of(steps[i]->names, [&](auto const& it) { return std::ranges::binary_search(names, it); });
        if (touched) collect(*known.versions()[i - 1]);
    }
    for (auto* ids : {&out.what.relations, &out.what.types, &out.what.functions}) tidy(*ids);
    std::ranges::sort(out.names);
    out.names.erase(std::unique(out.names.begin(), out.names.end()), out.names.end());
    add_foundations(out.what, known.current());
    return out;
}

catalog::replacements compare(catalog::snapshot const& known, changed_objects const& asked, fresh_objects fresh) {
    catalog::replacements out;
    compare_kind<catalog::relation>(std::move(fresh.relations), asked.relations, [&](oid id) { return known.find(id); }, out.relations);
    compare_kind<catalog::type_entry>(std::move(fresh.types), asked.types, [&](oid id) { return known.find_type(id); }, out.types);
    compare_kind<catalog::function_entry>(std::move(fresh.functions), asked.functions, [&](oid id) { return known.find_function(id); }, out.functions);
    return out;
}

bool reaches_expressions(catalog::snapshot const& known, catalog::replacements const& what) {
    auto const renamed = [](auto const& changed, auto const& find) {
        return std::ranges::any_of(changed, [&](auto const& o) {
            auto const* old = find(o->id);
            return old && full_name(*old) != full_name(*o);
        });
    };
    if (!renamed(what.types.changed, [&](oid id) { return known.find_type(id); }) &&
        !renamed(what.functions.changed, [&](oid id) { return known.find_function(id); }))
        return false;
    return std::ranges::any_of(known.relations(), [](auto const& r) {
        return std::ranges::any_of(r->unique_indexes, [](auto const& i) { return !i.predicate.empty() || !i.expressions.empty(); });
    });
}

object_counts object_counts::of(catalog::snapshot const& version) {
    auto const users = [](auto const& all) {
        auto const first = std::ranges::lower_bound(all, catalog::first_user_oid, {}, [](auto const& o) { return o->id; });
        return static_cast<std::size_t>(all.end() - first);
    };
    object_counts n{users(version.relations()), 0, 0, users(version.types()), users(version.functions())};
    for (auto const& r : version.relations()) {
        n.constraints += r->constraints.size();
        n.unique_indexes += r->unique_indexes.size();
    }
    return n;
}

} // namespace pgmend::control
