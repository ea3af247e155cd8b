#include "pgmend/migrations/name_story.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace pgmend::migrations {
namespace {

using sql::ddl_object;
using kind = sql::ddl_action::kind_type;

std::string_view word_for(ddl_object what) {
    switch (what) {
    case ddl_object::relation: return "table";
    case ddl_object::sequence: return "sequence";
    case ddl_object::type: return "type";
    case ddl_object::function: return "function";
    case ddl_object::schema: return "schema";
    }
    return "object";
}

rules::object_kind rule_kind(ddl_object what) {
    switch (what) {
    case ddl_object::sequence: return rules::object_kind::sequence;
    case ddl_object::type: return rules::object_kind::type;
    case ddl_object::function: return rules::object_kind::function;
    default: return rules::object_kind::table;
    }
}

/// See rules::reader about what a rule's name may hold, and how long it may be.
std::string rule_name(place const& where, std::string_view old_name) {
    auto text = fmt::format("{}:{}:{}", where.file, where.line, old_name);
    if (text.size() > 100) text = text.substr(text.size() - 100);
    while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xc0) == 0x80) text.erase(0, 1);
    for (auto& c : text) {
        if (c == ' ' || c == '"' || c == '\'' || c == ';' || c == ',' || c == '\n' || c == '\t') c = '_';
    }
    if (text.starts_with("-")) text[0] = '_';
    return text;
}

rules::rule rule_of(rules::action does, place const& where, std::string_view old_name) {
    rules::rule made;
    made.name = rule_name(where, old_name);
    made.does = std::move(does);
    made.where = {where.file, where.line, 1};
    made.learned = true;
    return made;
}

} // namespace

std::string name_story::schema_of(std::string const& written) const { return written.empty() ? first_schema_ : written; }

name_story::object* name_story::living(ddl_object of, std::string const& schema, std::string const& name) {
    // ALTER TABLE may name a view or a sequence, too.
    auto const same_kind = [&](object const& o) {
        auto const is_relation = [](ddl_object k) { return k == ddl_object::relation || k == ddl_object::sequence; };
        return o.kind == of || (is_relation(o.kind) && is_relation(of));
    };
    for (auto it = objects_.rbegin(); it != objects_.rend(); ++it) {
        auto& o = **it;
        if (!o.dropped && same_kind(o) && o.schema == schema && o.name == name) return &o;
    }
    return nullptr;
}

name_story::object& name_story::made(ddl_object of, std::string const& schema, std::string const& name) {
    objects_.push_back(std::make_unique<object>());
    auto& o = *objects_.back();
    o.kind = of;
    o.schema = schema;
    o.name = name;
    return o;
}

name_story::object& name_story::known(sql::ddl_action const& action) {
    auto const schema = schema_of(action.schema);
    auto* const found = living(action.object, schema, action.name);
    return found != nullptr ? *found : made(action.object, schema, action.name);
}

name_story::column& name_story::known_column(object& of, std::string const& name) {
    for (auto& c : of.columns) {
        if (!c.dropped && c.name == name) return c;
    }
    auto& c = of.columns.emplace_back();
    c.name = name;
    return c;
}

void name_story::rename_schema(sql::ddl_action const& action, place const& where) {
    for (auto& o : objects_) {
        if (o->dropped || o->schema != action.name) continue;
        o->before.push_back({o->schema, o->name, where});
        o->schema = action.now;
    }
    if (first_schema_ == action.name) first_schema_ = action.now;
}

void name_story::run(sql::ddl_action const& action, place const& where) {
    if (action.kind == kind::set_search_path) {
        first_schema_ = "public";
        for (auto const& schema : action.columns) {
            if (schema == "$user" || schema == "pg_catalog") continue;
            first_schema_ = schema;
            break;
        }
        return;
    }
    if (action.object == ddl_object::schema) {
        if (action.kind == kind::rename) rename_schema(action, where);
        if (action.kind == kind::drop) {
            for (auto& o : objects_) {
                if (!o->dropped && o->schema == action.name) o->dropped = true, o->dropped_at = where;
            }
        }
        return;
    }
    switch (action.kind) {
    case kind::create: {
        auto const schema = schema_of(action.schema);
        auto* const there = living(action.object, schema, action.name);
        if (there != nullptr && (action.unless_there || action.object == ddl_object::function)) return;
        if (there != nullptr) there->dropped = true, there->dropped_at = where; // dropped in a way that was not seen
        auto& o = made(action.object, schema, action.name);
        for (auto const& c : action.columns) (void)known_column(o, c);
        return;
    }
    case kind::drop: {
        if (action.unless_there && living(action.object, schema_of(action.schema), action.name) == nullptr) return;
        auto& o = known(action);
        o.dropped = true;
        o.dropped_at = where;
        return;
    }
    case kind::rename: {
        auto& o = known(action);
        o.before.push_back({o.schema, o.name, where});
        o.name = action.now;
        return;
    }
    case kind::move: {
        auto& o = known(action);
        o.before.push_back({o.schema, o.name, where});
        o.schema = action.now;
        return;
    }
    case kind::add_column: (void)known_column(known(action), action.member); return;
    case kind::drop_column: {
        auto& c = known_column(known(action), action.member);
        c.dropped = true;
        c.dropped_at = where;
        return;
    }
    case kind::rename_column:
    case kind::rename_label: {
        auto& c = known_column(known(action), action.member);
        c.before.emplace_back(c.name, where);
        c.name = action.now;
        return;
    }
    case kind::set_search_path: return;
    }
}

/// How many objects have, or had, that name.
std::size_t name_story::meanings(object const& of, std::string const& schema, std::string const& name) const {
    return static_cast<std::size_t>(std::ranges::count_if(objects_, [&](auto const& o) {
        bool const same_kind = (o->kind == ddl_object::type) == (of.kind == ddl_object::type) &&
                               (o->kind == ddl_object::function) == (of.kind == ddl_object::function);
        if (!same_kind) return false;
        return (o->schema == schema && o->name == name) ||
               std::ranges::any_of(o->before, [&](auto const& old) { return old.schema == schema && old.name == name; });
    }));
}

std::vector<rules::rule> name_story::renames() const {
    std::vector<rules::rule> out;
    for (auto const& o : objects_) {
        if (o->dropped) continue;
        std::set<std::pair<std::string, std::string>> told;
        for (auto const& old : o->before) {
            bool const back = old.schema == o->schema && old.name == o->name;
            if (back || meanings(*o, old.schema, old.name) > 1 || !told.emplace(old.schema, old.name).second) continue;
            out.push_back(rule_of(rules::object_renamed{rule_kind(o->kind), {old.schema, old.name}, {o->schema, o->name}}, old.where, old.name));
        }
        for (auto const& c : o->columns) {
            if (c.dropped) continue;
            std::set<std::string> names;
            for (auto const& [old, where] : c.before) {
                auto const others = std::ranges::count_if(o->columns, [&](column const& other) {
                    return &other != &c && (other.name == old || std::ranges::any_of(other.before, [&](auto const& b) { return b.first == old; }));
                });
                if (old == c.name || others > 0 || !names.insert(old).second) continue;
                if (o->kind == ddl_object::type) out.push_back(rule_of(rules::label_renamed{{o->schema, o->name}, old, c.name}, where, o->name + "." + old));
                else out.push_back(rule_of(rules::column_renamed{{o->schema, o->name, old}, c.name}, where, o->name + "." + old));
            }
        }
    }
    return out;
}

std::vector<lost_name> name_story::lost() const {
    std::vector<lost_name> out;
    for (auto const& o : objects_) {
        auto const full = fmt::format("{} {}.{}", word_for(o->kind), o->schema, o->name);
        if (o->dropped) out.push_back({full, "dropped", o->dropped_at});
        for (auto const& old : o->before) {
            bool const back = old.schema == o->schema && old.name == o->name;
            if (!o->dropped && !back && meanings(*o, old.schema, old.name) > 1)
                out.push_back({fmt::format("{} {}.{}", word_for(o->kind), old.schema, old.name), "the name belonged to several objects", old.where});
        }
        if (o->dropped) continue;
        for (auto const& c : o->columns) {
            if (c.dropped) out.push_back({fmt::format("column {}.{}.{}", o->schema, o->name, c.name), "dropped", c.dropped_at});
        }
    }
    return out;
}

std::vector<rules::rule> borne_out(std::vector<rules::rule> all, catalog::snapshot const& schema, std::vector<lost_name>& lost) {
    std::vector<rules::rule> good;
    for (auto& it : all) {
        std::string what;
        std::string why;
        if (auto const* says = std::get_if<rules::object_renamed>(&it.does)) {
            auto const there = [&](rules::object_name const& name) {
                switch (says->kind) {
                case rules::object_kind::function: return !schema.find_functions(name.schema, name.name).empty();
                case rules::object_kind::type: return schema.find_type(name.schema, name.name) != nullptr;
                default: return schema.find(name.schema, name.name) != nullptr;
                }
            };
            what = fmt::format("{}.{}", says->object.schema, says->object.name);
            if (!there(says->now)) why = fmt::format("there is no {}.{} in the database", says->now.schema, says->now.name);
            else if (there(says->object)) why = "the old name is in use";
        } else if (auto const* renamed = std::get_if<rules::column_renamed>(&it.does)) {
            auto const& name = renamed->column;
            auto const* table = schema.find(name.schema, name.table);
            what = fmt::format("column {}.{}.{}", name.schema, name.table, name.column);
            if (table == nullptr) why = fmt::format("there is no {}.{} in the database", name.schema, name.table);
            else if (table->find_column(renamed->now) == nullptr) why = fmt::format("there is no column {} in the database", renamed->now);
            else if (table->find_column(name.column) != nullptr) why = "the old name is in use";
        } else if (auto const* label = std::get_if<rules::label_renamed>(&it.does)) {
            auto const* type = schema.find_type(label->type.schema, label->type.name);
            what = fmt::format("a label of {}.{}", label->type.schema, label->type.name);
            auto const has = [&](std::string const& text) { return type != nullptr && std::ranges::find(type->labels, text, &catalog::enum_label::label) != type->labels.end(); };
            if (!has(label->now)) why = "the new label is not in the database";
            else if (has(label->label)) why = "the old label is in use";
        }
        if (why.empty()) good.push_back(std::move(it));
        else lost.push_back({std::move(what), std::move(why), {it.where.file, it.where.line}});
    }
    return good;
}

} // namespace pgmend::migrations
