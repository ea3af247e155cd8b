#include "pgmend/sql/lexer.hpp"

#include "sql/scanner.hpp"

namespace pgmend::sql {

token_list scan(std::string_view text) {
    token_list list;
    scanner tokens{text};
    list.tokens.reserve(text.size() / 5 + 4);
    token next;
    while (tokens.next(next)) list.tokens.push_back(next);
    list.complete = tokens.complete();
    list.deepest = tokens.deepest();
    list.depends_on_backslashes = tokens.depends_on_backslashes();
    return list;
}

bool is_word(std::string_view text, token const& candidate, std::string_view lower_case) {
    if (candidate.kind != token_kind::word || candidate.end - candidate.begin != lower_case.size()) return false;
    for (std::size_t i = 0; i < lower_case.size(); ++i) {
        if (characters::lower(text[candidate.begin + i]) != lower_case[i]) return false;
    }
    return true;
}

} // namespace pgmend::sql
