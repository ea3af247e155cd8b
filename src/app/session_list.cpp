#include "session_list.hpp"

#include <iterator>
#include <mutex>
#include <utility>

namespace pgmend::app {
namespace {

struct gathering {
    std::mutex mutex;
    std::size_t missing{0};
    std::vector<net::session_figures> all;
};

} // namespace

void gather_sessions(std::vector<std::unique_ptr<net::worker>> const& workers, std::function<void(std::vector<net::session_figures>)> answer) {
    auto const state = std::make_shared<gathering>();
    state->missing = workers.size();
    for (auto const& worker : workers) {
        worker->describe([state, answer](std::vector<net::session_figures> some) {
            bool last = false;
            {
                std::lock_guard const lock{state->mutex};
                std::move(some.begin(), some.end(), std::back_inserter(state->all));
                last = --state->missing == 0;
            }
            if (last) answer(std::move(state->all));
        });
    }
}

} // namespace pgmend::app
