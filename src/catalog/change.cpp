#include "pgmend/catalog/change.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace pgmend::catalog {

namespace {

constexpr std::array<std::string_view, 4> severities{"info", "minor", "major", "critical"};
constexpr std::array<std::string_view, 9> kinds{"added",   "dropped",  "renamed", "moved",  "replaced",
                                                "retyped", "required", "relaxed", "altered"};
constexpr std::array<std::string_view, 10> objects{"schema",     "table", "view", "sequence", "column",
                                                   "constraint", "index", "type", "label",    "function"};

} // namespace

std::string_view to_text(severity level) { return severities[static_cast<std::size_t>(level)]; }
std::string_view to_text(change_kind kind) { return kinds[static_cast<std::size_t>(kind)]; }
std::string_view to_text(object_kind kind) { return objects[static_cast<std::size_t>(kind)]; }

std::string to_text(change const& c) {
    auto text = fmt::format("{} {} {}", to_text(c.object), c.name, to_text(c.kind));
    if (c.kind == change_kind::renamed || c.kind == change_kind::moved) return text + " to " + c.after;
    if (!c.before.empty() && !c.after.empty()) return fmt::format("{}: {} -> {}", text, c.before, c.after);
    if (!c.before.empty() || !c.after.empty()) return fmt::format("{}: {}{}", text, c.before, c.after);
    return text;
}

std::string summary(std::vector<change> const& changes, std::size_t most_bytes) {
    std::vector<change const*> ordered;
    for (auto const& c : changes) ordered.push_back(&c);
    std::ranges::stable_sort(ordered, std::ranges::greater{}, &change::level);
    std::string text;
    std::size_t shown = 0;
    for (auto const* c : ordered) {
        auto const next = to_text(*c);
        if (shown > 0 && text.size() + next.size() > most_bytes) break;
        text += (shown++ == 0 ? "" : "; ") + next;
    }
    if (shown < changes.size()) text += fmt::format("; and {} more", changes.size() - shown);
    return text;
}

severity worst(std::vector<change> const& changes) {
    auto const found = std::ranges::max_element(changes, {}, &change::level);
    return found == changes.end() ? severity::info : found->level;
}

} // namespace pgmend::catalog
