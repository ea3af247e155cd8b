// Statements without their literals, for logs and reports.
#include "pgmend/healing/planner.hpp"
#include "pgmend/sql/lexer.hpp"

#include <fmt/format.h>

namespace pgmend::healing {
namespace {

constexpr std::string_view unscannable = "(unscannable statement)";

/// Calls `piece` with each token's text, or "?" for a constant, and whether something stood between it and the one before.
/// False where the text cannot be scanned, or where its literals end depends on a setting of the session.
template <class F>
bool each_piece(std::string_view sql, F&& piece) {
    auto const list = sql::scan(sql);
    if (!list.complete || list.depends_on_backslashes) return false;
    std::uint32_t end = 0;
    for (auto const& token : list.tokens) {
        bool const constant = token.kind == sql::token_kind::string || token.kind == sql::token_kind::number;
        auto const text = constant ? std::string_view{"?"} : sql.substr(token.begin, token.end - token.begin);
        piece(text, token.kind, end != 0 && token.begin > end);
        end = token.end;
    }
    return true;
}

} // namespace

std::string normalized(std::string_view sql, std::size_t most) {
    std::string out;
    bool const scanned = each_piece(sql, [&](std::string_view text, sql::token_kind, bool blank) {
        if (out.size() > most) return;
        if (blank) out += ' ';
        out += text;
    });
    if (!scanned) out = unscannable;
    if (out.size() > most) {
        auto cut = most;
        while (cut > 0 && (static_cast<unsigned char>(out[cut]) & 0xC0) == 0x80) --cut;
        out.resize(cut);
    }
    return out;
}

std::string fingerprint(std::string_view sql) {
    std::uint64_t hash = 0xcbf29ce484222325U; // FNV-1a
    auto const mix = [&](char c) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3U;
    };
    bool const scanned = each_piece(sql, [&](std::string_view text, sql::token_kind kind, bool) {
        for (char const c : text) {
            bool const fold = kind == sql::token_kind::word && c >= 'A' && c <= 'Z';
            mix(fold ? static_cast<char>(c + ('a' - 'A')) : c);
        }
        mix('\0'); // tokens, not white space
    });
    if (!scanned) {
        for (char const c : unscannable) mix(c);
    }
    return fmt::format("{:016x}", hash);
}

} // namespace pgmend::healing
