// The HTTP side of the console: metrics, health, the tables as JSON, and the page.
#pragma once

#include "pgmend/admin/console.hpp"
#include "pgmend/base/error.hpp"
#include "pgmend/net/settings.hpp"

#include <memory>

namespace pgmend::admin {

/// A thread of its own, so that a scrape is answered while workers drain, and takes no time from them. At most `most_connections` at once,
/// each with a time limit for every step.
class http_server {
  public:
    static constexpr unsigned most_connections = 64;

    /// `from` must outlive this.
    http_server(console_sources const& from, net::http_settings settings);
    ~http_server(); ///< stops

    /// Binds and begins to answer. Errors name the address.
    [[nodiscard]] base::result<void> start();
    void stop();
    [[nodiscard]] std::uint16_t port() const; ///< that it listens on

  private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace pgmend::admin
