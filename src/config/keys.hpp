// The table of everything a configuration file may say. Checks, suggestions and documentation come from it.
#pragma once

#include "pgmend/config/settings.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgmend::config {

enum class key_type : std::uint8_t {
    mapping,
    list_of_mappings,
    text,
    path,              ///< a file; relative to the configuration file's directory
    connection,        ///< a libpq connection string: secret
    listen_address,
    backend_host,
    texts,             ///< a list of texts
    paths,             ///< a file or directory, or a list of them; relative to the configuration file's directory
    paths_or_mapping,  ///< paths, or a mapping of more
    boolean,
    number,            ///< a whole number from `least` to `most`
    bytes,             ///< a size; a bare number is bytes; `least` and `most` in bytes
    seconds,           ///< a duration of whole seconds; `least` and `most` in milliseconds
    milliseconds,      ///< a duration; `least` and `most` in milliseconds
    number_or_duration,
    percentage,
    choice,            ///< one of `choices`
};

/// Which alternative a type has: text, path, connection, addresses, hosts: string; boolean: bool; number,
/// bytes, choice (index): uint64; durations: milliseconds; percentage: double (0 to 1); paths: a list of strings; the rest: monostate.
using key_value = std::variant<std::monostate, std::string, bool, std::uint64_t, std::chrono::milliseconds, double, std::vector<std::string>>;

/// Where a key's value goes.
struct destination {
    settings* all{nullptr};
    net::backend_settings* backend{nullptr}; ///< inside backends[]
    net::tls_settings* tls{nullptr};         ///< inside a tls mapping
    healing::evidence evidence{};            ///< inside healing.policy.<evidence>
};

struct key {
    std::string_view group; ///< the mapping it stands in: "" at the top, "listen", "tls", …
    std::string_view name;
    key_type type{key_type::text};
    std::string_view usual; ///< the default, as it would be written
    std::string_view help;
    void (*apply)(destination&, key_value&){nullptr}; ///< null: known, but without effect in this version
    std::string_view children{};                      ///< of a mapping: the group of its keys
    std::span<std::string_view const> choices{};
    std::uint64_t least{0};
    std::uint64_t most{std::numeric_limits<std::uint32_t>::max()};
    std::string_view harmless{}; ///< of a key without effect: the value that describes what happens anyway
    std::string_view because{};  ///< of a choice: why no other value will do
};

[[nodiscard]] std::span<key const> all_keys();
[[nodiscard]] key const* find_key(std::string_view group, std::string_view name);
[[nodiscard]] std::vector<std::string_view> names_in(std::string_view group);

} // namespace pgmend::config
