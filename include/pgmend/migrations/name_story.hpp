// What became of names, as migrations tell it.
#pragma once

#include "pgmend/catalog/snapshot.hpp"
#include "pgmend/migrations/script.hpp"
#include "pgmend/rules/rule.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::migrations {

/// Where a migration says so.
struct place {
    std::string file;
    std::uint32_t line{0};
};

/// An old name that leads nowhere, for people.
struct lost_name {
    std::string what; ///< `column public.users.email`
    std::string why;
    place where;
};

/// Follows each object through all migrations: what is created, renamed, moved, dropped, and created again under a name that was free, is told
/// apart as PostgreSQL would by oid. Objects that no migration creates begin to be known where one mentions them. An old name is
/// good for something only if it has belonged to one object, which lives, and nothing has it today.
class name_story {
  public:
    void run(sql::ddl_action const& action, place const& where);

    /// Old names that lead to objects of today. Names of rules are `FILE:LINE:OLDNAME`, without what rule names may not have.
    [[nodiscard]] std::vector<rules::rule> renames() const;

    /// Old names that belonged to something that was dropped, or to several things.
    [[nodiscard]] std::vector<lost_name> lost() const;

  private:
    struct column {
        std::string name;
        std::vector<std::pair<std::string, place>> before;
        bool dropped{false};
        place dropped_at;
    };
    struct object {
        sql::ddl_object kind{sql::ddl_object::relation};
        std::string schema;
        std::string name;
        struct old_name {
            std::string schema, name;
            place where;
        };
        std::vector<old_name> before;
        std::vector<column> columns; ///< of a type: labels; those that are known
        bool dropped{false};
        place dropped_at;
    };

    [[nodiscard]] std::string schema_of(std::string const& written) const;
    [[nodiscard]] object* living(sql::ddl_object kind, std::string const& schema, std::string const& name);
    object& known(sql::ddl_action const& action);
    object& made(sql::ddl_object kind, std::string const& schema, std::string const& name);
    static column& known_column(object& of, std::string const& name);
    void rename_schema(sql::ddl_action const& action, place const& where);
    [[nodiscard]] std::size_t meanings(object const& of, std::string const& schema, std::string const& name) const;

    std::vector<std::unique_ptr<object>> objects_;
    std::string first_schema_{"public"};
};

/// Those of the rules that the catalog bears out: what they lead to is there, and nothing has the old name. `lost` gets the others.
[[nodiscard]] std::vector<rules::rule> borne_out(std::vector<rules::rule> rules, catalog::snapshot const& schema, std::vector<lost_name>& lost);

} // namespace pgmend::migrations
