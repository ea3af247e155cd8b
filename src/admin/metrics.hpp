// Everything that is measured, as Prometheus reads it.
#pragma once

#include "pgmend/admin/console.hpp"

#include <functional>
#include <string>

namespace pgmend::admin {

/// Answers on some thread, at once where nobody else has to be asked. `ready`: as /readyz says.
void write_metrics(console_sources const& from, bool open_metrics, bool ready, std::function<void(std::string)> answer);

} // namespace pgmend::admin
