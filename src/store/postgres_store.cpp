#include "pgmend/store/postgres_store.hpp"

#include "pgmend/base/log.hpp"
#include "postgres_tables.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace pgmend::store {
namespace {

constexpr std::chrono::milliseconds look_whether_to_end{200};
constexpr std::chrono::milliseconds try_again{500};

} // namespace

bool is_postgres(std::string_view place) { return place.starts_with("postgresql://") || place.starts_with("postgres://"); }

base::result<std::vector<std::pair<std::string, std::string>>> learned_rules(std::string const& place) {
    try {
        return postgres_tables{place}.learned_rules();
    } catch (std::exception const& e) {
        return base::fail(base::errc::system, e.what());
    }
}

base::result<void> keep_learned_rules(std::string const& place, std::string const& database, std::string const& text) {
    try {
        postgres_tables{place}.keep_learned_rules(database, text);
        return {};
    } catch (std::exception const& e) {
        return base::fail(base::errc::system, e.what());
    }
}

postgres_store::postgres_store(std::string connection, batch_settings settings)
    : batching_store{"postgresql", [connection] { return std::make_unique<postgres_tables>(connection); }, settings}, connection_{std::move(connection)} {
    begin();
}

postgres_store::~postgres_store() { stop(); }

void postgres_store::follow(std::function<void(std::vector<learning::pattern>)> changed) {
    changed_ = std::move(changed);
    listener_ = std::thread{[this] { listen(); }};
}

void postgres_store::stop() {
    ending_ = true;
    if (listener_.joinable()) listener_.join();
    batching_store::stop();
}

void postgres_store::listen() {
    bool told = false;
    while (!ending_) {
        try {
            postgres_tables from{connection_, "pgmend state, listening"};
            from.listen();
            changed_(from.patterns()); // what was missed
            told = false;
            while (!ending_) {
                auto const ids = from.changed(look_whether_to_end);
                if (!ids.empty()) changed_(from.patterns(ids));
            }
        } catch (std::exception const& e) {
            if (!std::exchange(told, true)) base::log(base::log_level::warning, "state.deaf", {{"place", place()}, {"problem", e.what()}});
            for (auto left = try_again; left.count() > 0 && !ending_; left -= std::chrono::milliseconds{50}) std::this_thread::sleep_for(std::chrono::milliseconds{50});
        }
    }
}

} // namespace pgmend::store
