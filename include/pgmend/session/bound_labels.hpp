// Labels of enums among the values that a statement is bound with.
#pragma once

#include "pgmend/base/bytes.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pgmend::session {

/// A value of a parameter, and what stands in its place.
struct bound_value {
    std::uint32_t type{0}; ///< of the parameter, as the server has told
    std::string was;
    std::string is;

    bool operator==(bound_value const&) const = default;
};

/// An enum's value, or an array of them, with other labels; text and binary form are told apart by themselves. `now`: what a label is called now; nothing: as it is.
/// Nothing: all labels are as they were, or the value is not understood.
[[nodiscard]] std::optional<std::string> with_labels(base::byte_view value, bool array, std::function<std::optional<std::string>(base::byte_view)> const& now);

/// A Bind message's body again, with other values for those (by type and value) in `values`. `types`: of its parameters. Nothing: it is not well-formed.
[[nodiscard]] std::optional<std::string> bind_with_values(base::byte_view body, std::span<std::uint32_t const> types, std::span<bound_value const> values);

} // namespace pgmend::session
