// What names mean in a session: asked of the server itself.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/healing/question.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::session {

/// Reads the search path, the role and the temporary relations, and on request the text and parameter types of a
/// prepared statement, by read-only statements that run under a name of pgmend's own in the client's session.
class session_probe {
  public:
    /// `known`: client_encoding and standard_conforming_strings, which ParameterStatus tells.
    explicit session_probe(healing::session_view known) : view_{std::move(known)} {}

    /// Parse to Close; the caller appends the Sync or Flush. `prepared`: the name of a statement to look up, which is one statement more, ahead; empty: none.
    static void append(std::string& out, base::byte_view prepared);

    /// A DataRow's body. A sentence where it is not understood.
    [[nodiscard]] std::optional<std::string> on_row(base::byte_view body);
    /// After the last row.
    void finish();

    [[nodiscard]] healing::session_view const& view() const { return view_; }

    struct prepared_statement {
        std::string sql;
        std::vector<std::uint32_t> parameter_types;
    };
    [[nodiscard]] std::optional<prepared_statement> const& prepared() const { return prepared_; }

  private:
    healing::session_view view_;
    std::vector<std::string> existing_path_;    // current_schemas(true)
    std::vector<std::string> set_path_;         // as the setting has it, with the role in place of "$user"
    std::vector<std::string> existing_schemas_; // at least those of set_path_
    std::optional<prepared_statement> prepared_;
};

} // namespace pgmend::session
