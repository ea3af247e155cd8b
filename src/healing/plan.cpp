#include "pgmend/healing/plan.hpp"

#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/array_text.hpp"
#include "pgmend/sql/lexer.hpp"
#include "pgmend/sql/names.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace pgmend::healing {
namespace {

constexpr std::array<std::string_view, 17> kind_names = {
    "not_drift",     "not_understood", "no_history",     "forward_drift",  "ambiguous_lineage", "name_reused", "dropped",   "changed_type", "changed_kind",
    "changed_shape", "temporary",      "behind_barrier", "policy_propose", "policy_off",        "suspended",   "observe",   "unproven"};

/// Reserved key words that almost every statement has; they cannot be names of anything.
constexpr std::string_view never_names[] = {"select", "from", "where", "and",   "or",    "not",    "as",   "on",   "in",    "null",     "order", "group", "having",
                                            "limit",  "offset", "union", "with", "into", "desc", "asc", "case", "when", "then", "else", "end",
                                            "distinct", "true", "false", "using", "returning", "for"};

constexpr std::size_t longest_name = 63; ///< NAMEDATALEN - 1

void add_literal(std::string_view written, std::vector<std::string>& out) {
    if (written.size() < 2 || written.front() != '\'' || written.back() != '\'') return;
    std::string text;
    for (std::size_t i = 1; i + 1 < written.size(); ++i) {
        text += written[i];
        if (written[i] == '\'' && written[i + 1] == '\'') ++i; // doubled
    }
    if (auto const elements = sql::array_elements(text); elements && elements->size() <= sql::most_known_elements) {
        for (auto const& it : *elements) {
            if (it.value && it.value->size() <= longest_name) out.push_back(*it.value);
        }
    }
    if (text.empty() || text.size() > 3 * longest_name) return;
    auto const parts = sql::split_name(text);
    if (parts) out.insert(out.end(), parts->begin(), parts->end());
    out.push_back(std::move(text)); // an enum's label
}

} // namespace

std::string_view name_of(refusal_kind kind) { return kind_names[static_cast<std::size_t>(kind)]; }

bool plan::writes() const {
    return std::any_of(healed.begin(), healed.end(), [](planned_statement const& it) { return it.writes; });
}

std::vector<std::string> identifiers(std::string_view sql) {
    std::vector<std::string> out;
    auto const list = sql::scan(sql);
    if (!list.complete) return out;
    for (auto const& token : list.tokens) {
        auto const text = sql.substr(token.begin, token.end - token.begin);
        if (token.kind == sql::token_kind::word) {
            std::string folded{text};
            for (auto& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
            if (std::find(std::begin(never_names), std::end(never_names), folded) == std::end(never_names)) out.push_back(std::move(folded));
        } else if (token.kind == sql::token_kind::quoted && text.front() == '"') {
            std::string name;
            for (std::size_t i = 1; i + 1 < text.size(); ++i) {
                name += text[i];
                if (text[i] == '"') ++i; // doubled
            }
            out.push_back(std::move(name));
        } else if (token.kind == sql::token_kind::string) {
            add_literal(text, out);
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::uint32_t original_position(plan const& healed, std::string_view original, std::uint32_t position) {
    auto const byte = position == 0 ? std::nullopt : sql::byte_offset(healed.sql, position - 1);
    if (!byte) return position;
    // Walks both texts edit by edit.
    std::int64_t shift = 0; // healed minus original, up to here
    for (auto const& it : healed.edits) {
        auto const begin = static_cast<std::int64_t>(it.begin) + shift;
        auto const end = begin + static_cast<std::int64_t>(it.text.size());
        if (*byte < begin) break;
        if (*byte < end) return sql::count_characters(original, it.begin) + 1;
        shift += static_cast<std::int64_t>(it.text.size()) - (static_cast<std::int64_t>(it.end) - it.begin);
    }
    return sql::count_characters(original, static_cast<std::uint32_t>(*byte - shift)) + 1;
}

} // namespace pgmend::healing
