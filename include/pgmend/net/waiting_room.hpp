// Where sessions wait until a limit lets them be connected.
#pragma once

#include "pgmend/backend/bulkhead.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace pgmend::net {

/// The bulkhead of the process, for all workers: asked at a session's login and at its end, behind a mutex. Without limits
/// nobody enters it. Outlives every seat.
class waiting_room {
  public:
    /// A session's place; gives it back when it goes.
    class seat {
      public:
        seat(waiting_room& room, backend::bulkhead::session_id id) : room_{room}, id_{id} {}
        ~seat() { room_.leave(id_); }
        seat(seat const&) = delete;
        seat& operator=(seat const&) = delete;

      private:
        waiting_room& room_;
        backend::bulkhead::session_id id_;
    };
    struct entry {
        backend::bulkhead::verdict verdict;
        std::unique_ptr<seat> place; ///< null: refused
    };

    /// `called`: it was queued, and its turn has come. On any thread, once at most.
    [[nodiscard]] entry enter(backend::passenger who, std::function<void()> called);
    void configure(backend::bulkhead_limits limits);
    [[nodiscard]] std::size_t waiting() const;

  private:
    using ids = std::vector<backend::bulkhead::session_id>;

    void leave(backend::bulkhead::session_id id);
    std::vector<std::function<void()>> take(ids const& admitted);

    mutable std::mutex mutex_;
    backend::bulkhead bulkhead_{{}};
    std::unordered_map<backend::bulkhead::session_id, std::function<void()>> calls_;
    backend::bulkhead::session_id next_{1};
};

} // namespace pgmend::net
