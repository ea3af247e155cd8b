#include "pgmend/migrations/file_order.hpp"

#include "pgmend/base/text.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

namespace pgmend::migrations {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A number of any length, as text that compares like it: its length goes first.
std::string comparable(std::string_view digits) {
    while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
    auto size = std::to_string(digits.size());
    size.insert(0, 4 - std::min<std::size_t>(4, size.size()), '0');
    return size + std::string{digits};
}

/// Runs of digits compare as numbers, all else as it is.
std::string natural(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        if (!is_digit(text[i])) {
            out += text[i++];
            continue;
        }
        auto const begin = i;
        while (i < text.size() && is_digit(text[i])) ++i;
        out += comparable(text.substr(begin, i - begin));
    }
    return out;
}

using version = std::vector<std::string>;

/// `1.10` and, of Flyway, `1_10`; trailing zeros count for nothing there: 1.0 is 1.
std::optional<version> version_at(std::string_view text, bool flyway) {
    version out;
    std::size_t i = 0;
    while (i < text.size() && is_digit(text[i])) {
        auto const begin = i;
        while (i < text.size() && is_digit(text[i])) ++i;
        out.push_back(comparable(text.substr(begin, i - begin)));
        bool const separator = i + 1 < text.size() && (text[i] == '.' || (flyway && text[i] == '_')) && is_digit(text[i + 1]);
        if (!separator) break;
        ++i;
    }
    if (out.empty() || (flyway && !text.substr(i).starts_with("__") && i != text.size())) return std::nullopt;
    while (out.size() > 1 && out.back() == comparable("0")) out.pop_back();
    return out;
}

enum class role : std::uint8_t { migration, repeated, baseline, undo, unknown };

struct candidate {
    std::string path;
    role is{role::unknown};
    version number;
};

candidate understand(std::string const& path) {
    candidate out{path, role::unknown, {}};
    auto const slash = path.rfind('/');
    auto const folder = slash == std::string::npos ? std::string{} : path.substr(0, slash);
    auto const parent = folder.substr(folder.rfind('/') + 1); // npos + 1 is 0
    auto name = std::string_view{path}.substr(slash == std::string::npos ? 0 : slash + 1);
    name.remove_suffix(4); // .sql
    auto const word = base::in_small_letters(name);
    auto const ends = [&](std::string_view end) { return word.ends_with(end); };
    if (word == "down" || word == "revert" || ends(".down") || ends(".undo") || ends(".rollback") || ends("_down") || parent == "revert" || parent == "down") {
        out.is = role::undo;
        return out;
    }
    if ((word == "up" || word == "migration") && !parent.empty()) name = parent; // diesel, Prisma
    bool const prefixed = name.size() > 1 && (is_digit(name[1]) || name.substr(1).starts_with("__"));
    if (prefixed && (name[0] == 'V' || name[0] == 'U' || name[0] == 'B' || name[0] == 'R' || name[0] == 'v')) {
        if (name[0] == 'R') {
            out.is = role::repeated;
        } else if (auto const found = version_at(name.substr(1), true)) {
            out.number = *found;
            out.is = name[0] == 'U' ? role::undo : name[0] == 'B' ? role::baseline : role::migration;
        } else if (auto const plain = version_at(name.substr(1), false)) {
            out.number = *plain;
            out.is = role::migration;
        }
        return out;
    }
    if (auto const found = version_at(name, false)) {
        out.number = *found;
        out.is = role::migration;
    }
    return out;
}

} // namespace

file_order in_order(std::vector<std::string> paths) {
    file_order out;
    std::vector<candidate> run;
    std::vector<candidate> repeated;
    std::vector<candidate> baselines;
    std::vector<candidate> unknown;
    std::ranges::sort(paths);
    for (auto const& path : paths) {
        auto it = understand(path);
        switch (it.is) {
        case role::migration: run.push_back(std::move(it)); break;
        case role::repeated: repeated.push_back(std::move(it)); break;
        case role::baseline: baselines.push_back(std::move(it)); break;
        case role::undo: out.others.push_back({it.path, "it undoes a migration", true}); break;
        case role::unknown: unknown.push_back(std::move(it)); break;
        }
    }
    // A baseline stands for the migrations up to it, where these are gone.
    for (auto& b : baselines) {
        bool const needed = std::ranges::none_of(run, [&](candidate const& m) { return m.number <= b.number; });
        if (needed) run.push_back(std::move(b));
        else out.others.push_back({b.path, "the migrations that this baseline stands for are there", true});
    }
    // Numbers that are used in several folders belong to each folder on its own.
    std::set<version> used;
    std::set<std::string> folders;
    bool twice = false;
    for (auto const& m : run) {
        twice = !used.insert(m.number).second || twice;
        auto const slash = m.path.rfind('/');
        folders.insert(slash == std::string::npos ? std::string{} : m.path.substr(0, slash));
    }
    bool const by_folder = twice && folders.size() > 1;
    auto const key = [&](candidate const& m) {
        auto const slash = m.path.rfind('/');
        auto const folder = slash == std::string::npos || !by_folder ? std::string{} : natural(m.path.substr(0, slash));
        return std::tuple{folder, m.number, natural(m.path)};
    };
    std::ranges::stable_sort(run, {}, key);
    std::ranges::stable_sort(repeated, {}, [](candidate const& m) { return m.path.substr(m.path.rfind('/') + 1); });
    if (run.empty() && repeated.empty() && unknown.size() == 1) run.swap(unknown); // a folder with nothing but schema.sql
    for (auto const* list : {&run, &repeated})
        for (auto const& m : *list) out.run.push_back(m.path);
    for (auto const& m : unknown) out.others.push_back({m.path, "its name has no number, so when it is run is not known", false});
    return out;
}

} // namespace pgmend::migrations
