#include "catalog_loop.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace pgmend::control {

namespace {

/// A flood of logins to databases that do not exist must not fill the memory.
constexpr std::size_t most_unknown_databases = 1000;

} // namespace

catalog_loop::catalog_loop(boost::asio::io_context& io, watcher_settings settings, publications& published, catalog::version_store* store)
    : io_{io}, settings_{std::move(settings)}, published_{published}, store_{store}, expiry_{io}, startup_wake_{io} {}

catalog_loop::~catalog_loop() = default;

void catalog_loop::start() { begin_startup(); }

void catalog_loop::watch(std::string const& name) {
    auto& d = find_or_add(name);
    ++d.watches;
    wake(d);
}

void catalog_loop::unwatch(std::string const& name) {
    auto const found = databases_.find(name);
    if (found == databases_.end() || found->second->watches == 0) return;
    auto& d = *found->second;
    --d.watches;
    if (d.watches == 0 && d.served) wake(d);
}

void catalog_loop::refresh(std::string const& name, std::vector<std::string> about, answer_type answer) {
    if (waiting_ >= settings_.most_waiting) {
        answer({nullptr, "too many statements wait for the catalog to be read"});
        return;
    }
    auto const now = base::steady::now();
    auto& d = find_or_add(name);
    if (d.schedule.backing_off(now)) {
        answer({nullptr, d.problem ? d.problem->text : "the catalog could not be read"});
        return;
    }
    auto const deadline = now + settings_.answer_timeout;
    if (!about.empty() && d.schema) {
        d.looks.push_back({std::move(answer), deadline, std::move(about)});
    } else {
        d.next.push_back({std::move(answer), deadline, {}});
        d.look_everywhere = true;
        if (d.cause.empty()) d.cause = "failure";
    }
    // All wait equally long, so while others wait the timer is set to an earlier time already.
    if (waiting_++ == 0) arm_expiry(deadline);
    wake(d);
}

/// Where nobody watches, the next one who does begins with a reading anyway.
void catalog_loop::hint_changed(std::string const& name) {
    auto const found = databases_.find(name);
    if (found == databases_.end()) return;
    auto& d = *found->second;
    want_reading(d, "statement");
    d.in_vain = 0;
    if (d.wants_reading()) wake(d);
}

void catalog_loop::reconfigure(watcher_settings settings) {
    if (settings == settings_) return;
    settings_ = std::move(settings);
    ++settings_version_;
    for (auto& [name, d] : databases_) {
        d->schedule.forget_failures();
        if (d->served) wake(*d);
    }
    begin_startup();
}

std::vector<watched_database> catalog_loop::describe() const {
    std::vector<watched_database> all;
    for (auto const& [name, d] : databases_) {
        all.push_back({
            .name = name,
            .watches = d->watches,
            .schema = d->schema,
            .loads = d->loads,
            .last_load = std::chrono::duration_cast<std::chrono::microseconds>(d->last_took),
            .lineage = d->lineage,
            .problem = d->problem ? d->problem->text : std::string{},
            .connected = d->reader && d->reader->is_open(),
        });
    }
    return all;
}

void catalog_loop::stop() {
    for (auto& [name, d] : databases_) {
        answer_all(d->current, {nullptr, "pgmend is stopping"});
        answer_all(d->next, {nullptr, "pgmend is stopping"});
        answer_all(d->looks, {nullptr, "pgmend is stopping"});
    }
}

catalog_loop::database& catalog_loop::find_or_add(std::string const& name) {
    if (auto const found = databases_.find(name); found != databases_.end()) return *found->second;
    if (databases_.size() >= most_unknown_databases) forget_idle_unknown();
    return *databases_.emplace(name, std::make_unique<database>(io_, name)).first->second;
}

void catalog_loop::forget_idle_unknown() {
    auto const now = base::steady::now();
    std::erase_if(databases_, [&](auto const& entry) {
        auto const& d = *entry.second;
        return !d.served && !d.schema && d.watches == 0 && !d.schedule.backing_off(now);
    });
}

/// An answer may ask again at once, so nothing here is used after the last one was given.
void catalog_loop::answer_all(std::deque<waiting_answer>& waiting, catalog::schema_answer const& with) {
    auto const all = std::exchange(waiting, {});
    waiting_ -= all.size();
    for (auto const& w : all) w.answer(with);
}

void catalog_loop::answer_late() {
    auto const now = base::steady::now();
    std::deque<waiting_answer> late;
    std::optional<base::time_point> earliest;
    for (auto& [name, d] : databases_) {
        for (auto* waiting : {&d->current, &d->next, &d->looks}) {
            while (!waiting->empty() && waiting->front().deadline <= now) {
                late.push_back(std::move(waiting->front()));
                waiting->pop_front();
            }
            if (!waiting->empty()) earliest = std::min(earliest.value_or(waiting->front().deadline), waiting->front().deadline);
        }
    }
    if (earliest) arm_expiry(*earliest);
    answer_all(late, {nullptr, fmt::format("the catalog could not be read within {} ms", settings_.answer_timeout.count())});
}

void catalog_loop::arm_expiry(base::time_point earliest) {
    expiry_.expires_at(earliest);
    expiry_.async_wait([this](boost::system::error_code failed) {
        if (!failed && expiry_.expiry() <= base::steady::now()) answer_late();
    });
}

} // namespace pgmend::control
