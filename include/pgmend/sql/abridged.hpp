// A long text without most of its constants.
#pragma once

#include "pgmend/sql/lexer.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::sql {

/// A text of which rows of VALUES behind the first, and elements of IN (…) and ARRAY[…] behind the first, are left out where they are constants or
/// parameters and say nothing else than the first does: the same names, no queries. Names mean the same in it as in the whole.
struct abridged {
    struct cut {
        std::uint32_t at{0};    ///< offset in `text`
        std::uint32_t bytes{0}; ///< so many were left out there
    };
    std::string text;
    std::vector<cut> cuts;    ///< ascending
    std::vector<span> lists;  ///< within `text`, ascending: the elements of each list that something was left out of
    std::vector<std::uint32_t> parameters; ///< numbers, ascending: those that `text` has not any more

    /// The offset in the whole text. What begins where something was left out begins behind that.
    [[nodiscard]] std::uint32_t whole_offset(std::uint32_t offset) const;
    /// Whether these bytes of `text` have to do with a list that is not all there.
    [[nodiscard]] bool concerns_list(span bytes) const;
};

/// Nothing where that would leave nothing out, or where it cannot be told where constants end. One pass; texts of 4 GB and more are not abridged.
[[nodiscard]] std::optional<abridged> abridge(std::string_view text);

} // namespace pgmend::sql
