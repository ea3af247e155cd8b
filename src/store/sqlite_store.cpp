#include "pgmend/store/sqlite_store.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/store/postgres_store.hpp"
#include "postgres_tables.hpp"
#include "sqlite_tables.hpp"

#include <chrono>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

namespace pgmend::store {

namespace {

/// Moves the file and what belongs to it out of the way.
void set_aside(std::string const& path, std::string_view problem) {
    auto const now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    auto const kept = fmt::format("{}.damaged-{}", path, now.count());
    for (auto const* suffix : {"", "-wal", "-shm"}) {
        std::error_code ignored;
        std::filesystem::rename(path + suffix, kept + suffix, ignored);
    }
    base::log(base::log_level::error, "state.damaged", {{"file", path}, {"problem", problem}, {"kept_as", kept}});
}

/// `damaged`: it was found to be so while it was in use, and is closed by now.
std::unique_ptr<sqlite_tables> open(std::string const& path, std::shared_ptr<bool> const& damaged) {
    if (std::exchange(*damaged, false)) set_aside(path, "damage was found while it was in use");
    try {
        return std::make_unique<sqlite_tables>(path, false, damaged);
    } catch (sqlite_error const& e) {
        if (!e.is_damage()) throw;
        set_aside(path, e.what());
        *damaged = false;
        return std::make_unique<sqlite_tables>(path, false, damaged);
    }
}

} // namespace

sqlite_store::sqlite_store(std::string path, batch_settings settings) : sqlite_store{std::move(path), settings, std::make_shared<bool>(false)} { begin(); }

sqlite_store::sqlite_store(std::string path, batch_settings settings, std::shared_ptr<bool> damaged)
    : batching_store{path, [path, damaged] { return open(path, damaged); }, settings}, damaged_{std::move(damaged)} {}

sqlite_store::~sqlite_store() { stop(); }

base::result<void> check_file(std::string const& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return {};
    try {
        auto const found = sqlite_tables::version_of(connection{path, true});
        if (found <= sqlite_tables::our_version) return {};
        return base::fail(base::errc::not_supported, fmt::format("state: {}: a newer pgmend made this file (its tables have version {}, this pgmend knows "
                                                                 "up to {}); use that pgmend, or another file", path, found, sqlite_tables::our_version));
    } catch (sqlite_error const&) {
        return {}; // the store says what is wrong, and goes on
    }
}

namespace {

template <class F>
auto read_file(std::string const& path, F read) -> base::result<decltype(read(std::declval<sqlite_tables&>()))> {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return base::fail(base::errc::not_found, path + ": no such file");
    try {
        sqlite_tables file{path, true};
        return read(file);
    } catch (std::exception const& e) {
        return base::fail(base::errc::invalid_input, path + ": " + e.what());
    }
}

template <class F>
auto read_place(std::string const& place, F read) -> base::result<decltype(read(std::declval<tables&>()))> {
    if (!is_postgres(place)) return read_file(place, read);
    try {
        postgres_tables from{place};
        return read(from);
    } catch (std::exception const& e) {
        return base::fail(base::errc::system, e.what());
    }
}

} // namespace

base::result<std::vector<kept_database>> read_all(std::string const& place) {
    return read_place(place, [](tables& from) { return from.schemas().all(); });
}

base::result<kept_records> read_records(std::string const& place) {
    return read_place(place, [](tables& from) { return kept_records{from.patterns(), from.drift(), from.dead_letters(), from.audit()}; });
}

base::result<void> mark(std::string const& place, state::dead_letter const& letter) {
    try {
        std::vector<state::change> const changes{letter};
        if (is_postgres(place)) postgres_tables{place}.apply(changes);
        else sqlite_tables{place}.apply(changes);
        return {};
    } catch (std::exception const& e) {
        return base::fail(base::errc::system, e.what());
    }
}

} // namespace pgmend::store
