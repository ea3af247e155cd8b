// Collects the changes between two versions.
#pragma once

#include "pgmend/catalog/diff.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pgmend::catalog {

class differ {
  public:
    differ(snapshot const& before, snapshot const& after) : before_{before}, after_{after} {}

    std::vector<change> run();

  private:
    void add(change_kind kind, object_kind object, severity level, std::string name, std::string old = {}, std::string now = {}) {
        changes_.push_back({kind, object, level, std::move(name), std::move(old), std::move(now)});
    }

    // diff.cpp
    void schemas();
    void types();
    void labels(type_entry const& old, type_entry const& now);
    void functions();
    [[nodiscard]] bool went_along(std::string const& old_schema, std::string const& new_schema) const;
    template <class T>
    void names(T const& old, T const& now, object_kind object);

    // diff_relations.cpp
    void relations();
    void one_relation(relation const& old, relation const& now);
    void columns(relation const& old, relation const& now);
    void one_column(std::string const& name, column const& old, column const& now);
    void constraints(relation const& old, relation const& now);
    void indexes(relation const& old, relation const& now);

    snapshot const& before_;
    snapshot const& after_;
    std::vector<change> changes_;
};

/// A schema that was renamed takes along what is in it: that is no move.
template <class T>
void differ::names(T const& old, T const& now, object_kind object) {
    auto const full = old.schema + "." + old.name;
    if (old.schema != now.schema && !went_along(old.schema, now.schema))
        add(change_kind::moved, object, severity::minor, full, old.schema, now.schema);
    if (old.name != now.name) add(change_kind::renamed, object, severity::minor, full, old.name, now.name);
}

} // namespace pgmend::catalog
