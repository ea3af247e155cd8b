// Versions of a schema from DDL, for tests: the statements that migrations are made of.
#pragma once

#include "healing/script_reader.hpp"
#include "pgmend/catalog/history.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgmend::healing::testing {

/// Runs DDL on a picture of a catalog: oids and attribute numbers behave as PostgreSQL's do, also names of constraints that
/// are not given. Throws std::runtime_error on what it does not know. INSERT, COMMENT, SET and GRANT change nothing here.
class schema_script {
  public:
    schema_script();

    /// Statements separated by semicolons, each as PostgreSQL takes it.
    void run(std::string_view ddl);

    /// The picture as it is now.
    [[nodiscard]] std::shared_ptr<catalog::snapshot const> take() const;

    std::vector<std::string> search_path{"pg_catalog", "public"};
    std::string system_identifier{"7000000000000000001"};

  private:
    using reader = script_reader;
    struct type_reference {
        catalog::oid type{0};
        std::int32_t modifier{-1};
        std::string word; ///< as written: serial, …
    };
    struct key {
        std::string name; ///< of the constraint; empty: as PostgreSQL would call it
        char kind{0};
        std::vector<std::string> columns;
        bool nulls_not_distinct{false};
    };

    // Statements (schema_script.cpp)
    void statement(reader& in);
    void create(reader& in);
    void alter(reader& in);
    void drop(reader& in);
    void alter_schema(reader& in);

    // Relations (schema_script_relations.cpp)
    catalog::relation& find(std::string const& schema, std::string const& name);
    catalog::relation& make(std::string const& schema, std::string const& name, char kind);
    void create_table(reader& in);
    void create_view(reader& in, char kind, bool replace);
    void alter_relation(reader& in);
    void alter_action(reader& in, catalog::oid id);
    void alter_column(reader& in, catalog::relation& relation, catalog::column& column);
    void add_column(catalog::oid id, reader& in);
    void drop_column(catalog::relation& relation, std::string const& name);
    void set_schema(catalog::relation& relation, std::string const& moved);

    // Keys (schema_script_keys.cpp)
    bool table_constraint(catalog::oid id, reader& in); ///< false where none begins here
    void column_constraint(catalog::oid id, std::string const& column, reader& in);
    void add_key(catalog::relation& relation, key wanted);
    void use_index(catalog::relation& relation, std::string const& index, std::string const& name, char kind);
    void create_index(reader& in, bool unique);
    void rename_index(reader& in);
    bool drop_index(std::string const& name);
    void drop_constraint(catalog::relation& relation, std::string const& name);
    void rename_constraint(catalog::relation& relation, std::string const& before, std::string const& after);

    // Types, functions, schemas (schema_script_objects.cpp)
    void need_schema(std::string const& name);
    type_reference type(reader& in);
    catalog::type_entry* find_type(std::string const& schema, std::string const& name);
    catalog::type_entry& make_type(std::string const& schema, std::string const& name, char kind);
    void create_type(reader& in);
    void create_domain(reader& in);
    void alter_type(reader& in);
    void create_function(reader& in, char kind);
    catalog::function_entry& find_function(reader& in); ///< name and, if written, argument types
    void alter_function(reader& in);

    std::vector<catalog::relation> relations_;
    std::map<catalog::oid, std::int16_t> last_number_;
    std::vector<catalog::type_entry> types_; ///< without arrays, and without row types of relations
    std::vector<catalog::function_entry> functions_;
    std::vector<catalog::schema_entry> schemas_;
    catalog::oid next_{catalog::first_user_oid};
};

} // namespace pgmend::healing::testing
