#include "pgmend/yaml/suggestion.hpp"

#include "pgmend/base/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace pgmend::yaml {
namespace {

constexpr std::size_t most_quoted = 60; // code points of a user's text that a message repeats

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

} // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            bool const same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0U : 1U)});
            bool const exchanged = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
            if (exchanged) row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(above);
        above.swap(row);
    }
    return above[b.size()];
}

std::string_view closest(std::string_view text, std::span<std::string_view const> candidates) {
    if (text.size() < 2 || text.size() > 64) return {}; // too little to go by; too long to be one of ours
    std::size_t const most = std::max<std::size_t>(1, text.size() / 3);
    std::size_t best = most + 1;
    std::string_view found;
    for (auto const candidate : candidates) {
        auto const longer = std::max(candidate.size(), text.size()) - std::min(candidate.size(), text.size());
        if (longer > best) continue; // so many edits at the least
        auto const distance = edit_distance(text, candidate);
        if (distance < best) {
            best = distance;
            found = candidate;
        } else if (distance == best && candidate != found) {
            found = {};
        }
    }
    return best <= most ? found : std::string_view{};
}

std::string did_you_mean(std::string_view text, std::span<std::string_view const> candidates) {
    auto const found = closest(text, candidates);
    return found.empty() ? std::string{} : fmt::format("; did you mean \"{}\"?", found);
}

std::string any_of(std::span<std::string_view const> words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
        out += words[i];
    }
    return out;
}

std::string in_quotes(std::string_view text) {
    std::string out{"\""};
    std::size_t position = 0;
    for (std::size_t n = 0; position < text.size(); ++n) {
        if (n == most_quoted) {
            out += "...";
            break;
        }
        auto const begin = position;
        auto const c = base::next_code_point(text, position);
        if (!c) out += "\xef\xbf\xbd";
        else if (*c < 0x20 || (*c >= 0x7f && *c < 0xa0)) out += fmt::format("\\x{:02x}", static_cast<unsigned>(*c));
        else out.append(text.substr(begin, position - begin));
    }
    out += '"';
    return out;
}

} // namespace pgmend::yaml
