#include "pgmend/catalog/diff.hpp"

#include "differ.hpp"
#include "pairing.hpp"
#include "type_text.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace pgmend::catalog {

using enum change_kind;

namespace {

/// Arrays and row types come and go with what they belong to.
bool is_derived(snapshot const& version, type_entry const& type) {
    return type.element != 0 || (type.relation != 0 && version.find(type.relation));
}

std::string signature(snapshot const& version, function_entry const& f) {
    std::string arguments;
    for (auto const argument : f.arguments) arguments += (arguments.empty() ? "" : ", ") + type_text(version, argument, -1);
    return fmt::format("{}.{}({})", f.schema, f.name, arguments);
}

} // namespace

std::vector<change> diff(snapshot const& before, snapshot const& after) { return differ{before, after}.run(); }

std::vector<change> differ::run() {
    schemas();
    relations();
    types();
    functions();
    return std::move(changes_);
}

bool differ::went_along(std::string const& old_schema, std::string const& new_schema) const {
    auto const* old = before_.find_schema(old_schema);
    auto const* now = after_.find_schema(new_schema);
    return old && now && old->id == now->id;
}

void differ::schemas() {
    if (before_.schemas().empty() || after_.schemas().empty()) return; // of one of them they are not known
    for_each_difference(before_.schemas(), after_.schemas(), [&](schema_entry const* old, schema_entry const* now) {
        if (old && now) {
            add(renamed, object_kind::schema, severity::minor, old->name, old->name, now->name);
        } else if (now) {
            add(before_.find_schema(now->name) ? replaced : added, object_kind::schema, severity::info, now->name);
        } else if (!after_.find_schema(old->name)) {
            add(dropped, object_kind::schema, severity::major, old->name);
        }
    });
}

void differ::labels(type_entry const& old, type_entry const& now) {
    auto const full = old.schema + "." + old.name + ".";
    for (auto const& label : old.labels) {
        auto const same = std::ranges::find(now.labels, label.id, &enum_label::id);
        if (same == now.labels.end()) add(dropped, object_kind::label, severity::major, full + label.label);
        else if (same->label != label.label)
            add(renamed, object_kind::label, severity::minor, full + label.label, label.label, same->label);
    }
    for (auto const& label : now.labels) {
        if (std::ranges::find(old.labels, label.id, &enum_label::id) == old.labels.end())
            add(added, object_kind::label, severity::info, full + label.label);
    }
}

void differ::types() {
    for_each_difference(before_.types(), after_.types(), [&](type_entry const* old, type_entry const* now) {
        if (is_derived(old ? before_ : after_, old ? *old : *now)) return;
        if (old && now) {
            names(*old, *now, object_kind::type);
            labels(*old, *now);
            if (old->base != now->base || old->kind != now->kind) {
                add(altered, object_kind::type, severity::major, old->schema + "." + old->name,
                    type_text(before_, old->base, -1), type_text(after_, now->base, -1));
            }
        } else if (now) {
            bool const again = before_.find_type(now->schema, now->name) != nullptr;
            add(again ? replaced : added, object_kind::type, again ? severity::major : severity::info, now->schema + "." + now->name);
        } else if (!after_.find_type(old->schema, old->name)) {
            add(dropped, object_kind::type, severity::major, old->schema + "." + old->name);
        }
    });
}

void differ::functions() {
    auto const with_arguments = [](snapshot const& version, function_entry const& like) {
        auto const overloads = version.find_functions(like.schema, like.name);
        return std::ranges::any_of(overloads, [&](auto const* f) { return f->arguments == like.arguments; });
    };
    for_each_difference(before_.functions(), after_.functions(), [&](function_entry const* old, function_entry const* now) {
        if (old && now) {
            auto const count = changes_.size();
            names(*old, *now, object_kind::function);
            bool const went = went_along(old->schema, now->schema) && old->schema != now->schema;
            if (changes_.size() == count && !went) add(altered, object_kind::function, severity::info, signature(before_, *old));
        } else if (now) {
            bool const overload = !before_.find_functions(now->schema, now->name).empty();
            if (with_arguments(before_, *now)) add(replaced, object_kind::function, severity::info, signature(after_, *now));
            else add(added, object_kind::function, overload ? severity::minor : severity::info, signature(after_, *now));
        } else if (!with_arguments(after_, *old)) {
            add(dropped, object_kind::function, severity::major, signature(before_, *old));
        }
    });
}

} // namespace pgmend::catalog
