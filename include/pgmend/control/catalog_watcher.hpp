// Reads the catalogs of the backend's databases and keeps their history.
#pragma once

#include "pgmend/catalog/history.hpp"
#include "pgmend/catalog/version_store.hpp"
#include "pgmend/control/settings.hpp"
#include "pgmend/learning/observer.hpp"
#include "pgmend/learning/pattern_book.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pgmend::control {

class catalog_loop;
class publications;

/// What is known of one database, for people.
struct watched_database {
    std::string name;
    std::size_t watches{0};
    std::shared_ptr<catalog::history const> schema; ///< null: no version is known
    std::uint64_t loads{0};                         ///< catalogs read since start, successful or not
    std::chrono::microseconds last_load{0};         ///< how long the newest successful one took
    std::string lineage;                            ///< what became of it after a restore or an upgrade; empty: neither happened
    std::string problem;                            ///< why the last one failed; empty if it did not
    bool connected{false};
};

/// The thread that reads catalogs. Everything it knows lives in a catalog_loop on that thread; the functions here
/// may be called from any thread and post to it. Owned by `app`; whoever holds it as a schema_source must be done
/// before it is destroyed.
class catalog_watcher final : public catalog::schema_source {
  public:
    /// `store`: where histories are kept across restarts; may be null; must be stopped between this one's `stop` and its end.
    explicit catalog_watcher(watcher_settings settings, catalog::version_store* store = nullptr);
    ~catalog_watcher() override; ///< stops
    catalog_watcher(catalog_watcher const&) = delete;
    catalog_watcher& operator=(catalog_watcher const&) = delete;

    /// Before `start`; both outlive it: where people approve that lineage goes on after a restore.
    void decide_with(base::published<learning::pattern_book> const& book, learning::observer& tell);

    /// Begins to read all databases, and goes on trying while the server cannot be reached. Call once.
    void start();

    /// Answers what waits (with a problem) and joins the thread; may be called again. From then on `refresh` answers
    /// in the calling thread.
    void stop();

    /// For connections made from now on; those that are idle are closed.
    void reconfigure(watcher_settings settings);

    /// Answers with all databases, by name, on the watcher's thread; after stop with none, in the calling thread.
    void describe(std::function<void(std::vector<watched_database>)> answer);

    void watch(std::string const& database) override;
    void unwatch(std::string const& database) override;
    void refresh(std::string const& database, std::vector<std::string> about, std::function<void(catalog::schema_answer)> answer) override;
    std::shared_ptr<base::published<catalog::history> const> published(std::string const& database) override;
    void hint_changed(std::string const& database) override;

  private:
    using work_guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

    template <class F>
    bool hand_over(F f);
    void run();

    std::unique_ptr<publications> published_;
    boost::asio::io_context io_{1};
    work_guard work_;
    std::unique_ptr<catalog_loop> loop_; ///< only touched on the thread
    std::thread thread_;
    std::mutex stopping_; ///< orders every hand-over before or after stop; never on a healthy statement's path
    bool stopped_{false};
};

} // namespace pgmend::control
