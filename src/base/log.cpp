#include "pgmend/base/log.hpp"

#include <atomic>

namespace pgmend::base {
namespace {

std::atomic<log_sink*> current_sink{nullptr};
std::atomic<log_level> lowest_level{log_level::info};

} // namespace

void set_log_sink(log_sink* sink, log_level lowest) noexcept {
    lowest_level.store(lowest, std::memory_order_relaxed);
    current_sink.store(sink, std::memory_order_release);
}

bool log_enabled(log_level level) noexcept {
    return level >= lowest_level.load(std::memory_order_relaxed) && current_sink.load(std::memory_order_acquire) != nullptr;
}

void log(log_level level, std::string_view event, std::span<log_field const> fields) {
    if (!log_enabled(level)) return;
    if (auto* sink = current_sink.load(std::memory_order_acquire)) sink->write(level, event, fields.data(), fields.size());
}

void log(log_level level, std::string_view event, std::initializer_list<log_field> fields) {
    log(level, event, std::span{fields.begin(), fields.size()});
}

} // namespace pgmend::base
