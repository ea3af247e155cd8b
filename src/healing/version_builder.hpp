// A version of a schema with some names changed: objects stay what they are.
#pragma once

#include "pgmend/catalog/snapshot.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pgmend::healing {

/// Each object gets another name at most once; what has the name in this version loses it (is hidden).
class version_builder {
  public:
    explicit version_builder(catalog::snapshot const& from) : from_{&from} {}

    // True: done. False: the object has another name here already, and nothing was changed.
    bool name_relation(catalog::oid id, std::string const& schema, std::string const& name);
    bool name_function(catalog::oid id, std::string const& schema, std::string const& name);
    bool name_type(catalog::oid id, std::string const& schema, std::string const& name);
    bool name_column(catalog::oid relation, std::int16_t number, std::string const& name);
    bool name_label(catalog::oid type, catalog::oid label, std::string const& name);
    /// One that no version had, of no known type: the last.
    bool add_column(catalog::oid relation, std::int16_t number, std::string const& name);

    void hide_relation(catalog::oid id) { hidden_relations_.insert(id); }
    void hide_function(catalog::oid id) { hidden_functions_.insert(id); }
    void hide_type(catalog::oid id) { hidden_types_.insert(id); }
    void hide_column(catalog::oid relation, std::int16_t number);

    template <class F>
    bool try_undo(F const& change) { return change(*this); }

    /// Relations and types whose names, or whose columns' or labels' names, were changed.
    template <class F>
    void each_relation(F const& f) const {
        for (auto const& [id, it] : relations_) f(it);
    }
    template <class F>
    void each_type(F const& f) const {
        for (auto const& [id, it] : types_) f(it);
    }

    [[nodiscard]] std::shared_ptr<catalog::snapshot const> build() const;

  private:
    catalog::relation& relation(catalog::oid id);
    catalog::type_entry& type(catalog::oid id);

    catalog::snapshot const* from_;
    std::map<catalog::oid, catalog::relation> relations_;
    std::map<catalog::oid, catalog::function_entry> functions_;
    std::map<catalog::oid, catalog::type_entry> types_;
    std::set<catalog::oid> hidden_relations_, hidden_functions_, hidden_types_;
    std::set<catalog::oid> named_relations_;
    std::set<catalog::oid> named_types_, named_labels_;
    std::set<std::pair<catalog::oid, std::int16_t>> named_columns_;
};

} // namespace pgmend::healing
