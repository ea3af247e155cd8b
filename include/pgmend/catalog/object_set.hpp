// Objects of one kind, found by oid and by name.
#pragma once

#include "pgmend/catalog/objects.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::catalog {

using name_view = std::pair<std::string_view, std::string_view>; ///< schema and name

template <class T>
[[nodiscard]] name_view full_name(T const& object) { return {object.schema, object.name}; }
[[nodiscard]] inline name_view full_name(schema_entry const& schema) { return {{}, schema.name}; }

/// Immutable once built. Costs 24 bytes an object beside the objects themselves, as there are many versions of it.
template <class T>
class object_set {
  public:
    using pointer = std::shared_ptr<T const>;

    object_set() = default;

    /// In any order; no null. Of several with one name, what `named` gives first is the one given last.
    explicit object_set(std::vector<pointer> objects) : objects_{std::move(objects)} {
        by_name_.reserve(objects_.size());
        for (auto o = objects_.rbegin(); o != objects_.rend(); ++o) by_name_.push_back(o->get());
        std::ranges::stable_sort(by_name_, {}, [](T const* o) { return full_name(*o); });
        std::ranges::stable_sort(objects_, {}, [](pointer const& o) { return o->id; });
    }

    /// This set with `changed` (in any order, each oid once) in place of what has the same oids, and without `gone` (ascending).
    /// Linear: nothing is sorted but what changed.
    [[nodiscard]] object_set with(std::vector<pointer> changed, std::span<oid const> gone) const {
        std::ranges::sort(changed, {}, [](pointer const& o) { return o->id; });
        auto const is_changed = [&](oid id) {
            return std::ranges::binary_search(changed, id, {}, [](pointer const& o) { return o->id; }) || std::ranges::binary_search(gone, id);
        };
        object_set next;
        next.objects_.reserve(objects_.size() + changed.size());
        auto fresh = changed.begin();
        for (auto const& old : objects_) {
            while (fresh != changed.end() && (*fresh)->id < old->id) next.objects_.push_back(*fresh++);
            if (fresh != changed.end() && (*fresh)->id == old->id) next.objects_.push_back(*fresh++);
            else if (!std::ranges::binary_search(gone, old->id)) next.objects_.push_back(old);
        }
        next.objects_.insert(next.objects_.end(), fresh, changed.end());
        auto const by_full_name = [](T const* o) { return full_name(*o); };
        std::vector<T const*> names;
        names.reserve(changed.size());
        for (auto const& o : changed) names.push_back(o.get());
        std::ranges::stable_sort(names, {}, by_full_name);
        next.by_name_.reserve(next.objects_.size());
        auto name = names.begin();
        for (auto const* old : by_name_) {
            if (is_changed(old->id)) continue;
            while (name != names.end() && full_name(**name) < full_name(*old)) next.by_name_.push_back(*name++);
            next.by_name_.push_back(old);
        }
        next.by_name_.insert(next.by_name_.end(), name, names.end());
        return next;
    }

    [[nodiscard]] std::vector<pointer> const& all() const { return objects_; } ///< ascending by oid

    [[nodiscard]] pointer const* find_pointer(oid id) const {
        auto const found = std::ranges::lower_bound(objects_, id, {}, [](pointer const& o) { return o->id; });
        return found == objects_.end() || (*found)->id != id ? nullptr : &*found;
    }
    [[nodiscard]] T const* find(oid id) const {
        auto const* found = find_pointer(id);
        return found ? found->get() : nullptr;
    }

    [[nodiscard]] std::span<T const* const> named(std::string_view schema, std::string_view name) const {
        auto const found = std::ranges::equal_range(by_name_, name_view{schema, name}, {}, [](T const* o) { return full_name(*o); });
        return {found.begin(), found.end()};
    }
    [[nodiscard]] T const* find(std::string_view schema, std::string_view name) const {
        auto const found = named(schema, name);
        return found.empty() ? nullptr : found.front();
    }

    [[nodiscard]] bool has_schema(std::string_view schema) const {
        auto const found = std::ranges::lower_bound(by_name_, schema, {}, [](T const* o) { return full_name(*o).first; });
        return found != by_name_.end() && full_name(**found).first == schema;
    }

    /// By value; quick where both share their objects.
    [[nodiscard]] bool same(object_set const& other) const {
        return std::ranges::equal(objects_, other.objects_, [](pointer const& a, pointer const& b) { return a == b || *a == *b; });
    }

  private:
    std::vector<pointer> objects_;
    std::vector<T const*> by_name_;
};

} // namespace pgmend::catalog
