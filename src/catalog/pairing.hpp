// Two versions of a list of objects, side by side.
#pragma once

#include "pgmend/catalog/objects.hpp"

#include <memory>
#include <type_traits>
#include <vector>

namespace pgmend::catalog {

/// Calls `visit(before, after)` for each object that differs, ascending by oid; one of both is null where it was added or
/// dropped. Objects of initdb are left out, except schemas: public can be renamed and dropped like any other. Both lists
/// ascend by oid.
template <class T, class F>
void for_each_difference(std::vector<std::shared_ptr<T const>> const& before, std::vector<std::shared_ptr<T const>> const& after,
                         F visit) {
    constexpr oid first = std::is_same_v<T, schema_entry> ? 0 : first_user_oid;
    auto b = before.begin();
    auto a = after.begin();
    auto const report = [&](T const* old, T const* now) {
        if ((old ? old : now)->id >= first) visit(old, now);
    };
    while (b != before.end() || a != after.end()) {
        if (a == after.end() || (b != before.end() && (*b)->id < (*a)->id)) {
            report((b++)->get(), nullptr);
        } else if (b == before.end() || (*a)->id < (*b)->id) {
            report(nullptr, (a++)->get());
        } else {
            if (*b != *a && !(**b == **a)) report(b->get(), a->get());
            ++a, ++b;
        }
    }
}

} // namespace pgmend::catalog
