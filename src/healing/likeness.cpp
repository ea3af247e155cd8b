#include "pgmend/healing/likeness.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>

namespace pgmend::healing {
namespace {

constexpr std::size_t longest = 64; ///< names are not longer

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

std::string folded(std::string_view name) {
    std::string out{name};
    for (auto& c : out) c = is_upper(c) ? static_cast<char>(c + ('a' - 'A')) : c;
    return out;
}

std::set<std::string> words(std::string_view name) {
    std::set<std::string> out;
    std::string word;
    for (std::size_t i = 0; i < name.size(); ++i) {
        bool const separator = name[i] == '_' || name[i] == ' ' || name[i] == '-';
        bool const hump = i > 0 && is_upper(name[i]) && !is_upper(name[i - 1]);
        if ((separator || hump) && !word.empty()) {
            out.insert(folded(word));
            word.clear();
        }
        if (!separator) word += name[i];
    }
    if (!word.empty()) out.insert(folded(word));
    return out;
}

std::set<std::string> trigrams(std::string_view name) {
    auto const padded = "  " + folded(name) + ' ';
    std::set<std::string> out;
    for (std::size_t i = 0; i + 3 <= padded.size(); ++i) out.insert(padded.substr(i, 3));
    return out;
}

double common(std::set<std::string> const& a, std::set<std::string> const& b) {
    auto const both = static_cast<double>(std::count_if(a.begin(), a.end(), [&](auto const& it) { return b.contains(it); }));
    auto const all = static_cast<double>(a.size() + b.size()) - both;
    return all > 0 ? both / all : 0;
}

/// Letters in the longest common run, and in those on its left and its right (Ratcliff and Obershelp).
std::size_t matching(std::string_view a, std::string_view b) {
    std::size_t best = 0, at_a = 0, at_b = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t length = 0;
            while (i + length < a.size() && j + length < b.size() && a[i + length] == b[j + length]) ++length;
            if (length <= best) continue;
            best = length;
            at_a = i;
            at_b = j;
        }
    }
    if (best == 0) return 0;
    return best + matching(a.substr(0, at_a), b.substr(0, at_b)) + matching(a.substr(at_a + best), b.substr(at_b + best));
}

} // namespace

double likeness(std::string_view a, std::string_view b) {
    a = a.substr(0, longest);
    b = b.substr(0, longest);
    if (a.empty() || b.empty()) return 0;
    auto const runs = 2.0 * static_cast<double>(matching(folded(a), folded(b))) / static_cast<double>(a.size() + b.size());
    return 0.5 * common(trigrams(a), trigrams(b)) + 0.3 * common(words(a), words(b)) + 0.2 * runs;
}

} // namespace pgmend::healing
