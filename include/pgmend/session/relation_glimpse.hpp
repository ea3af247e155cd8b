// The relations of some names, asked of the server in a client's own session.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/catalog/history.hpp"
#include "pgmend/rules/rule_set.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::session {

/// For rules while the catalog cannot be read: all relations that have one of the names, in any schema, with their columns; nothing
/// else of the catalog. It is of no use for lineage, and forgets nothing that a name in a text could mean.
///
///   begin() ──> on_server() for each frame ──> answered
///
/// Outside of transaction blocks, since an error would abort one. Lives for one statement.
class relation_glimpse {
  public:
    enum class step : std::uint8_t { need_more, answered };

    explicit relation_glimpse(std::vector<std::string> names) : names_{std::move(names)} {}

    /// All that a text may name, and what the rules for it make of that.
    [[nodiscard]] static std::vector<std::string> names_for(std::string_view sql, rules::rule_set const& rules, rules::circumstances const& who);

    [[nodiscard]] std::string begin() const;
    /// Asynchronous frames that the client shall get are appended to `to_client`.
    [[nodiscard]] step on_server(base::byte_view frame, std::string& to_client);

    /// One version; nothing: the server refused, or its answer is not understood.
    [[nodiscard]] std::shared_ptr<catalog::history const> schema() const;

  private:
    void on_row(base::byte_view body);

    std::vector<std::string> names_;
    std::map<catalog::oid, std::shared_ptr<catalog::relation>> relations_;
    bool failed_{false};
};

} // namespace pgmend::session
