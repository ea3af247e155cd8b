#include "version_rows.hpp"

#include "pgmend/catalog/delta.hpp"
#include "pgmend/catalog/diff.hpp"

#include <fmt/format.h>

#include <utility>

namespace pgmend::store {
namespace {

/// FNV-1a. A disk that lies is no adversary.
std::int64_t checksum_of(std::string_view bytes) {
    std::uint64_t state = 0xcbf29ce484222325;
    for (char const c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return static_cast<std::int64_t>(state);
}

} // namespace

stored_version to_row(catalog::snapshot const* before, catalog::snapshot const& version, catalog::step const& how, catalog::version_note const& note) {
    stored_version row;
    row.about = {how.generation, how.at, catalog::fingerprint(version), std::string{catalog::to_text(catalog::worst(how.changes))},
                 catalog::summary(how.changes), note.cause, note.by};
    row.delta = catalog::encode_delta(before, version);
    row.checksum = checksum_of(row.delta);
    return row;
}

base::result<void> add_version(kept_database& to, stored_version row, catalog::snapshot const* current) {
    auto const* before = to.versions.empty() ? nullptr : to.versions.back().get();
    auto contents = catalog::decode_delta(before, row.delta);
    if (!contents || checksum_of(row.delta) != row.checksum)
        return base::fail(base::errc::invalid_input, fmt::format("version {}: {}", row.about.number, contents ? "wrong checksum" : contents.error().text));
    auto all = !before && current ? catalog::with_system_objects(std::move(*contents), *current) : std::move(*contents);
    to.versions.push_back(std::make_shared<catalog::snapshot const>(to.identity, std::move(all), before));
    to.rows.push_back(std::move(row.about));
    return {};
}

std::vector<catalog::history::kept_version> to_history(kept_database const& found) {
    std::vector<catalog::history::kept_version> versions;
    for (std::size_t i = 0; i < found.rows.size(); ++i) versions.push_back({found.versions[i], found.rows[i].number, found.rows[i].at});
    return versions;
}

} // namespace pgmend::store
