#include "healing/splice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace pgmend::healing {

std::string edited(std::string_view original, std::vector<edit> const& edits) {
    std::string out;
    std::size_t from = 0;
    for (auto const& it : edits) {
        out.append(original, from, it.begin - from).append(it.text);
        from = it.end;
    }
    out.append(original, from);
    return out;
}

std::vector<edit> composed(std::string_view middle, std::vector<edit> const& first, std::vector<edit> const& second) {
    // What each edit covers in the middle text, in one ascending sequence.
    struct piece {
        std::int64_t begin;
        std::int64_t end;
        std::int64_t shift; ///< of the original against the middle text, behind this piece; of `first` only
        edit const* second;
    };
    std::vector<piece> pieces;
    std::int64_t shift = 0;
    for (auto const& it : first) {
        auto const begin = static_cast<std::int64_t>(it.begin) - shift;
        auto const size = static_cast<std::int64_t>(it.text.size());
        auto const change = static_cast<std::int64_t>(it.end) - it.begin - size;
        shift += change;
        pieces.push_back({begin, begin + size, change, nullptr});
    }
    for (auto const& it : second) pieces.push_back({it.begin, it.end, 0, &it});
    std::stable_sort(pieces.begin(), pieces.end(), [](piece const& a, piece const& b) {
        return std::pair{a.begin, a.end} < std::pair{b.begin, b.end};
    });
    std::vector<edit> out;
    shift = 0; // original minus middle
    for (std::size_t i = 0; i < pieces.size();) {
        auto const begin = pieces[i].begin;
        auto end = pieces[i].end;
        edit made;
        made.begin = static_cast<std::uint32_t>(begin + shift);
        auto at = begin; // of the middle text, copied up to here
        for (; i < pieces.size() && pieces[i].begin <= end; ++i) {
            auto const& it = pieces[i];
            end = std::max(end, it.end);
            shift += it.shift;
            if (it.second == nullptr) continue;
            made.text.append(middle, static_cast<std::size_t>(at), static_cast<std::size_t>(it.begin - at)).append(it.second->text);
            at = it.end;
        }
        made.text.append(middle, static_cast<std::size_t>(at), static_cast<std::size_t>(end - at));
        made.end = static_cast<std::uint32_t>(end + shift);
        out.push_back(std::move(made));
    }
    return out;
}

bool put_in_order(std::vector<edit>& edits) {
    std::stable_sort(edits.begin(), edits.end(), [](edit const& a, edit const& b) {
        return std::pair{a.begin, a.end} < std::pair{b.begin, b.end};
    });
    std::vector<edit> joined;
    for (auto& it : edits) {
        if (!joined.empty() && joined.back() == it) continue;
        if (!joined.empty() && it.begin < joined.back().end) return false;
        if (!joined.empty() && it.begin == joined.back().end) {
            joined.back().end = it.end;
            joined.back().text += it.text;
        } else {
            joined.push_back(std::move(it));
        }
    }
    edits = std::move(joined);
    return true;
}

} // namespace pgmend::healing
