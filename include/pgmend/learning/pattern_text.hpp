// What a pattern's stable name says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::learning {

/// "column public.users.email -> email_address", "relation public.users -> crm.clients", "function …", "type …",
/// "enum public.mood.sad -> public.mood.unhappy", "dropped column public.users.legacy: read as NULL".
struct pattern_text {
    enum class kind_type : std::uint8_t { column, relation, function, type, enum_label, dropped_read, dropped_write } kind{kind_type::column};
    std::vector<std::string> before; ///< schema, name; of a column schema, table, column; of a label schema, type, label
    std::vector<std::string> after;  ///< likewise; of a column its name alone; of a dropped one nothing
};

/// Nothing: of another kind, or a name in it has a dot, so that its parts cannot be told apart.
[[nodiscard]] std::optional<pattern_text> read_pattern_text(std::string_view text);

} // namespace pgmend::learning
