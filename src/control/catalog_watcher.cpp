#include "pgmend/control/catalog_watcher.hpp"

#include "catalog_loop.hpp"
#include "publications.hpp"

#include "pgmend/base/log.hpp"

#include <boost/asio/post.hpp>

#include <exception>
#include <utility>

namespace pgmend::control {

catalog_watcher::catalog_watcher(watcher_settings settings, catalog::version_store* store)
    : published_{std::make_unique<publications>()}, work_{io_.get_executor()},
      loop_{std::make_unique<catalog_loop>(io_, std::move(settings), *published_, store)} {}

catalog_watcher::~catalog_watcher() { stop(); }

/// Posts `f` to the thread, unless the watcher has stopped: false then.
template <class F>
bool catalog_watcher::hand_over(F f) {
    std::lock_guard const lock{stopping_};
    if (stopped_) return false;
    boost::asio::post(io_, std::move(f));
    return true;
}

void catalog_watcher::decide_with(base::published<learning::pattern_book> const& book, learning::observer& tell) {
    loop_->decide_with(book, tell);
}

void catalog_watcher::start() {
    hand_over([this] { loop_->start(); });
    thread_ = std::thread{[this] { run(); }};
}

void catalog_watcher::run() {
    for (;;) {
        try {
            io_.run();
            return;
        } catch (std::exception const& e) { // out of memory, most likely: the proxy goes on without
            base::log(base::log_level::error, "catalog.unavailable", {{"problem", e.what()}});
        }
    }
}

void catalog_watcher::stop() {
    {
        std::lock_guard const lock{stopping_};
        if (stopped_) return;
        stopped_ = true;
        // Everything that was handed over comes before this, so nothing is left unanswered.
        boost::asio::post(io_, [this] {
            loop_->stop();
            io_.stop();
        });
    }
    if (thread_.joinable()) thread_.join();
    else run();
}

void catalog_watcher::reconfigure(watcher_settings settings) {
    hand_over([this, settings = std::move(settings)] { loop_->reconfigure(settings); });
}

void catalog_watcher::describe(std::function<void(std::vector<watched_database>)> answer) {
    if (!hand_over([this, answer] { answer(loop_->describe()); })) answer({});
}

void catalog_watcher::watch(std::string const& database) {
    hand_over([this, database] { loop_->watch(database); });
}

void catalog_watcher::unwatch(std::string const& database) {
    hand_over([this, database] { loop_->unwatch(database); });
}

void catalog_watcher::refresh(std::string const& database, std::vector<std::string> about, std::function<void(catalog::schema_answer)> answer) {
    if (!hand_over([this, database, about = std::move(about), answer]() mutable { loop_->refresh(database, std::move(about), answer); })) answer({nullptr, "pgmend is stopping"});
}

std::shared_ptr<base::published<catalog::history> const> catalog_watcher::published(std::string const& database) {
    return published_->of(database);
}

void catalog_watcher::hint_changed(std::string const& database) {
    hand_over([this, database] { loop_->hint_changed(database); });
}

} // namespace pgmend::control
