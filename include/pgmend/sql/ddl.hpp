// What a statement does to the names of a schema.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::sql {

enum class ddl_object : std::uint8_t { relation, sequence, type, function, schema };

/// One name that comes, goes or changes. Names are folded and unquoted; a schema is empty where none was written.
struct ddl_action {
    enum class kind_type : std::uint8_t {
        create,          ///< `name`; of a relation with `columns`, where these are written out
        drop,            ///< `name`
        rename,          ///< `name` becomes `now`
        move,            ///< `name` goes to the schema `now`
        add_column,      ///< `member`
        drop_column,     ///< `member`
        rename_column,   ///< `member` becomes `now`; of a composite type's attribute, too
        rename_label,    ///< `member` becomes `now`
        set_search_path, ///< `columns` are the schemas
    };
    kind_type kind{kind_type::create};
    ddl_object object{ddl_object::relation};
    std::string schema;
    std::string name;
    std::string member;
    std::string now;
    bool unless_there{false}; ///< IF NOT EXISTS, OR REPLACE: may be what was there already; IF EXISTS: may be nothing
    std::vector<std::string> columns;

    bool operator==(ddl_action const&) const = default;
};

} // namespace pgmend::sql
