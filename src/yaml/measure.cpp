#include "pgmend/yaml/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace pgmend::yaml {
namespace {

constexpr unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

} // namespace

std::optional<std::uint64_t> digits(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    std::uint64_t value = 0;
    auto const parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    return parsed.ec == std::errc{} ? value : std::numeric_limits<std::uint64_t>::max();
}

measure split_measure(std::string_view text) {
    auto const end = std::min(text.find_first_not_of("0123456789"), text.size());
    auto name = text.substr(end);
    while (name.starts_with(' ')) name.remove_prefix(1);
    return {digits(text.substr(0, end)), name};
}

std::optional<std::uint64_t> in_units(measure m, std::span<unit const> units) {
    auto const u = std::find_if(units.begin(), units.end(), [&](unit const& x) { return x.name == m.unit_name; });
    if (!m.number || u == units.end() || *m.number > std::numeric_limits<std::uint64_t>::max() / 2 / u->size) return std::nullopt;
    return *m.number * u->size;
}

std::span<unit const> time_units() { return times; }

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    auto const ms = in_units(split_measure(text), times);
    return ms ? std::optional{std::chrono::milliseconds{*ms}} : std::nullopt;
}

std::string show_duration(std::chrono::milliseconds duration) {
    auto const ms = static_cast<std::uint64_t>(duration.count());
    auto best = times[0];
    for (auto const& u : times)
        if (ms != 0 && ms % u.size == 0) best = u;
    return ms == 0 ? "0s" : fmt::format("{}{}", ms / best.size, best.name);
}

} // namespace pgmend::yaml
