#include "pgmend/config/connection_string.hpp"

#include "pgmend/config/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace pgmend::config {
namespace {

/// PostgreSQL documentation 34.1.2, and the deprecated ones that libpq still accepts.
constexpr std::array<std::string_view, 45> harmless_keywords{
    "service", "user", "host", "hostaddr", "port", "dbname", "passfile", "require_auth", "channel_binding", "connect_timeout",
    "client_encoding", "options", "application_name", "fallback_application_name", "keepalives", "keepalives_idle",
    "keepalives_interval", "keepalives_count", "tcp_user_timeout", "replication", "gssencmode", "sslmode", "requiressl",
    "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni",
    "requirepeer", "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib", "gssdelegation",
    "target_session_attrs", "load_balance_hosts", "min_protocol_version", "max_protocol_version", "authtype", "tty",
    "servicefile"};
constexpr std::array<std::string_view, 2> secret_keywords{"password", "sslpassword"};

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_word(char c) { return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool contains(auto const& list, std::string_view word) { return std::find(list.begin(), list.end(), word) != list.end(); }

bool is_uri(std::string_view text) { return text.starts_with("postgresql://") || text.starts_with("postgres://"); }

void skip_blanks(std::string_view text, std::size_t& at) {
    while (at < text.size() && is_blank(text[at])) ++at;
}

/// Moves behind the value that begins at `at`; false: its quote is never closed.
bool skip_value(std::string_view text, std::size_t& at, bool ampersand_ends) {
    bool const quotes = at < text.size() && text[at] == '\'';
    if (quotes) ++at;
    for (; at < text.size(); ++at) {
        char const c = text[at];
        if (c == '\\' && at + 1 < text.size()) ++at;
        else if (quotes && c == '\'') return ++at, true;
        else if (!quotes && (is_blank(c) || (ampersand_ends && c == '&'))) return true;
    }
    return !quotes;
}

} // namespace

std::optional<std::string> connection_string_mistake(std::string_view text) {
    if (is_uri(text)) return std::nullopt;
    if (text.find("://") != std::string_view::npos && text.find('=') > text.find("://"))
        return "unknown scheme; a URI begins with postgresql://";

    auto const known = [](std::string_view word) { return contains(harmless_keywords, word) || contains(secret_keywords, word); };
    std::size_t at = 0;
    for (int number = 1;; ++number) {
        skip_blanks(text, at);
        if (at == text.size()) return std::nullopt;
        auto const begin = at;
        while (at < text.size() && text[at] != '=' && !is_blank(text[at])) ++at;
        auto const word = text.substr(begin, at - begin);
        skip_blanks(text, at);
        // The word itself may be the second half of a password with a blank in it, so it is not shown.
        if (at == text.size() || text[at] != '=')
            return fmt::format("keyword {} has no \"=\" after it (a value with blanks needs single quotes)", number);
        ++at;
        if (!known(word)) {
            std::array<std::string_view, harmless_keywords.size() + secret_keywords.size()> all;
            std::copy(secret_keywords.begin(), secret_keywords.end(), std::copy(harmless_keywords.begin(), harmless_keywords.end(), all.begin()));
            return fmt::format("keyword {} is not one of libpq's{}", number, did_you_mean(word, all));
        }
        skip_blanks(text, at);
        if (!skip_value(text, at, false)) return fmt::format("the quote in the value of {} is never closed", word);
    }
}

std::string mask_passwords(std::string_view text) {
    std::string out;
    std::size_t at = 0;
    bool const uri = is_uri(text);
    if (uri) {
        // All between the first colon of user:password and the last @ is masked: a password may contain an @ by mistake.
        auto const begin = text.find("://") + 3;
        auto const end = text.rfind('@');
        auto const colon = text.find(':', begin);
        if (end != std::string_view::npos && end > begin && colon < end) {
            out.append(text.substr(0, colon)).append(":***");
            at = end;
        }
    }
    while (at < text.size()) {
        auto const equals = text.find('=', at);
        if (equals == std::string_view::npos) break;
        auto end = equals;
        while (end > at && is_blank(text[end - 1])) --end;
        auto begin = end;
        while (begin > at && is_word(text[begin - 1])) --begin;
        auto const word = text.substr(begin, end - begin);
        auto value = equals + 1;
        skip_blanks(text, value);
        auto value_end = value;
        (void)skip_value(text, value_end, uri);
        if (contains(harmless_keywords, word)) out.append(text.substr(at, value_end - at));
        else out.append(text.substr(at, value - at)).append("***");
        at = value_end;
    }
    return out.append(text.substr(at));
}

} // namespace pgmend::config
