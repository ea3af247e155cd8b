// Types, functions and schemas: the questions as SQL, the answers as values.
#pragma once

#include "relation_rows.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgmend::control {

/// Types without labels. Of the system without the row types of its relations.
[[nodiscard]] std::string types_statement(origin which);

/// The labels of all enums, in sort order; or of those that the condition on pg_enum e lets through.
[[nodiscard]] std::string labels_statement(std::string_view condition = "true");

/// The functions of users. Whether one may change the session is judged by its text: language C could do anything, and
/// so could EXECUTE; what it calls is not looked into.
[[nodiscard]] std::string functions_statement(int server_version);

[[nodiscard]] std::string schemas_statement();
[[nodiscard]] std::string system_functions_statement();

[[nodiscard]] std::vector<catalog::snapshot::type_ptr> to_types(pg::rows const& types, pg::rows const* labels);
[[nodiscard]] std::vector<catalog::snapshot::function_ptr> to_functions(pg::rows const& answer);
[[nodiscard]] std::vector<catalog::snapshot::schema_ptr> to_schemas(pg::rows const& answer);
[[nodiscard]] std::vector<std::string> to_sorted_names(pg::rows const& answer); ///< each once

} // namespace pgmend::control
