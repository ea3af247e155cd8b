// The catalog watcher's settings, from those of the whole.
#pragma once

#include "pgmend/config/settings.hpp"
#include "pgmend/control/backend_monitor.hpp"
#include "pgmend/control/settings.hpp"
#include "pgmend/net/services.hpp"

#include <string_view>

namespace pgmend::app {

/// `primary`: the name of the server that is the primary now; empty: not known.
[[nodiscard]] inline control::watcher_settings watcher_settings_of(config::settings const& from, std::string_view primary = {}) {
    control::watcher_settings watcher;
    watcher.connection = from.control.value_or("");
    watcher.backend = from.backends.front();
    for (auto const& each : from.backends)
        if (each.name == primary) watcher.backend = each;
    watcher.poll_every = from.watch.poll;
    watcher.verify_every = from.watch.verify;
    watcher.keep_versions = from.watch.keep_versions;
    watcher.keep_for = from.watch.keep_for;
    watcher.listens = from.watch.notifications;
    return watcher;
}

[[nodiscard]] inline control::monitor_settings monitor_settings_of(config::settings const& from, net::live_settings const& live) {
    return {live.servers, from.control.value_or(""), from.health, from.routing.read_only_to_replica && live.servers.size() > 1};
}

} // namespace pgmend::app
