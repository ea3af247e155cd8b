#include "values.hpp"

#include "pgmend/config/address.hpp"
#include "pgmend/config/connection_string.hpp"
#include "pgmend/config/suggestion.hpp"
#include "pgmend/yaml/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace pgmend::config {
namespace {

using std::chrono::milliseconds;
using answer = base::result<key_value>;
using yaml::node;
using yaml::node_kind;

constexpr yaml::unit byte_units[] = {{"B", 1}, {"KiB", 1U << 10}, {"MiB", 1U << 20}, {"GiB", 1U << 30}};

struct word_pair {
    std::string_view text;
    bool meaning;
};
constexpr word_pair booleans[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true}, {"off", false}};

base::error wrong(std::string text) { return base::fail(base::errc::invalid_input, std::move(text)); }

std::string show_bytes(std::uint64_t n) {
    auto best = byte_units[0];
    for (auto const& u : byte_units)
        if (n % u.size == 0) best = u;
    return fmt::format("{}{}", n / best.size, best.name);
}

answer number_value(key const& k, std::string_view shown, std::string_view text) {
    auto const n = yaml::digits(text);
    if (!n || *n < k.least || *n > k.most)
        return wrong(fmt::format("{} must be a whole number from {} to {}, not {}", shown, k.least, k.most, in_quotes(text)));
    return key_value{*n};
}

answer bytes_value(key const& k, std::string_view shown, std::string_view text) {
    auto m = yaml::split_measure(text);
    if (m.unit_name.empty()) m.unit_name = "B";
    bool const known = std::any_of(std::begin(byte_units), std::end(byte_units), [&](yaml::unit const& u) { return u.name == m.unit_name; });
    if (!m.number || !known)
        return wrong(fmt::format("{} must be a size such as 64KiB (B, KiB, MiB, GiB), not {}", shown, in_quotes(text)));
    auto const size = yaml::in_units(m, byte_units);
    if (!size || *size < k.least || *size > k.most)
        return wrong(fmt::format("{} must be from {} to {}, not {}", shown, show_bytes(k.least), show_bytes(k.most), in_quotes(text)));
    return key_value{*size};
}

answer duration_value(key const& k, std::string_view shown, std::string_view text) {
    bool const whole_seconds = k.type == key_type::seconds;
    auto const m = yaml::split_measure(text);
    if (m.number && m.unit_name.empty())
        return wrong(fmt::format("{} has no unit: write {}{} if it is {} (ms, s, m or h)", shown, *m.number,
                                 whole_seconds ? "s" : "ms", whole_seconds ? "seconds" : "milliseconds"));
    auto const units = yaml::time_units();
    bool const known = std::any_of(units.begin(), units.end(), [&](yaml::unit const& u) { return u.name == m.unit_name; });
    if (!m.number || !known)
        return wrong(fmt::format("{} must be a duration such as {} (ms, s, m, h), not {}", shown, k.usual.empty() ? "5s" : k.usual, in_quotes(text)));
    auto const ms = yaml::in_units(m, units);
    if (!ms || *ms < k.least || *ms > k.most)
        return wrong(fmt::format("{} must be from {} to {}, not {}", shown, yaml::show_duration(milliseconds{k.least}),
                                 yaml::show_duration(milliseconds{k.most}), in_quotes(text)));
    if (whole_seconds && *ms % 1000 != 0) return wrong(fmt::format("{} must be whole seconds, not {}", shown, in_quotes(text)));
    return key_value{milliseconds{*ms}};
}

answer percentage_value(std::string_view shown, std::string_view text) {
    auto const bare = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
    auto const n = yaml::digits(bare);
    if (n && bare.size() == text.size()) return wrong(fmt::format("{} has no unit: write {}% if it is a percentage", shown, *n));
    if (!n || *n > 100) return wrong(fmt::format("{} must be from 0% to 100%, not {}", shown, in_quotes(text)));
    return key_value{static_cast<double>(*n) / 100};
}

answer choice_value(key const& k, std::string_view shown, std::string_view text) {
    auto const same = [](char a, char b) { return a == b || (a == '_' && b == '-'); }; // verify_ca is verify-ca
    for (std::size_t i = 0; i < k.choices.size(); ++i)
        if (std::equal(text.begin(), text.end(), k.choices[i].begin(), k.choices[i].end(), same)) return key_value{std::uint64_t{i}};
    return wrong(fmt::format("{} must be {}, not {}{}", shown, yaml::any_of(k.choices), in_quotes(text),
                             k.because.empty() ? did_you_mean(text, k.choices) : fmt::format(": {}", k.because)));
}

answer boolean_value(std::string_view shown, std::string_view text) {
    for (auto const& b : booleans)
        if (b.text == text) return key_value{b.meaning};
    return wrong(fmt::format("{} must be true or false, not {}", shown, in_quotes(text)));
}

answer host_value(std::string_view shown, std::string_view text) {
    if (auto const comma = text.find(','); comma != std::string_view::npos) { // a list, as libpq's
        for (auto rest = text; !rest.empty();) {
            auto const end = std::min(rest.find(','), rest.size());
            if (auto one = host_value(shown, rest.substr(0, end)); !one) return one;
            if (end + 1 == rest.size()) return host_value(shown, {});
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return key_value{std::string{text}};
    }
    if (is_backend_host(text)) return key_value{std::string{text}};
    auto const colon = text.rfind(':');
    if (colon != std::string_view::npos && yaml::digits(text.substr(colon + 1)) && is_backend_host(text.substr(0, colon)))
        return wrong(fmt::format("{} must be without the port, which has a key of its own: not {}", shown, in_quotes(text)));
    return wrong(fmt::format("{} must be a host name, an IP address or the directory of a Unix socket, not {}", shown, in_quotes(text)));
}

answer scalar_value(key const& k, std::string_view shown, std::string const& text, std::filesystem::path const& directory) {
    switch (k.type) {
        case key_type::text:
            if (text.empty()) return wrong(fmt::format("{} is empty", shown));
            return key_value{text};
        case key_type::path:
            if (text.empty()) return wrong(fmt::format("{} is empty", shown));
            if (text.starts_with("postgresql://") || text.starts_with("postgres://")) return key_value{text}; // where a path may be one
            return key_value{(directory / text).string()};
        case key_type::connection:
            if (auto mistake = connection_string_mistake(text)) return wrong(fmt::format("{}: {}", shown, *mistake));
            return key_value{text};
        case key_type::listen_address:
            if (is_listen_address(text)) return key_value{text};
            return wrong(fmt::format("{} must be an IP address, * or localhost, not {}", shown, in_quotes(text)));
        case key_type::backend_host: return host_value(shown, text);
        case key_type::boolean: return boolean_value(shown, text);
        case key_type::number: return number_value(k, shown, text);
        case key_type::bytes: return bytes_value(k, shown, text);
        case key_type::seconds:
        case key_type::milliseconds: return duration_value(k, shown, text);
        case key_type::number_or_duration: return yaml::digits(text) ? number_value(k, shown, text) : duration_value(k, shown, text);
        case key_type::percentage: return percentage_value(shown, text);
        case key_type::choice: return choice_value(k, shown, text);
        case key_type::texts:
        case key_type::paths:
        case key_type::paths_or_mapping:
        case key_type::mapping:
        case key_type::list_of_mappings: break;
    }
    return key_value{};
}

} // namespace

answer parse_value(key const& k, std::string_view shown, yaml::node const& value, std::filesystem::path const& directory) {
    bool const is_path = k.type == key_type::paths || k.type == key_type::paths_or_mapping;
    if (k.type == key_type::texts || (is_path && value.kind == node_kind::sequence)) {
        bool const good = value.kind == node_kind::sequence && std::all_of(value.items.begin(), value.items.end(), [](yaml::node_pointer const& i) {
            return i->kind == node_kind::scalar && !i->text.empty();
        });
        if (!good) return wrong(fmt::format("{} must be a list of texts", shown));
        std::vector<std::string> list;
        for (auto const& item : value.items) list.push_back(is_path ? (directory / item->text).string() : item->text);
        return key_value{std::move(list)};
    }
    if (value.kind == node_kind::null) return wrong(fmt::format("{} has no value", shown));
    if (value.kind != node_kind::scalar) return wrong(fmt::format("{} must be a single value, not {}", shown, kind_name(value.kind)));
    if (is_path && value.text.empty()) return wrong(fmt::format("{} is empty", shown));
    if (is_path) return key_value{std::vector{(directory / value.text).string()}};
    return scalar_value(k, shown, value.text, directory);
}

} // namespace pgmend::config
