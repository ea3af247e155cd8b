// Versions of a schema as the resolver wants to see them.
#pragma once

#include "pgmend/catalog/history.hpp"
#include "pgmend/healing/question.hpp"
#include "pgmend/sql/resolution.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing {

/// One version under one search path.
class version_source final : public sql::relation_source {
  public:
    version_source(catalog::snapshot const& version, session_view const& session) : version_{version}, session_{session} {}

    answer find(std::string_view schema, std::string_view name) override;
    [[nodiscard]] sql::offered_relation const* relation(catalog::oid id) override;
    [[nodiscard]] bool is_temporary(std::string_view name) const override;
    [[nodiscard]] function_answer find_functions(std::string_view schema, std::string_view name) override;
    [[nodiscard]] type_answer find_type(std::string_view schema, std::string_view name) override;
    [[nodiscard]] sql::offered_type const* type(catalog::oid id) override;

  private:
    catalog::snapshot const& version_;
    session_view const& session_;
    std::map<catalog::oid, sql::offered_relation> offered_;
    std::map<catalog::oid, sql::offered_type> types_;
};

/// All versions at once: every name that a relation or a column ever had, as long as the name never meant anything else.
/// For statements that mix names of different times, where no one version has them all.
class all_versions_source final : public sql::relation_source {
  public:
    all_versions_source(std::vector<std::shared_ptr<catalog::snapshot const>> const& versions, session_view const& session)
        : versions_{versions}, session_{session} {}

    answer find(std::string_view schema, std::string_view name) override;
    [[nodiscard]] sql::offered_relation const* relation(catalog::oid id) override;
    [[nodiscard]] bool is_temporary(std::string_view name) const override;
    [[nodiscard]] function_answer find_functions(std::string_view schema, std::string_view name) override;
    [[nodiscard]] type_answer find_type(std::string_view schema, std::string_view name) override;
    [[nodiscard]] sql::offered_type const* type(catalog::oid id) override;

  private:
    [[nodiscard]] sql::offered_relation offer(catalog::oid id) const;

    std::vector<std::shared_ptr<catalog::snapshot const>> const& versions_;
    session_view const& session_;
    std::map<catalog::oid, sql::offered_relation> offered_;
    std::map<catalog::oid, sql::offered_type> types_;
};

/// All functions of users by that name, in the order of the path where `schema` is empty.
[[nodiscard]] std::vector<catalog::function_entry const*> find_functions(catalog::snapshot const& version, session_view const& session,
                                                                         std::string_view schema, std::string_view name);
[[nodiscard]] catalog::type_entry const* find_type(catalog::snapshot const& version, session_view const& session,
                                                   std::string_view schema, std::string_view name);

/// What a name means in one version; nullptr: nothing. `schema` empty: along the search path.
[[nodiscard]] catalog::relation const* find_relation(catalog::snapshot const& version, session_view const& session,
                                                     std::string_view schema, std::string_view name);

/// Whether both have the same columns under the same names, in the same order.
[[nodiscard]] bool same_columns(catalog::relation const& a, catalog::relation const& b);

} // namespace pgmend::healing
