#include "catalog_loop.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/catalog/adoption.hpp"
#include "pgmend/learning/observer.hpp"
#include "pgmend/learning/pattern_book.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace pgmend::control {

/// The database has another identity than the one whose versions are kept under its name: nothing is healed by those until
/// its catalog was compared with the last of them, and then only if it is the same. Where even the oids are, in a cluster that is new,
/// it is the same database (pg_upgrade, a copy of the files); where the names are, a person has to say so.
void catalog_loop::consider_adoption(database& d, std::vector<catalog::history::kept_version> kept) {
    d.offer.reset();
    if (kept.empty() || !d.schema) return;
    auto const& last = *kept.back().schema;
    auto const& first = *d.schema->versions().front();
    auto const users = [](catalog::snapshot const& s) { return !s.relations().empty() && s.relations().back()->id >= catalog::first_user_oid; };
    auto const found = catalog::compare_catalogs(last, first);
    if (found == catalog::likeness::different || !users(last)) {
        if (d.schema->versions().size() > 1) return; // it has a story of its own: adopted before, or newer
        d.lineage = "ended: the catalog is not the one that was kept";
        base::log(base::log_level::warning, "lineage.ended", {{"database", d.name}, {"reason", "the catalog is not the one that was kept"}});
        return;
    }
    auto versions = catalog::adopted(kept, first);
    if (versions.empty()) return; // one version tells nothing of old names
    auto const another_cluster = last.identity().system_identifier != first.identity().system_identifier;
    d.offer = adoption_offer{std::move(versions), fmt::format("lineage of cluster {} database {}", last.identity().system_identifier, last.identity().database)};
    if (found == catalog::likeness::same_objects && another_cluster) return adopt(d, "the same objects");
    d.lineage = "waits for approval: " + d.offer->pattern;
    base::log(base::log_level::warning, "lineage.proposed", {{"database", d.name}, {"pattern", d.offer->pattern}, {"versions", d.offer->versions.size()}});
    if (observer_) {
        auto const note = fmt::format("the database has another identity, and the names, types and keys that were kept: {} earlier versions would heal again",
                                      d.offer->versions.size());
        observer_->proposed(d.name, d.offer->pattern, learning::evidence::lineage, note);
    }
}

void catalog_loop::adopt_if_approved(database& d) {
    if (d.offer && book_ && book_->get()->approved(d.name, d.offer->pattern)) adopt(d, "approved");
}

/// All versions get new numbers, so that every verdict is made again.
void catalog_loop::adopt(database& d, std::string_view reason) {
    auto versions = std::move(d.offer->versions);
    d.offer.reset();
    auto generation = d.schema->generation();
    for (auto& v : versions) v.generation = ++generation;
    for (std::size_t i = 0; i < d.schema->versions().size(); ++i) versions.push_back({d.schema->versions()[i], ++generation, d.schema->steps()[i]->at});
    auto const count = versions.size();
    d.schema = catalog::history::restored(std::move(versions), limits());
    d.lineage = fmt::format("adopted: {}", reason);
    published_.publish(d.name, d.schema);
    d.was_published = true;
    if (store_ && d.kept) store_->save(d.name, d.schema, {"adopted", {}});
    base::log(base::log_level::info, "lineage.adopted", {{"database", d.name}, {"reason", reason}, {"versions", count}});
}

} // namespace pgmend::control
