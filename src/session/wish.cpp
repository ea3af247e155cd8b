#include "pgmend/session/wish.hpp"

#include "pgmend/sql/characters.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::session {
namespace {

/// PostgreSQL's pg_split_opts: white space separates, a backslash escapes.
std::vector<std::string> split_options(base::byte_view text) {
    std::vector<std::string> out;
    std::string word;
    bool begun = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char const c = text[i];
        bool const space = c == ' ' || (c >= '\t' && c <= '\r');
        if (space) {
            if (begun) out.push_back(std::exchange(word, {}));
            begun = false;
            continue;
        }
        begun = true;
        if (c == '\\' && i + 1 < text.size()) word.push_back(text[++i]);
        else word.push_back(c);
    }
    if (begun) out.push_back(word);
    return out;
}

using sql::characters::lower;

constexpr std::string_view where_setting = "pgmend.target_session_attrs";

/// As PostgreSQL compares the names of settings: in any case, and - of the command line is _.
bool is_name(std::string_view text, std::string_view name) {
    if (text.size() != name.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (lower(text[i] == '-' ? '_' : text[i]) != name[i]) return false;
    return true;
}

/// The last word on a setting: parameters of the packet come behind its options (process_startup_options).
std::optional<std::string> setting(wire::startup_packet const& packet, std::string_view name) {
    std::optional<std::string> out;
    auto const words = split_options(packet.find("options"));
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view word = words[i];
        if (word == "-c" && i + 1 < words.size()) word = words[++i];
        else if (word.starts_with("-c") || word.starts_with("--")) word.remove_prefix(2);
        else continue;
        auto const equals = word.find('=');
        if (equals != std::string_view::npos && is_name(word.substr(0, equals), name)) out = word.substr(equals + 1);
    }
    for (auto const& [key, value] : packet.parameters)
        if (is_name(key, name)) out = value;
    return out;
}

/// As PostgreSQL's process_settings orders them.
bool begins_read_only(std::span<read_only_default const> defaults, std::string_view role, std::string_view database) {
    read_only_default const* best = nullptr;
    auto const weight = [](read_only_default const& it) { return (it.role.empty() ? 0 : 2) + (it.database.empty() ? 0 : 1); };
    for (auto const& it : defaults) {
        bool const is_for = (it.role.empty() || it.role == role) && (it.database.empty() || it.database == database);
        if (is_for && (best == nullptr || weight(it) > weight(*best))) best = &it;
    }
    return best != nullptr && best->on;
}

} // namespace

/// PostgreSQL's parse_bool takes every unique beginning.
bool is_yes(std::string_view value) {
    std::string word;
    for (char const c : value) word.push_back(lower(c));
    auto const begins = [&](std::string_view whole, std::size_t least) { return word.size() >= least && whole.starts_with(word); };
    return begins("true", 1) || begins("yes", 1) || word == "on" || word == "1";
}

bool says_where(wire::startup_packet const& packet) { return setting(packet, where_setting).has_value(); }

backend::wanted_session wanted_by(wire::startup_packet const& packet, bool read_only_to_replica, std::span<read_only_default const> defaults) {
    if (auto const said = setting(packet, where_setting))
        return backend::wanted_session_of(*said).value_or(backend::wanted_session::primary);
    if (!packet.find("replication").empty()) return backend::wanted_session::primary;
    if (read_only_to_replica) {
        auto const own = setting(packet, "default_transaction_read_only");
        auto const user = packet.find("user");
        auto const database = packet.find("database");
        bool const read_only = own ? is_yes(*own) : begins_read_only(defaults, user, database.empty() ? user : database);
        if (read_only) return backend::wanted_session::prefer_standby;
    }
    return backend::wanted_session::primary;
}

} // namespace pgmend::session
