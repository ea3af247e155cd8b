#include "learned.hpp"

#include "pgmend/store/postgres_store.hpp"

#include <fmt/format.h>

namespace pgmend::app {

void add_learned_rules(config::settings const& from, std::chrono::sys_seconds now, config::loaded_rules& to, learned_memory& memory) {
    if (!store::is_postgres(from.state)) return config::add_learned_rules(from, now, to);
    if (memory.place != from.state) memory = {from.state, {}};
    if (auto found = store::learned_rules(from.state)) {
        memory.texts.clear();
        for (auto& [database, text] : *found) memory.texts.push_back({fmt::format("what pgmend learn keeps of {}", database), std::move(text)});
    } else {
        to.problems.push_back({"", 0, 0, yaml::severity::warning,
                               fmt::format("state: what pgmend learn keeps there cannot be read, what was read last holds: {}", found.error().text)});
    }
    config::add_learned_rules(memory.texts, now, to);
}

} // namespace pgmend::app
