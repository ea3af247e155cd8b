// What the planner is asked: a text, and all that its meaning depends on.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/healing/plan.hpp"
#include "pgmend/rules/rule.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// What a text's meaning depends on besides the text and the catalog.
struct session_view {
    /// current_schemas(true), in order; and at their places the schemas of search_path that do not exist (any more).
    std::vector<std::string> search_path;
    std::vector<std::string> temporary_relations; ///< names in the session's own temporary schema
    std::string client_encoding;                  ///< e.g. UTF8
    bool standard_conforming_strings{true};
    std::string role;                             ///< current_user

    bool operator==(session_view const&) const = default;
};

/// The fields of an ErrorResponse that say what kind of failure it was. Views into the message.
struct server_error {
    std::string_view sqlstate;             ///< field C, e.g. 42703
    std::string_view routine;              ///< field R, e.g. errorMissingColumn
    std::optional<std::uint32_t> position; ///< field P: 1-based, in characters of the whole text
    std::string_view column;               ///< field c, where it is sent (23502)
    std::string_view table;                ///< field t
    std::string_view schema;               ///< field s
    std::string_view hint;                 ///< field H: only ever a source of proposals
};

struct question {
    std::string_view sql;        ///< the whole text that the client sent (Query or Parse), without its final NUL
    session_view const& session; ///< must outlive the question
    /// The types that the client declared in Parse; 0 and missing ones: left open.
    std::vector<catalog::oid> parameter_types;
    /// Prepared by an earlier request, at a time not known: the client goes on with the shape it was told then.
    bool prepared{false};
    std::optional<server_error> error; ///< nothing: it has not been run yet (tier 1)
    /// 0A000 from RevalidateCachedQuery: the statement still means something, but would answer in another shape.
    bool shape_only{false};
    /// The RowDescription that the client was told for this prepared statement, if it is known.
    std::optional<std::vector<expected_column>> described;
    rules::circumstances who; ///< which rules apply
};

} // namespace pgmend::healing
