#include "pgmend/backend/selection.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace pgmend::backend {
namespace {

using namespace std::string_view_literals;

constexpr std::array words{std::pair{"any"sv, wanted_session::any},         std::pair{"read-write"sv, wanted_session::read_write},
                           std::pair{"read-only"sv, wanted_session::read_only}, std::pair{"primary"sv, wanted_session::primary},
                           std::pair{"standby"sv, wanted_session::standby}, std::pair{"prefer-standby"sv, wanted_session::prefer_standby}};

/// Why this one may not be used for anything; empty: it may.
std::string_view unfit(candidate const& c) {
    if (!c.same_cluster) return "was not seen to be of the same cluster";
    if (c.role == server_role::unknown) return "has not told its role yet, or cannot be reached";
    if (c.configured == configured_role::primary && c.role == server_role::replica) return "is a replica, but its setting says primary";
    if (c.configured == configured_role::replica && c.role == server_role::primary) return "is a primary, but its setting says replica";
    return {};
}

} // namespace

char const* name_of(server_role role) {
    switch (role) {
    case server_role::unknown: return "unknown";
    case server_role::primary: return "primary";
    case server_role::replica: return "replica";
    }
    return "";
}

char const* name_of(wanted_session what) {
    for (auto const& [word, meaning] : words)
        if (meaning == what) return word.data();
    return "";
}

std::optional<wanted_session> wanted_session_of(std::string_view text) {
    for (auto const& [word, meaning] : words)
        if (word == text) return meaning;
    return std::nullopt;
}

choice choose(std::span<candidate const> all, wanted_session wanted, std::chrono::milliseconds most_lag) {
    choice out;
    if (all.size() == 1) {
        out.order.push_back(0);
        return out;
    }
    std::vector<std::size_t> primaries;
    std::vector<std::size_t> replicas;
    std::string problems;
    auto const complain = [&](candidate const& c, std::string_view why) {
        problems += fmt::format("{}backend \"{}\" {}", problems.empty() ? "" : "; ", c.name, why);
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
        auto const& c = all[i];
        bool const is_primary = c.same_cluster && c.role == server_role::primary;
        if (is_primary) primaries.push_back(i); // also one that may not be: it is a fault
        if (auto const why = unfit(c); !why.empty()) {
            complain(c, why);
            continue;
        }
        if (is_primary) continue;
        if (!c.lag) complain(c, "is a replica whose lag is not known");
        else if (*c.lag > most_lag) complain(c, fmt::format("is {} ms behind, more than max_replay_lag", c.lag->count()));
        else replicas.push_back(i);
    }
    if (primaries.size() > 1) {
        out.conflict = true;
        problems = fmt::format("backends \"{}\" and \"{}\" both say that they are the primary", all[primaries[0]].name, all[primaries[1]].name);
        primaries.clear();
    }
    std::erase_if(primaries, [&](std::size_t i) { return !unfit(all[i]).empty(); });
    auto const add = [&](std::vector<std::size_t> const& some, auto&& fits) {
        for (auto const i : some)
            if (fits(all[i])) out.order.push_back(i);
    };
    auto const every = [](candidate const&) { return true; };
    switch (wanted) {
    case wanted_session::any:
        add(primaries, every);
        add(replicas, every);
        break;
    case wanted_session::primary: add(primaries, every); break;
    case wanted_session::read_write:
        add(primaries, [](candidate const& c) { return !c.read_only; });
        break;
    case wanted_session::standby: add(replicas, every); break;
    case wanted_session::prefer_standby:
        add(replicas, every);
        add(primaries, every);
        break;
    case wanted_session::read_only:
        add(replicas, every);
        add(primaries, [](candidate const& c) { return c.read_only; });
        break;
    }
    if (out.order.empty()) out.refused = problems.empty() ? fmt::format("no backend is {}", name_of(wanted)) : problems;
    return out;
}

} // namespace pgmend::backend
