// What is remembered, in a PostgreSQL database that a fleet shares.
#pragma once

#include "pgmend/base/error.hpp"
#include "pgmend/store/batching_store.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pgmend::store {

/// Whether a `state` names a PostgreSQL database rather than a file.
[[nodiscard]] bool is_postgres(std::string_view place);

/// What `pgmend learn` keeps there: each database's name, and the text of a rule file. Waits.
[[nodiscard]] base::result<std::vector<std::pair<std::string, std::string>>> learned_rules(std::string const& place);
[[nodiscard]] base::result<void> keep_learned_rules(std::string const& place, std::string const& database, std::string const& text);

/// Records of the state port, and versions of schemas, in the schema `pgmend`. A second thread listens to what other instances decide and find.
class postgres_store final : public batching_store {
  public:
    /// `connection`: postgresql://…
    explicit postgres_store(std::string connection, batch_settings settings = {});
    ~postgres_store() override; ///< stops

    /// Begins to tell of patterns that somebody has changed, this instance too, and of all of them after each (re)connection. On a
    /// thread of its own. Call once.
    void follow(std::function<void(std::vector<learning::pattern>)> changed);
    /// As batching_store; ends both threads.
    void stop();

  private:
    void listen();

    std::string connection_;
    std::function<void(std::vector<learning::pattern>)> changed_;
    std::atomic<bool> ending_{false};
    std::thread listener_;
};

} // namespace pgmend::store
