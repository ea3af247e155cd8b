// The servers behind pgmend, as all threads see them.
#pragma once

#include "pgmend/backend/selection.hpp"
#include "pgmend/backend/shared_breaker.hpp"
#include "pgmend/net/settings.hpp"
#include "pgmend/net/tls_context.hpp"
#include "pgmend/session/wish.hpp"

#include <boost/asio/generic/stream_protocol.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pgmend::net {

/// Which of the addresses of a name has answered last. Any thread.
class good_address {
  public:
    using endpoint = boost::asio::generic::stream_protocol::endpoint;

    void answered(endpoint const& at);
    /// To the front, if it is still among them, so that a dead one costs its timeout once and not each client.
    void prefer(std::vector<endpoint>& all) const;

  private:
    mutable std::mutex mutex_;
    std::optional<endpoint> last_;
};

/// What is known of one server, whatever the settings say of it at the moment. Written by the monitor (and the role by logins),
/// read by workers; each member for itself, any thread. Lives as long as the backend_set.
struct server_state {
    server_state(std::string its_name, backend::shared_breaker& of_connecting, backend::shared_breaker& of_statements)
        : name{std::move(its_name)}, connecting{of_connecting}, statements{of_statements} {}

    std::string const name;
    backend::shared_breaker& connecting; ///< from the first packet to the server's first answer; its name is the server's
    backend::shared_breaker& statements; ///< requests of sessions, and health checks; `<name>.statements`
    std::atomic<backend::server_role> role{backend::server_role::unknown};
    std::atomic<bool> read_only{false};
    std::atomic<bool> same_cluster{false}; ///< its system identifier was seen and is the others'
    std::atomic<std::int64_t> lag_ms{-1};  ///< -1: not known
    std::atomic<bool> silent{false};       ///< it has stopped answering health checks, and its breaker is open for that
    std::atomic<std::uint32_t> sessions{0};
    good_address address;
    std::atomic<base::duration::rep> heard_at{0}; ///< on base::steady: when it last answered a login or a health check; 0: never

    void heard(base::time_point now) {
        heard_at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        silent.store(false, std::memory_order_relaxed);
    }
    [[nodiscard]] base::duration unheard_for(base::time_point now) const {
        return now.time_since_epoch() - base::duration{heard_at.load(std::memory_order_relaxed)};
    }
    /// No breaker is open, and it has not stopped answering: somebody may be sent there.
    [[nodiscard]] bool seems_well() const { return connecting.closed() && statements.closed() && !silent.load(std::memory_order_relaxed); }
    [[nodiscard]] std::optional<std::chrono::milliseconds> lag() const {
        auto const ms = lag_ms.load(std::memory_order_relaxed);
        return ms < 0 ? std::nullopt : std::optional{std::chrono::milliseconds{ms}};
    }
};

/// One server of the settings. Immutable; sessions keep the one that they were connected with.
struct backend_server {
    backend_settings settings;
    tls_context tls; ///< null: off
    std::shared_ptr<server_state> state;
};

/// What the selection asks about a server.
[[nodiscard]] backend::candidate candidate_of(backend_server const& server);

/// All servers that were ever configured, and every breaker of the process. Any thread; the mutex is taken at start-up and at
/// reloads only.
class backend_set {
  public:
    backend_set();

    /// The state of the server with this name, a new one where there is none.
    [[nodiscard]] std::shared_ptr<server_state> state_of(std::string const& name);

    /// Whether every server was asked for its role at least once, or nobody asks.
    [[nodiscard]] bool all_asked() const { return all_asked_.load(std::memory_order_acquire); }
    void set_all_asked(bool asked) { all_asked_.store(asked, std::memory_order_release); }

    /// What the servers' catalog says of sessions that begin read-only; asked where settings want to know.
    using defaults = std::vector<session::read_only_default>;
    [[nodiscard]] std::shared_ptr<defaults const> read_only_defaults() const;
    void set_read_only_defaults(defaults now);

    [[nodiscard]] backend::breaker_registry& breakers() { return breakers_; }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<defaults const> read_only_defaults_{std::make_shared<defaults const>()};
    backend::breaker_registry breakers_;
    std::atomic<bool> all_asked_{true};
    std::map<std::string, std::shared_ptr<server_state>> states_;
};

} // namespace pgmend::net
