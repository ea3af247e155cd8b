// What is remembered, in a PostgreSQL database that a fleet shares.
#pragma once

#include "pgmend/store/batching_store.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace pgmend::store {

/// Whether a `state` names a PostgreSQL database rather than a file.
[[nodiscard]] bool is_postgres(std::string_view place);

/// Records of the state port in the schema `pgmend`. A second thread listens to what other instances decide and find.
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
