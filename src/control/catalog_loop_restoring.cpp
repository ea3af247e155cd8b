#include "catalog_loop.hpp"

#include "pgmend/base/log.hpp"
#include "pgmend/catalog/sharing.hpp"
#include "pgmend/net/io_context.hpp"

#include <boost/asio/post.hpp>

namespace pgmend::control {

namespace asio = boost::asio;

namespace {

/// Statements wait for the first version meanwhile.
constexpr std::chrono::seconds most_patience{5};

// A plain function: see base::log about braces in coroutines.
void log_restored(std::string const& database, std::size_t versions, std::uint64_t newest) {
    base::log(base::log_level::info, "catalog.restored", {{"database", database}, {"versions", versions}, {"newest", newest}});
}

/// Where nothing changed while pgmend was down, the objects that were kept and those that were read are the same.
std::shared_ptr<catalog::snapshot const> shared_with(catalog::snapshot const& before, catalog::snapshot const& fresh) {
    catalog::contents all{fresh.relations(), fresh.types(), fresh.functions(), fresh.schemas(), fresh.system_functions()};
    catalog::share_unchanged(before, all);
    return std::make_shared<catalog::snapshot const>(fresh.identity(), std::move(all), &before);
}

} // namespace

/// Puts the versions that were kept before the first one that was read. Where the store does not answer, or cannot read what it
/// has, nothing is saved over that.
pg::task<void> catalog_loop::restore(database* d, catalog_reader::reading* r) {
    struct answer {
        timer_type timer;
        std::optional<catalog::version_store::kept> kept;
    };
    auto const answered = std::make_shared<answer>(answer{timer_type{io_, base::steady::now() + most_patience}, std::nullopt});
    auto const executor = io_.get_executor();
    store_->load(d->name, r->schema, [answered, executor](catalog::version_store::kept kept) {
        asio::post(executor, [answered, kept = std::move(kept)]() mutable {
            answered->kept = std::move(kept);
            answered->timer.cancel();
        });
    });
    co_await answered->timer.async_wait(net::use_io_tuple);
    if (!answered->kept || !answered->kept->known) co_return;
    d->kept = r->schema->identity();
    auto& versions = answered->kept->versions;
    d->namesake = std::move(answered->kept->namesake);
    if (versions.empty()) co_return;
    d->schema = catalog::history::restored(std::move(versions), limits());
    r->schema = shared_with(d->schema->current(), *r->schema);
    log_restored(d->name, d->schema->versions().size(), d->schema->generation());
}

} // namespace pgmend::control
