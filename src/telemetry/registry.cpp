#include "pgmend/telemetry/registry.hpp"

namespace pgmend::telemetry {

worker_figures& registry::add_worker() {
    std::lock_guard const lock{mutex_};
    return *workers_.emplace_back(std::make_unique<worker_figures>());
}

database_figures& registry::of(worker_figures& worker, std::string const& database) {
    std::lock_guard const lock{mutex_};
    auto const full = worker.databases.size() >= most_databases && !worker.databases.contains(database);
    auto& block = worker.databases[full ? std::string{"(others)"} : database];
    if (!block) block = std::make_unique<database_figures>();
    return *block;
}

std::vector<worker_figures const*> registry::workers() const {
    std::lock_guard const lock{mutex_};
    std::vector<worker_figures const*> out;
    for (auto const& it : workers_) out.push_back(it.get());
    return out;
}

std::map<std::string, database_totals> registry::databases() const {
    std::lock_guard const lock{mutex_};
    std::map<std::string, database_totals> out;
    for (auto const& worker : workers_) {
        for (auto const& [name, block] : worker->databases) {
            auto& to = out[name];
            to.transactions += block->transactions.get();
            to.statements += block->statements.get();
            to.received_bytes += block->received_bytes.get();
            to.sent_bytes += block->sent_bytes.get();
            to.transaction_us += block->transaction_us.get();
            to.statement_us += block->statement_us.get();
            to.wait_us += block->wait_us.get();
        }
    }
    return out;
}

} // namespace pgmend::telemetry
