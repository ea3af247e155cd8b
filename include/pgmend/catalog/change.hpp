// What can happen to a schema between two versions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::catalog {

/// What becomes of statements that fitted the version before:
///   info      they go on as they did
///   minor     some fail, and lineage tells what to write instead; or one in a rare form fails
///   major     some fail, and only a rule or a person knows what they should do
///   critical  some may go on and mean something else
enum class severity : std::uint8_t { info, minor, major, critical };

enum class change_kind : std::uint8_t {
    added,
    dropped,
    renamed,
    moved,    ///< to another schema
    replaced, ///< the name means another object than before, whatever became of that one
    retyped,
    required, ///< of a column: a value must be given now
    relaxed,  ///< of a column: a value need not be given any more
    altered,  ///< anything else
};

enum class object_kind : std::uint8_t { schema, table, view, sequence, column, constraint, index, type, label, function };

struct change {
    change_kind kind{change_kind::altered};
    object_kind object{object_kind::table};
    severity level{severity::info};
    std::string name;   ///< as it was before, with schema and relation; of what was added as it is now. Unquoted.
    std::string before; ///< what differs: a name, a schema, a type, …; may be empty
    std::string after;

    bool operator==(change const&) const = default;
};

[[nodiscard]] std::string_view to_text(severity level);
[[nodiscard]] std::string_view to_text(change_kind kind);
[[nodiscard]] std::string_view to_text(object_kind kind);

/// `column public.users.email renamed to mail`
[[nodiscard]] std::string to_text(change const& c);

/// The first changes, worst first, `; ` between them, and how many more there are. At most about `most_bytes`.
[[nodiscard]] std::string summary(std::vector<change> const& changes, std::size_t most_bytes = 1000);

[[nodiscard]] severity worst(std::vector<change> const& changes); ///< info of none

} // namespace pgmend::catalog
