#include "pgmend/app/serve.hpp"

#include "folder_watch.hpp"
#include "learned.hpp"
#include "session_list.hpp"
#include "watching.hpp"

#include "pgmend/admin/console.hpp"
#include "pgmend/admin/http_server.hpp"
#include "pgmend/admin/observatory.hpp"
#include "pgmend/app/log_sink.hpp"
#include "pgmend/base/log.hpp"
#include "pgmend/config/load.hpp"
#include "pgmend/config/rule_files.hpp"
#include "pgmend/control/backend_monitor.hpp"
#include "pgmend/control/breaker_memory.hpp"
#include "pgmend/control/catalog_watcher.hpp"
#include "pgmend/control/drift_book.hpp"
#include "pgmend/control/learner.hpp"
#include "pgmend/control/rule_check.hpp"
#include "pgmend/net/io_context.hpp"
#include "pgmend/net/listener.hpp"
#include "pgmend/net/services.hpp"
#include "pgmend/net/worker.hpp"
#include "pgmend/store/postgres_store.hpp"
#include "pgmend/store/sqlite_store.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <future>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

namespace pgmend::app {
namespace {

namespace asio = boost::asio;
using base::log_level;
using net::io_task;

base::result<std::shared_ptr<net::live_settings const>> make_live(config::settings const& from, net::backend_set& backends) {
    auto live = std::make_shared<net::live_settings>();
    live->listen = from.listen;
    live->routing = from.routing;
    live->health = from.health;
    live->limits = from.limits;
    live->healing = from.healing;
    live->statements = from.log.statements;
    live->admin = from.admin;
    auto client_tls = net::make_server_context(from.listen.tls);
    if (!client_tls) return base::fail(client_tls.error().code, "listen.tls: " + client_tls.error().text);
    live->client_tls = *client_tls;
    for (auto const& each : from.backends) {
        auto tls = net::make_client_context(each.tls);
        if (!tls) return base::fail(tls.error().code, "backends[].tls: " + tls.error().text);
        live->servers.push_back(std::make_shared<net::backend_server const>(net::backend_server{each, *tls, backends.state_of(each.name)}));
    }
    return std::shared_ptr<net::live_settings const>{std::move(live)};
}

unsigned worker_count(config::settings const& from) {
    return from.workers != 0 ? from.workers : std::max(1u, std::thread::hardware_concurrency());
}

/// What tells this instance from others that share its store, the same after a restart.
std::string own_name(config::settings const& from) {
    char host[256] = {};
    if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    return fmt::format("{}:{}", host, from.listen.port);
}

/// Each client needs two descriptors; the soft limit is often 1024 where the hard one is far higher.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

/// What a store has kept of a statement, for the page and SHOW DRIFT.
telemetry::heal_record record_of(state::drift_row const& row) {
    telemetry::heal_record out;
    out.at = row.last_seen;
    out.database = row.database;
    out.user = row.user;
    out.application_name = row.application_name;
    out.fingerprint = row.fingerprint;
    out.outcome = row.outcome == state::drift_outcome::silent ? "drifted" : name_of(row.outcome);
    out.pattern = row.pattern;
    out.evidence = row.evidence;
    out.reason = row.reason;
    out.before = row.before;
    out.after = row.after;
    out.times = row.count;
    return out;
}

/// A file and the rules it names, with the flags on top: all that a reload reads.
struct everything {
    config::loaded configuration;
    config::loaded_rules rules;

    [[nodiscard]] bool ok() const { return configuration.ok() && rules.ok(); }
    [[nodiscard]] std::string problems() const { return config::format(configuration.problems) + config::format(rules.problems); }
};

std::chrono::sys_seconds today() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

/// The user's, and those that `pgmend learn` wrote.
config::loaded_rules all_rules(config::settings const& from, learned_memory& learned) {
    auto all = config::load_rule_files(from.rules, today());
    if (all.ok()) add_learned_rules(from, today(), all, learned);
    return all;
}

everything load_everything(serve_options const& options, learned_memory& learned) {
    everything out{effective_settings(options), {}};
    if (out.configuration.ok()) out.rules = all_rules(out.configuration.values, learned);
    return out;
}

/// What PAUSE and RESUME have said, for those who ask. Any thread.
class paused_databases {
  public:
    void add(std::string const& name) { // empty: all
        std::lock_guard const lock{mutex_};
        names_.insert(name);
    }
    void remove(std::string const& name) {
        std::lock_guard const lock{mutex_};
        if (name.empty()) names_.clear();
        else names_.erase(name);
    }
    [[nodiscard]] bool has(std::string const& name) const {
        std::lock_guard const lock{mutex_};
        return names_.contains({}) || names_.contains(name);
    }

  private:
    mutable std::mutex mutex_;
    std::set<std::string> names_;
};

/// Owns everything that lives as long as the process serves. The main thread: signals, accepting, reload.
class application {
  public:
    application(serve_options const& options, config::settings settings, config::loaded_rules rules, learned_memory learned,
                std::shared_ptr<net::live_settings const> live, std::shared_ptr<net::backend_set> backends, log_sink& log)
        : options_{options}, settings_{std::move(settings)}, learned_{std::move(learned)}, log_{log}, services_{std::move(live), std::move(backends)},
          learner_{services_.book, {.limits = settings_.patterns}}, observatory_{services_}, sources_{console_sources()}, console_{sources_}, listener_{context_.get_executor(), workers_}, rule_watch_{context_, [this] { reload_rules(); }} {
        publish_rules(std::move(rules));
        services_.observer = &learner_;
        services_.rooms.configure(settings_.limits);
        services_.admin = &console_;
        services_.drift = &drift_;
        if (!settings_.state.empty()) remember();
        if (settings_.control) {
            watcher_ = std::make_unique<control::catalog_watcher>(watcher_settings(settings_), versions_);
            watcher_->decide_with(services_.book, learner_);
            monitor_ = make_monitor();
            services_.schemas = watcher_.get();
            sources_.watcher = watcher_.get();
            console_.watch(watcher_.get());
            learner_.at_each_tidying([this] { show_schemas_to_learner(); });
        }
        for (unsigned i = 0; i < worker_count(settings_); ++i)
            workers_.push_back(std::make_unique<net::worker>(services_, i));
        services_.backends->breakers().listen([this](backend::shared_breaker& which, backend::breaker::transition const& what) {
            if (what.to == backend::breaker_state::open)
                for (auto const& worker : workers_) worker->breaker_opened(which);
        });
        if (services_.state != nullptr)
            control::remember_breakers(services_.backends->breakers(), *services_.state, shared_store_ ? own_name(settings_) : std::string{});
        if (!settings_.admin.http.address.empty()) http_ = std::make_unique<admin::http_server>(sources_, settings_.admin.http);
    }

    ~application() {
        // The workers' threads have ended. What is answered last goes to workers, and their sessions say good-bye to the watcher.
        ending_ = true;
        if (http_) http_->stop(); // it asks all of them
        learner_.stop();
        if (monitor_) monitor_->stop();
        if (watcher_) watcher_->stop();
        if (doubts_.joinable()) doubts_.join();
        if (store_) store_->stop(); // it answers the watcher
        if (shared_store_) shared_store_->stop();
        workers_.clear();
    }

    int run() {
        if (!refused_.empty()) {
            base::log(log_level::error, "proxy.failed", {{"reason", refused_}});
            return status_failure;
        }
        if (http_) {
            if (auto const started = http_->start(); !started) {
                base::log(log_level::error, "proxy.failed", {{"reason", started.error().text}});
                return status_failure;
            }
        }
        if (auto const opened = listener_.open(settings_.listen); !opened) {
            base::log(log_level::error, "proxy.failed", {{"reason", opened.error().text}});
            return status_failure;
        }
        log_.run_in_background();
        for (auto const& worker : workers_) worker->start();
        if (watcher_) watcher_->start();
        if (monitor_) monitor_->start();
        learner_.start();
        base::log(log_level::info, "proxy.started",
                  {{"version", PGMEND_VERSION},
                   {"address", settings_.listen.address},
                   {"port", settings_.listen.port},
                   {"backend", fmt::format("{}:{}", settings_.backends.front().host, settings_.backends.front().port)},
                   {"workers", workers_.size()},
                   {"healing", settings_.control.has_value()},
                   {"rules", services_.rules.get()->rules().size()}});
        asio::co_spawn(context_, handle_signals(), asio::detached);
        asio::co_spawn(context_, observe(), asio::detached);
        context_.run();
        base::log(log_level::info, "proxy.stopped", {{"reason", stop_reason_}});
        return status_ok;
    }

  private:
    /// What was decided before holds from the first statement on: so this waits for the store, but not for ever.
    void remember() {
        store::batch_settings batches;
        batches.breaker = &services_.backends->breakers().get(std::string{control::store_breaker}, base::steady::now());
        if (store::is_postgres(settings_.state)) {
            shared_store_ = std::make_unique<store::postgres_store>(settings_.state, batches);
            versions_ = shared_store_.get();
        } else {
            store_ = std::make_unique<store::sqlite_store>(settings_.state, batches);
            versions_ = store_.get();
        }
        services_.state = shared_store_ ? static_cast<state::store*>(shared_store_.get()) : store_.get();
        learner_.keep_in(services_.state);
        learner_.at_each_hand_on([this] { drift_.hand_on(*services_.state); });
        struct found {
            std::promise<base::result<std::vector<learning::pattern>>> patterns;
            std::promise<base::result<std::vector<state::drift_row>>> drift;
        };
        auto const answers = std::make_shared<found>();
        auto patterns = answers->patterns.get_future();
        auto drift = answers->drift.get_future();
        services_.state->load_patterns([answers](auto kept) { answers->patterns.set_value(std::move(kept)); });
        services_.state->load_drift([answers](auto kept) { answers->drift.set_value(std::move(kept)); });
        constexpr std::chrono::seconds most_patience{10};
        if (drift.wait_for(most_patience) != std::future_status::ready) {
            base::log(log_level::error, "state.failed", {{"problem", "it does not answer; what was decided before is not known"}});
            return;
        }
        if (auto const it = services_.state->now(); it.newer) refused_ = "state: " + it.problem;
        if (auto kept = patterns.get()) learner_.restore(std::move(*kept));
        if (auto kept = drift.get()) {
            for (auto const& row : *kept) services_.journal.restore(record_of(row), row.first_seen);
            drift_.restore(std::move(*kept));
        }
        if (shared_store_) shared_store_->follow([this](std::vector<learning::pattern> changed) { learner_.adopt(std::move(changed)); });
    }

    void show_schemas_to_learner() {
        watcher_->describe([this](std::vector<control::watched_database> const& databases) {
            std::vector<control::learner::named_schema> schemas;
            for (auto const& d : databases)
                if (d.schema) schemas.emplace_back(d.name, d.schema);
            learner_.schemas_are(std::move(schemas));
            doubt_rules(databases);
        });
    }

    io_task<> handle_signals() {
        for (bool draining = false;;) {
            auto const [failed, number] = co_await signals_.async_wait(net::use_io_tuple);
            if (failed) co_return;
            if (number == SIGHUP) {
                (void)reload();
            } else if (number == SIGTERM && !draining) {
                draining = true;
                services_.draining.store(true, std::memory_order_relaxed);
                stop_reason_ = "SIGTERM";
                listener_.close();
                for (auto const& worker : workers_) worker->drain();
                asio::co_spawn(context_, wait_for_sessions(), asio::detached);
            } else {
                stop_reason_ = number == SIGINT ? "SIGINT" : "second SIGTERM";
                end_now();
                co_return;
            }
        }
    }

    /// Once a second each worker is asked how it is; the observatory makes the last hour of it.
    io_task<> observe() {
        net::io_timer pause{context_.get_executor()};
        for (;;) {
            for (auto const& worker : workers_) worker->sample();
            pause.expires_after(std::chrono::seconds{1});
            co_await pause.async_wait(net::use_io_tuple);
            observatory_.tick(std::chrono::steady_clock::now(), std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
        }
    }

    /// Until no paused session has anything under way.
    io_task<> wait_for_pause(std::function<void(std::size_t)> answer) {
        net::io_timer pause{context_.get_executor()};
        for (;;) {
            struct progress {
                std::atomic<std::size_t> busy{0};
                std::atomic<std::size_t> replicating{0};
                std::atomic<std::size_t> answered{0};
            };
            auto const sum = std::make_shared<progress>();
            for (auto const& worker : workers_)
                worker->count_busy([sum](net::worker::pause_progress const& of_one) {
                    sum->busy += of_one.busy;
                    sum->replicating += of_one.replicating;
                    ++sum->answered;
                });
            do {
                pause.expires_after(std::chrono::milliseconds{5});
                co_await pause.async_wait(net::use_io_tuple);
            } while (sum->answered < workers_.size());
            if (sum->busy == 0) co_return answer(sum->replicating);
        }
    }

    /// Until no client is left, or the grace is over.
    io_task<> wait_for_sessions() {
        auto const until = std::chrono::steady_clock::now() + settings_.shutdown_grace;
        net::io_timer pause{context_.get_executor()};
        while (services_.clients.load(std::memory_order_relaxed) > 0 && std::chrono::steady_clock::now() < until) {
            pause.expires_after(std::chrono::milliseconds{20});
            co_await pause.async_wait(net::use_io_tuple);
        }
        end_now();
    }

    void end_now() {
        rule_watch_.stop();
        listener_.close();
        for (auto const& worker : workers_) worker->terminate();
        for (auto const& worker : workers_) worker->join();
        if (http_) http_->stop();
        context_.stop();
    }

    admin::console_sources console_sources() {
        admin::console_sources from;
        from.version = PGMEND_VERSION;
        from.services = &services_;
        from.learner = &learner_;
        from.sessions = [this](auto answer) { gather_sessions(workers_, std::move(answer)); };
        from.configuration = [this](auto answer) { asio::post(context_, [this, answer] { answer(config::summary_lines(settings_)); }); };
        from.observed = &observatory_;
        from.pause = [this](std::string database, std::function<void(std::size_t)> answer) {
            paused_.add(database);
            for (auto const& worker : workers_) worker->pause(database);
            asio::post(context_, [this, answer = std::move(answer)] { asio::co_spawn(context_, wait_for_pause(answer), asio::detached); });
        };
        from.resume = [this](std::string const& database) {
            paused_.remove(database);
            for (auto const& worker : workers_) worker->resume(database);
        };
        from.is_paused = [this](std::string const& database) { return paused_.has(database); };
        from.kill = [this](std::string const& database) {
            for (auto const& worker : workers_) worker->kill(database);
        };
        from.reload = [this](auto answer) { asio::post(context_, [this, answer] { answer(reload()); }); };
        from.shutdown = [] { (void)::kill(::getpid(), SIGTERM); };
        return from;
    }

    control::watcher_settings watcher_settings(config::settings const& from) {
        auto out = watcher_settings_of(from, primary_);
        out.breaker = &services_.backends->breakers().get("catalog", base::steady::now());
        return out;
    }

    /// Tells the others what it finds: the catalog is read where the primary is.
    std::unique_ptr<control::backend_monitor> make_monitor() {
        control::backend_monitor::callbacks tells;
        tells.primary_found = [this](std::shared_ptr<net::backend_server const> found) {
            asio::post(context_, [this, name = found->settings.name] {
                primary_ = name;
                watcher_->reconfigure(watcher_settings(settings_));
            });
        };
        tells.silence_began = [this] {
            for (auto const& worker : workers_) worker->silence_began();
        };
        auto const live = services_.settings.get();
        if (live->servers.size() > 1) services_.backends->set_all_asked(false);
        return std::make_unique<control::backend_monitor>(monitor_settings_of(settings_, *live), services_.backends, std::move(tells));
    }

    /// What is wrong with the files, if anything: then nothing was changed.
    std::string reload() {
        if (auto const reopened = log_.reopen(); !reopened)
            base::log(log_level::error, "log.failed", {{"reason", reopened.error().text}});
        auto all = load_everything(options_, learned_);
        auto const& loaded = all.configuration;
        auto const reject = [](std::string reason) {
            base::log(log_level::error, "config.rejected", {{"reason", reason}});
            return reason;
        };
        if (!all.ok()) return reject(all.problems());
        auto live = make_live(loaded.values, *services_.backends);
        if (!live) return reject(live.error().text);
        if (auto const applied = log_.apply(loaded.values.log); !applied) return reject(applied.error().text);
        base::set_log_sink(&log_, loaded.values.log.level);

        auto needed = config::restart_needed(settings_, loaded.values);
        if (watcher_ && loaded.values.control) watcher_->reconfigure(watcher_settings(loaded.values));
        if (monitor_ && loaded.values.control) monitor_->reconfigure(monitor_settings_of(loaded.values, **live));
        if (settings_.control.has_value() != loaded.values.control.has_value()) needed.emplace_back("control");
        services_.settings.publish(*live);
        services_.backends->breakers().configure(loaded.values.breaker, base::steady::now());
        services_.rooms.configure(loaded.values.limits);
        if (loaded.values.patterns != settings_.patterns) learner_.configure(loaded.values.patterns);
        auto const running = settings_; // what only a restart applies stays as it is, and is reported at each reload
        settings_ = loaded.values;
        settings_.listen.address = running.listen.address;
        settings_.listen.port = running.listen.port;
        settings_.workers = running.workers;
        settings_.state = running.state;
        settings_.control = running.control ? loaded.values.control : std::nullopt;
        std::string joined;
        for (auto const& key : needed) joined += (joined.empty() ? "" : ", ") + key;
        auto const warnings = all.problems();
        publish_rules(std::move(all.rules));
        base::log(needed.empty() && warnings.empty() ? log_level::info : log_level::warning, "config.reloaded",
                  {{"restart_needed_for", joined}, {"rules", services_.rules.get()->rules().size()}, {"warnings", warnings}});
        return {};
    }

    /// From here on statements begin with these.
    void publish_rules(config::loaded_rules loaded) {
        rejected_rules_.clear();
        if (loaded.rules != services_.rules.get()->rules())
            services_.rules.publish(std::make_shared<rules::rule_set const>(std::move(loaded.rules), ++rule_generation_));
        doubted_ = false;
        if (watcher_) watcher_->describe([this](std::vector<control::watched_database> databases) { doubt_rules(std::move(databases)); });
        rule_watch_.set(settings_.rules.watch ? std::move(loaded.folders) : std::vector<std::filesystem::path>{});
    }

    /// Once all databases have been read, and again after each reload: what the rules say that the databases do not bear out. That takes a while;
    /// a thread of its own finds out, and nobody waits for it.
    void doubt_rules(std::vector<control::watched_database> databases) {
        bool const all = std::none_of(databases.begin(), databases.end(), [](auto const& d) { return !d.schema && d.problem.empty(); });
        if (all && !databases.empty()) asio::post(context_, [this, databases = std::move(databases)] { begin_to_doubt(databases); });
    }

    void begin_to_doubt(std::vector<control::watched_database> databases) {
        auto const rules = services_.rules.get();
        if (doubted_ || rules->empty() || doubting_.exchange(true)) return;
        doubted_ = true;
        if (doubts_.joinable()) doubts_.join(); // it has ended
        doubts_ = std::thread{[this, rules, databases = std::move(databases), settings = watcher_settings_of(settings_, primary_)] {
            auto const found = control::check_rules(settings, *rules, databases, [this] { return ending_.load(); });
            if (!found.empty()) base::log(log_level::warning, "rules.doubtful", {{"count", found.size()}, {"reason", config::format(found)}});
            doubting_ = false;
        }};
    }

    /// A rule file was saved. A bad one changes nothing and is reported, once for each mistake.
    void reload_rules() {
        auto loaded = all_rules(settings_, learned_);
        auto const text = config::format(loaded.problems);
        if (!loaded.ok()) {
            if (text != rejected_rules_) base::log(log_level::error, "config.rejected", {{"reason", text}});
            rejected_rules_ = text;
            return;
        }
        bool const mended = !rejected_rules_.empty();
        auto const before = services_.rules.get();
        publish_rules(std::move(loaded));
        auto const after = services_.rules.get();
        if (after == before && !mended) return; // saved without a change
        base::log(text.empty() ? log_level::info : log_level::warning, "config.reloaded", {{"rules", after->rules().size()}, {"warnings", text}});
    }

    serve_options const& options_;
    config::settings settings_;
    learned_memory learned_;
    log_sink& log_;
    net::services services_;
    std::unique_ptr<store::sqlite_store> store_;           ///< or
    std::unique_ptr<store::postgres_store> shared_store_;
    catalog::version_store* versions_{nullptr};            ///< either; null: neither
    control::drift_book drift_;
    control::learner learner_;
    admin::observatory observatory_;
    admin::console_sources sources_; ///< the HTTP server's
    admin::console console_;
    std::unique_ptr<control::catalog_watcher> watcher_;
    std::unique_ptr<control::backend_monitor> monitor_;
    std::string primary_; ///< the server that the catalog is read from; empty: the first one
    paused_databases paused_;
    std::vector<std::unique_ptr<net::worker>> workers_;
    std::unique_ptr<admin::http_server> http_;
    asio::io_context context_{1};
    asio::basic_signal_set<net::io_executor> signals_{context_.get_executor(), SIGTERM, SIGINT, SIGHUP}; ///< kept from the start on: none may find the default action
    net::listener listener_;
    folder_watch rule_watch_;
    std::uint64_t rule_generation_{0};
    bool doubted_{false};                  ///< the rules as they are now have been looked at
    std::atomic<bool> doubting_{false};
    std::atomic<bool> ending_{false};
    std::thread doubts_;
    std::string rejected_rules_; ///< what was said of the files as they are now; empty: they are good
    std::string refused_; ///< why it does not start
    std::string_view stop_reason_;
};

} // namespace

int serve(serve_options const& options) {
    (void)std::signal(SIGHUP, SIG_IGN); // until the application hears it: a reload that comes this early reads the same files
    learned_memory learned;
    auto all = load_everything(options, learned);
    auto const& loaded = all.configuration;
    std::fputs(all.problems().c_str(), stderr);
    if (!all.ok()) return status_failure;
    auto const backends = std::make_shared<net::backend_set>();
    backends->breakers().configure(loaded.values.breaker, base::steady::now());
    auto live = make_live(loaded.values, *backends);
    if (!live) {
        fmt::print(stderr, "pgmend: {}\n", live.error().text);
        return status_failure;
    }
    if (auto const usable = store::is_postgres(loaded.values.state) ? base::result<void>{} : store::check_file(loaded.values.state); !usable) {
        fmt::print(stderr, "pgmend: {}\n", usable.error().text);
        return status_failure;
    }
    (void)std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL
    raise_descriptor_limit();
    log_sink log{loaded.values.log};
    base::set_log_sink(&log, loaded.values.log.level);
    int status = status_failure;
    {
        application proxy{options, loaded.values, std::move(all.rules), std::move(learned), *live, backends, log};
        status = proxy.run();
    }
    base::set_log_sink(nullptr, log_level::info);
    return status;
}

} // namespace pgmend::app
