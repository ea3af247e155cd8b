#include "pgmend/learning/pattern_text.hpp"

#include <array>
#include <utility>

namespace pgmend::learning {
namespace {

using kind = pattern_text::kind_type;

struct form {
    std::string_view prefix;
    std::string_view suffix; ///< instead of " -> "
    kind is;
    std::size_t before;
    std::size_t after;
};
constexpr std::array<form, 7> forms{{
    {"column ", {}, kind::column, 3, 1},
    {"relation ", {}, kind::relation, 2, 2},
    {"function ", {}, kind::function, 2, 2},
    {"type ", {}, kind::type, 2, 2},
    {"enum ", {}, kind::enum_label, 3, 3},
    {"dropped column ", ": read as NULL", kind::dropped_read, 3, 0},
    {"dropped column ", ": written value left out", kind::dropped_write, 3, 0},
}};

/// A label may hold dots: all behind the second one belong to it.
std::optional<std::vector<std::string>> parts(std::string_view text, std::size_t count, bool label) {
    std::vector<std::string> out;
    while (out.size() + 1 < count) {
        auto const dot = text.find('.');
        if (dot == std::string_view::npos) return std::nullopt;
        out.emplace_back(text.substr(0, dot));
        text.remove_prefix(dot + 1);
    }
    if (!label && text.find('.') != std::string_view::npos) return std::nullopt;
    out.emplace_back(text);
    for (auto const& it : out)
        if (it.empty()) return std::nullopt;
    return out;
}

} // namespace

std::optional<pattern_text> read_pattern_text(std::string_view text) {
    constexpr std::string_view arrow = " -> ";
    for (auto const& f : forms) {
        if (!text.starts_with(f.prefix)) continue;
        auto rest = text.substr(f.prefix.size());
        pattern_text made{f.is, {}, {}};
        if (!f.suffix.empty()) {
            if (!rest.ends_with(f.suffix)) continue;
            auto before = parts(rest.substr(0, rest.size() - f.suffix.size()), f.before, false);
            if (!before) return std::nullopt;
            made.before = std::move(*before);
            return made;
        }
        auto const at = rest.find(arrow);
        if (at == std::string_view::npos || rest.find(arrow, at + 1) != std::string_view::npos) return std::nullopt;
        auto before = parts(rest.substr(0, at), f.before, f.is == kind::enum_label);
        auto after = parts(rest.substr(at + arrow.size()), f.after, f.is == kind::enum_label || f.is == kind::column);
        if (!before || !after) return std::nullopt;
        made.before = std::move(*before);
        made.after = std::move(*after);
        return made;
    }
    return std::nullopt;
}

} // namespace pgmend::learning
