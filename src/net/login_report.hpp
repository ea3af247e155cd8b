// What one attempt to log in at a server tells its breakers.
#pragma once

#include "pgmend/backend/fault.hpp"
#include "pgmend/net/backend_set.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgmend::net {

/// Exactly one outcome, whatever becomes of the session: a report that ends without one gives its place back. Owned by the
/// session's coroutine.
class login_report {
  public:
    /// Nothing: one of the server's breakers does not let it through. `always`: it goes through, and does not count then.
    static std::optional<login_report> begin(std::shared_ptr<server_state> server, bool alone, bool always) {
        auto const now = base::steady::now();
        auto connecting = server->connecting.admit(now);
        if (!connecting && always) connecting.emplace();
        if (!connecting) return std::nullopt;
        auto statements = server->statements.admit(now);
        if (!statements && always) statements.emplace();
        if (!statements) {
            server->connecting.abandoned(*connecting);
            return std::nullopt;
        }
        return login_report{std::move(server), *connecting, *statements, alone, now};
    }

    login_report(login_report&& other) noexcept = default;
    login_report& operator=(login_report&&) = delete;
    ~login_report() {
        if (server_ && !settled_) give_back();
    }

    [[nodiscard]] bool probe() const { return connecting_.probe || statements_.probe; }

    /// The server has begun to answer.
    void answered() {
        if (std::exchange(settled_, true)) return;
        auto const now = base::steady::now();
        server_->heard(now);
        server_->connecting.succeeded(connecting_, now - began_, alone_, now);
        if (statements_.probe) server_->statements.succeeded(statements_, base::duration{0}, alone_, now);
    }

    void failed(backend::fault whose, std::string reason) {
        if (whose == backend::fault::client || whose == backend::fault::statement) return answered(); // somebody must have said so
        auto const now = base::steady::now();
        if (whose == backend::fault::backend && settled_) return server_->connecting.failed_meanwhile(std::move(reason), now);
        if (std::exchange(settled_, true)) return;
        if (whose == backend::fault::local) return give_back();
        server_->connecting.failed(connecting_, std::move(reason), now);
        server_->statements.abandoned(statements_);
    }

  private:
    login_report(std::shared_ptr<server_state> server, backend::breaker::call connecting, backend::breaker::call statements, bool alone, base::time_point now)
        : server_{std::move(server)}, connecting_{connecting}, statements_{statements}, alone_{alone}, began_{now} {}

    void give_back() {
        server_->connecting.abandoned(connecting_);
        server_->statements.abandoned(statements_);
    }

    std::shared_ptr<server_state> server_; ///< null: moved away
    backend::breaker::call connecting_;
    backend::breaker::call statements_;
    bool alone_;
    bool settled_{false};
    base::time_point began_;
};

} // namespace pgmend::net
