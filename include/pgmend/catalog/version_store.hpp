// Where versions of schemas are kept across restarts.
#pragma once

#include "pgmend/catalog/history.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::catalog {

/// How a version was found, for people.
struct version_note {
    std::string cause;
    std::string by;
};

/// Port: keeps histories. Implemented by store::sqlite_store; called from any thread, never blocks.
class version_store {
  public:
    virtual ~version_store() = default;

    /// What is kept of the database that `current` is a version of (its identity says which), oldest first, numbers ascending;
    /// objects of initdb are taken from `current`. The answer comes exactly once, on a thread of the store's own; `known` is
    /// false where it could not be read: then it must not be saved over.
    struct kept {
        bool known{false};
        std::vector<history::kept_version> versions;
        /// The newest that is kept of a database of this name with another identity: before it was restored, made again or upgraded.
        std::vector<history::kept_version> namesake;
    };
    virtual void load(std::string const& database, std::shared_ptr<snapshot const> current, std::function<void(kept)> answer) = 0;

    /// The history of a database has a new current version.
    virtual void save(std::string const& database, std::shared_ptr<history const> schema, version_note note) = 0;
};

} // namespace pgmend::catalog
