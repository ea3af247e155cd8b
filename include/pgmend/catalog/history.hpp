// What names used to mean: the versions of one database's schema that pgmend has seen.
#pragma once

#include "pgmend/base/published.hpp"
#include "pgmend/catalog/diff.hpp"
#include "pgmend/catalog/snapshot.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pgmend::catalog {

/// How a version came from the one before.
struct step {
    std::uint64_t generation{1};     ///< of the version that it leads to
    std::int64_t at{0};              ///< when that was first seen: microseconds since 1970; 0: not known
    std::vector<change> changes;     ///< of versions between that were given up, too
    std::vector<std::string> names;  ///< all that were touched, sorted
    bool everything{false};          ///< it was another database before, or nothing is known of it
};

/// What must be judged again.
struct touched {
    bool everything{false};
    std::shared_ptr<std::vector<std::string> const> names; ///< sorted, each once; null: none

    /// Whether what rests on these names (sorted) must be.
    [[nodiscard]] bool any_of(std::vector<std::string> const& sorted_names) const;
};

/// What a history keeps.
struct history_limits {
    std::size_t versions{64};         ///< at least 2
    std::chrono::microseconds age{0}; ///< a version that was followed by another longer ago than this is given up; 0: never
};

/// The versions of one database's schema, oldest first; never empty; the last is the current one.
/// Immutable: `with` makes a new one that shares the old versions. Bounded by count and age.
class history {
  public:
    static constexpr std::size_t most_versions = history_limits{}.versions;

    explicit history(std::shared_ptr<snapshot const> first, std::int64_t at = 0);

    /// This history with `next` as its current version. The same history where nothing changed. Where the
    /// identity differs (another cluster or a database made again under the same name) lineage ends:
    /// the new history holds `next` alone. Past `limits.versions` the one is given up that explains least: whose names all
    /// live on, else the oldest; never one of the newest. `before` may be null. Costs a diff of both versions.
    [[nodiscard]] static std::shared_ptr<history const> with(std::shared_ptr<history const> const& before,
                                                             std::shared_ptr<snapshot const> next, std::int64_t at = 0,
                                                             history_limits const& limits = {});

    /// This history without what is too old at `now` (microseconds since 1970), or too much; the same one where nothing is. Its
    /// generation counts up, and what rested on the versions that are given up counts as touched.
    [[nodiscard]] static std::shared_ptr<history const> within(std::shared_ptr<history const> const& all, std::int64_t now,
                                                               history_limits const& limits);

    /// A history as it was kept: versions with their numbers (ascending) and times, all of one database; not empty.
    struct kept_version {
        std::shared_ptr<snapshot const> schema;
        std::uint64_t generation{1};
        std::int64_t at{0};
    };
    [[nodiscard]] static std::shared_ptr<history const> restored(std::vector<kept_version> versions, history_limits const& limits = {});

    [[nodiscard]] snapshot const& current() const { return *versions_.back(); }
    [[nodiscard]] std::vector<std::shared_ptr<snapshot const>> const& versions() const { return versions_; }

    /// One for each version, in the same order.
    [[nodiscard]] std::vector<std::shared_ptr<step const>> const& steps() const { return steps_; }

    /// Counts up with every change seen, across restarts where versions are kept; 1 for the first version.
    [[nodiscard]] std::uint64_t generation() const { return steps_.back()->generation; }

    /// What changed since that generation of this database was the current one. Nothing, for the current one; everything,
    /// for one that is not known, or from before lineage ended. One step costs nothing, several are put together.
    [[nodiscard]] touched touched_since(std::uint64_t generation) const;

  private:
    history() = default;
    void add(std::shared_ptr<snapshot const> version, std::shared_ptr<step const> how);
    void give_one_up();
    void give_up_first();
    void touch(std::vector<std::string> const& more, std::uint64_t generation);

    std::vector<std::shared_ptr<snapshot const>> versions_;
    std::vector<std::shared_ptr<step const>> steps_;
};

/// What a session needs to know about a database's schema, asked for after a statement failed.
struct schema_answer {
    std::shared_ptr<history const> schema; ///< null where the catalog could not be read
    std::string problem;                   ///< then: why, for the log
    bool whole{true};                      ///< else only what was asked about is as it was read just now
    bool changed{false};                   ///< by that reading
};

/// Port: reads catalogs. Implemented by control::catalog_watcher; called from any thread.
class schema_source {
  public:
    virtual ~schema_source() = default;

    /// A client has logged in to this database: see to it that a version of its schema is known soon.
    virtual void watch(std::string const& database) = 0;

    /// The last client of this database that `watch` was called for has gone (once for each `watch`).
    virtual void unwatch(std::string const& database) = 0;

    /// Reads the catalog again, beginning after this call, and answers with what is known then. The answer comes
    /// exactly once, within a bounded time, on a thread of the source's own: hand it on, do no work there.
    ///
    /// `about` (not empty): names of which it is enough to know what has them, what had one of them in a version that is known, and what those objects
    /// rest on; names of which nothing is known are passed over. That takes a millisecond, all of a large catalog much longer. Where it cannot be done so, the
    /// answer is whole.
    virtual void refresh(std::string const& database, std::vector<std::string> about, std::function<void(schema_answer)> answer) = 0;

    /// Where every version of this database's schema is published, also while nobody asks; holds null until the first one
    /// is known. The same object for as long as somebody holds it. Cheap, but not for every statement: keep a reader.
    [[nodiscard]] virtual std::shared_ptr<base::published<history> const> published(std::string const& database) = 0;

    /// A statement that changes the schema has just been committed in this database: look now.
    virtual void hint_changed(std::string const& database) = 0;
};

} // namespace pgmend::catalog
