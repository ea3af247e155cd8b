// The proxy as a process: wiring, signals, reload, shutdown.
#pragma once

#include "pgmend/app/options.hpp"

namespace pgmend::app {

/// Runs until a signal ends it. SIGTERM: no new clients, transactions may finish within shutdown_grace. SIGINT, or a second
/// SIGTERM: at once. SIGHUP: settings, certificates and the log file are read again; a bad file changes nothing.
/// Returns the exit status; problems of start-up have been printed to standard error.
[[nodiscard]] int serve(serve_options const& options);

} // namespace pgmend::app
