#include "catalog_loop.hpp"

#include "pgmend/backend/fault.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/control/login.hpp"
#include "pgmend/net/io_context.hpp"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <iterator>

namespace pgmend::control {

namespace asio = boost::asio;

namespace {

std::int64_t microseconds_since_1970() {
    auto const since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

std::int64_t in_microseconds(base::duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d).count(); }

} // namespace

void catalog_loop::wake(database& d) {
    if (d.served) {
        d.wake.cancel();
        if (d.waits && d.reader) d.reader->connection().interrupt();
        return;
    }
    d.served = true;
    auto on_end = [this, &d](std::exception_ptr broken) { on_served(d, broken); };
    asio::co_spawn(io_.get_executor(), serve(&d), on_end);
}

void catalog_loop::on_served(database& d, std::exception_ptr broken) {
    d.served = false;
    d.waits = false;
    d.reader.reset();
    if (broken) { // out of memory, most likely: give up this reading, not the proxy
        pg::error e{base::errc::system, {}, "unknown exception"};
        try {
            std::rethrow_exception(broken);
        } catch (std::exception const& thrown) {
            e.text = thrown.what();
        } catch (...) {
        }
        on_failed(d, e);
    }
    if (d.wants_reading() || !d.looks.empty() || d.watches > 0) wake(d);
}

pg::task<void> catalog_loop::sleep(database* d, base::time_point until) {
    d->wake.expires_at(until);
    co_await d->wake.async_wait(net::use_io_tuple);
}

pg::task<void> catalog_loop::serve(database* d) {
    for (;;) {
        if (d->reader && d->reader_settings != settings_version_) {
            d->reader.reset();
            want_reading(*d, "settings");
        }
        auto const now = base::steady::now();
        if (!d->looks.empty()) {
            if (d->schedule.earliest_of_parts() <= now || !d->reader) co_await look_up(d);
            else co_await wait(d, d->schedule.earliest_of_parts());
        } else if (d->wants_reading()) {
            bool const parts = parts_first(*d, now);
            auto const earliest = parts ? d->schedule.earliest_of_parts() : d->schedule.earliest();
            if (earliest <= now) co_await reload(d, parts);
            else co_await wait(d, earliest);
        } else if (d->watches == 0) {
            co_return;
        } else if (now < next_event(*d)) {
            co_await wait(d, next_event(*d));
        } else if (settings_.verify_every.count() > 0 && d->next_verify <= now) {
            d->next_verify = now + settings_.verify_every;
            want_reading(*d, d->reader ? "scan" : "reconnect");
        } else {
            co_await look(d);
        }
    }
}

void catalog_loop::want_reading(database& d, std::string_view cause) {
    d.stale = true;
    d.look_everywhere = true;
    note_cause(d, cause);
}

/// What is more telling stays.
void catalog_loop::note_cause(database& d, std::string_view cause) {
    if (d.cause.empty() || d.cause == "counters" || d.cause == "scan") d.cause = cause;
}

base::duration catalog_loop::pause_between_looks(database const& d) const {
    auto const slowest = std::max(settings_.poll_every, settings_.slowest_poll);
    return std::min<base::duration>(settings_.poll_every * (1U << std::min(d.in_vain, 10U)), slowest);
}

base::time_point catalog_loop::next_event(database const& d) const {
    auto next = base::time_point::max();
    if (settings_.poll_every.count() > 0) next = std::min(next, d.next_look);
    if (settings_.verify_every.count() > 0) next = std::min(next, d.next_verify);
    return next;
}

/// What the trigger told of is read by itself, ahead of everything, where that may not be read yet or nobody waits for it; by
/// turns, so that neither starves the other.
bool catalog_loop::parts_first(database const& d, base::time_point now) {
    if (!d.schema || d.told.anything || d.told.size() == 0) return false;
    return !d.look_everywhere || d.schedule.earliest() > now || (d.next.empty() && !d.parts_were_last);
}

/// Until it is time, somebody wakes it, or the event trigger tells of a change. A connection that is lost is noticed
/// at once, and whatever happened meanwhile is found by reading over the next one.
pg::task<void> catalog_loop::wait(database* d, base::time_point until) {
    if (!d->reader) {
        co_await sleep(d, until);
        co_return;
    }
    d->waits = true;
    auto const told = co_await d->reader->wait_for_change(until);
    d->waits = false;
    if (!told) {
        d->reader.reset();
        want_reading(*d, "reconnect");
    } else if (!told->empty()) {
        d->in_vain = 0;
        d->stale = true;
        d->told.add(*told);
    }
}

/// Finds out whether a reading is worth while. Without a connection the reading itself finds out.
pg::task<void> catalog_loop::look(database* d) {
    if (!d->reader) {
        want_reading(*d, "reconnect");
        co_return;
    }
    auto const moved = co_await d->reader->moved(base::steady::now() + settings_.answer_timeout);
    d->next_look = base::steady::now() + pause_between_looks(*d);
    if (!moved) {
        d->reader.reset();
        want_reading(*d, "reconnect");
    } else if (*moved) {
        want_reading(*d, "counters");
    }
}

/// For statements that failed: what has to do with the names in them. Where that cannot be told, they wait for a reading of everything.
pg::task<void> catalog_loop::look_up(database* d) {
    auto waiting = std::exchange(d->looks, {});
    std::vector<std::string> names;
    for (auto const& it : waiting) names.insert(names.end(), it.about.begin(), it.about.end());
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    d->current = std::move(waiting);
    auto found = pg::result<catalog_reader::reading>{catalog_reader::nothing()};
    if (d->reader) found = co_await d->reader->read_called(d->schema, std::move(names), base::steady::now() + settings_.answer_timeout);
    if (found && found->schema) {
        d->schedule.on_loaded(found->took, base::steady::now(), false);
        ++d->loads;
        bool const changed = found->changed > 0;
        accept(*d, *found, "failure");
        if (changed) want_reading(*d, "failure");
        co_return;
    }
    if (!found) d->reader.reset();
    auto left = std::exchange(d->current, {}); // some were answered meanwhile, as their time was over
    d->next.insert(d->next.begin(), std::make_move_iterator(left.begin()), std::make_move_iterator(left.end()));
    d->look_everywhere = true;
    note_cause(*d, "failure");
}

/// `parts`: only what the trigger told of; who waits for everything waits on.
pg::task<void> catalog_loop::reload(database* d, bool parts) {
    auto what = std::exchange(d->told, {});
    std::string_view cause{"trigger"};
    if (parts) {
        d->stale = d->look_everywhere;
    } else {
        if (!what.empty()) note_cause(*d, cause);
        cause = std::exchange(d->cause, {});
        d->current = std::exchange(d->next, {});
        d->stale = false;
        what.anything = what.anything || std::exchange(d->look_everywhere, false);
    }
    d->parts_were_last = parts;
    auto outcome = co_await read(d, std::move(what));
    bool const unknown = outcome && (!d->schema || d->schema->current().identity() != outcome->schema->identity());
    if (unknown && store_) co_await restore(d, &*outcome);
    auto const now = base::steady::now();
    ++d->loads;
    if (outcome) {
        d->schedule.on_loaded(outcome->took, now, outcome->complete);
        accept(*d, *outcome, cause);
    } else {
        on_failed(*d, outcome.error());
    }
    d->next_look = now + pause_between_looks(*d);
}

/// One reading, over the connection that is there or a new one. A connection that turns out to be broken (the server
/// restarted, somebody terminated it) is replaced once.
pg::task<pg::result<catalog_reader::reading>> catalog_loop::read(database* d, changed_objects what) {
    auto const before = d->schema ? d->schema->versions().back() : nullptr;
    bool const reused = d->reader != nullptr;
    if (!reused) {
        auto const opened = co_await open(d);
        if (!opened) co_return opened.error();
    }
    // The first reading of a large catalog may take long; a later one that takes far longer than the last hangs.
    auto const patience = before ? std::clamp<base::duration>(10 * d->last_took, settings_.answer_timeout,
                                                              std::max(settings_.answer_timeout, settings_.load_timeout))
                                 : base::duration{settings_.load_timeout};
    auto found = co_await d->reader->read(before, what, base::steady::now() + patience);
    bool const again = !found && reused && found.error().code == base::errc::connection_lost;
    if (again) {
        auto const opened = co_await open(d);
        if (!opened) co_return opened.error();
        found = co_await d->reader->read(before, what, base::steady::now() + patience);
    }
    // An expression of an index that is being dropped cannot be printed (internal_error): that is no reason to wait.
    if (!found && found.error().sqlstate == "XX000" && d->reader && d->reader->is_open())
        found = co_await d->reader->read(before, what, base::steady::now() + patience);
    if (!found) d->reader.reset();
    co_return found;
}

namespace {

/// A refusal that is the backend's own fault counts; any other shows that it answers.
void tell_breaker(backend::shared_breaker& breaker, backend::breaker::call call, pg::result<void> const& opened, base::time_point began) {
    auto const now = base::steady::now();
    auto const healthy = opened || opened.error().code == base::errc::invalid_input ||
                         (!opened.error().sqlstate.empty() &&
                          backend::fault_of_sqlstate(opened.error().sqlstate, {}, backend::phase::login) != backend::fault::backend);
    if (healthy) breaker.succeeded(call, now - began, true, now);
    else breaker.failed(call, opened.error().text, now);
}

} // namespace

pg::task<pg::result<void>> catalog_loop::open(database* d) {
    d->reader.reset();
    auto const login = login_parameters(settings_, d->name);
    if (!login) {
        pg::error e{login.error().code, {}, login.error().text};
        co_return e;
    }
    auto reader = std::make_unique<catalog_reader>(io_);
    auto const version = settings_version_;
    auto const deadline = base::steady::now() + settings_.backend.connect_timeout;
    auto* const breaker = settings_.breaker;
    auto const began = base::steady::now();
    auto const call = breaker != nullptr ? breaker->admit(began) : std::optional<backend::breaker::call>{};
    if (breaker != nullptr && !call) {
        pg::error refused{base::errc::timeout, "57P03", "the circuit breaker \"" + breaker->name() + "\" is open"};
        co_return refused;
    }
    auto const opened = co_await reader->open(*login, settings_.load_timeout, settings_.listens, deadline);
    if (breaker != nullptr) tell_breaker(*breaker, *call, opened, began);
    if (!opened) co_return opened.error();
    d->reader = std::move(reader);
    d->reader_settings = version;
    co_return pg::result<void>{};
}

/// Published and answered first: what is written to the log takes longer.
void catalog_loop::accept(database& d, catalog_reader::reading const& r, std::string_view cause) {
    auto const before = d.schema;
    auto const now = microseconds_since_1970();
    d.schema = catalog::history::with(before, r.schema, now, limits());
    d.last_took = r.took;
    bool const changed = d.schema != before;
    auto const kept = catalog::history::within(d.schema, now, limits());
    bool const forgot = kept != d.schema;
    d.schema = kept;
    if (changed || forgot || !d.was_published) published_.publish(d.name, d.schema);
    d.was_published = true;
    answer_all(d.current, {d.schema, {}, r.complete, changed});
    d.in_vain = changed ? 0 : d.in_vain + (cause == "counters");
    if (before && before->current().identity() != r.schema->identity()) {
        d.namesake.clear();
        for (std::size_t i = 0; i < before->versions().size(); ++i)
            d.namesake.push_back({before->versions()[i], before->steps()[i]->generation, before->steps()[i]->at});
    }
    if (d.problem) base::log(base::log_level::info, "catalog.available", {{"database", d.name}});
    d.problem.reset();
    if (changed && d.kept && *d.kept == r.schema->identity())
        store_->save(d.name, d.schema, {std::string{cause}, d.reader ? d.reader->who() : std::string{}});
    if (forgot) base::log(base::log_level::info, "schema.forgotten", {{"database", d.name}, {"versions", d.schema->versions().size()}});
    tell(d, r, cause, changed && before);
    if (d.reader) d.reader->forget_who();
    if (!d.namesake.empty()) consider_adoption(d, std::exchange(d.namesake, {}));
    adopt_if_approved(d);
}

void catalog_loop::tell(database const& d, catalog_reader::reading const& r, std::string_view cause, bool changed) const {
    auto const level = changed ? base::log_level::info : base::log_level::debug;
    if (!base::log_enabled(level)) return;
    auto const& step = *d.schema->steps().back();
    auto const relations = r.schema->relations().size();
    auto const fingerprint = catalog::fingerprint(*r.schema);
    if (!changed) {
        base::log(level, "catalog.loaded",
                  {{"database", d.name}, {"version", step.generation}, {"relations", relations}, {"fingerprint", fingerprint},
                   {"cause", cause}, {"duration_us", in_microseconds(r.took)}});
        return;
    }
    base::log(level, "schema.changed",
              {{"database", d.name}, {"version", step.generation}, {"severity", catalog::to_text(catalog::worst(step.changes))},
               {"changes", catalog::summary(step.changes)}, {"count", step.changes.size()}, {"relations", relations},
               {"lineage", step.everything ? "ended" : "continues"}, {"fingerprint", fingerprint}, {"cause", cause},
               {"by", d.reader ? std::string_view{d.reader->who()} : std::string_view{}}, {"duration_us", in_microseconds(r.took)}});
    // Verdicts die when they are next asked for, if they rest on one of these names; all others stay.
    std::string names;
    for (std::size_t i = 0; i < step.names.size() && names.size() < 500; ++i) names += (i == 0 ? "" : ", ") + step.names[i];
    base::log(level, "cache.invalidated",
              {{"database", d.name}, {"version", step.generation}, {"everything", step.everything}, {"count", step.names.size()}, {"names", names}});
}

/// What waits for the reading that failed is answered, and what came meanwhile too: it would have to wait for the pause.
void catalog_loop::on_failed(database& d, pg::error const& e) {
    auto const now = base::steady::now();
    d.schedule.on_failed(now, std::generate_canonical<double, 16>(luck_));
    d.problem = e;
    want_reading(d, "reconnect");
    auto const pause = std::chrono::duration_cast<std::chrono::milliseconds>(d.schedule.earliest() - now);
    base::log(base::log_level::warning, "catalog.unavailable",
              {{"database", d.name}, {"problem", e.text}, {"sqlstate", e.sqlstate}, {"retry_ms", pause.count()}});
    answer_all(d.current, {nullptr, e.text});
    answer_all(d.next, {nullptr, e.text});
    answer_all(d.looks, {nullptr, e.text});
}

} // namespace pgmend::control
