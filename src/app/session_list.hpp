// The sessions of all workers, put together.
#pragma once

#include "pgmend/net/worker.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace pgmend::app {

/// Asks every worker; answers on the thread of the last one. Not at all where a worker's thread has ended: pgmend is stopping then.
void gather_sessions(std::vector<std::unique_ptr<net::worker>> const& workers, std::function<void(std::vector<net::session_figures>)> answer);

} // namespace pgmend::app
