#include "old_names.hpp"

#include "pgmend/learning/pattern_text.hpp"

#include <algorithm>

namespace pgmend::control {

bool old_name_exists(std::string_view pattern, catalog::snapshot const& schema) {
    using kind = learning::pattern_text::kind_type;
    auto const text = learning::read_pattern_text(pattern);
    if (!text) return false;
    auto const& is = text->before;
    switch (text->kind) {
    case kind::relation: return schema.find(is[0], is[1]) != nullptr;
    case kind::function: return !schema.find_functions(is[0], is[1]).empty();
    case kind::type: return schema.find_type(is[0], is[1]) != nullptr;
    case kind::enum_label: {
        auto const* const type = schema.find_type(is[0], is[1]);
        return type != nullptr && std::any_of(type->labels.begin(), type->labels.end(), [&](auto const& it) { return it.label == is[2]; });
    }
    case kind::column:
    case kind::dropped_read:
    case kind::dropped_write: break;
    }
    auto const* const relation = schema.find(is[0], is[1]);
    return relation != nullptr && relation->find_column(is[2]) != nullptr;
}

} // namespace pgmend::control
