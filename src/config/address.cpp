#include "pgmend/config/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace pgmend::config {

bool is_ip_address(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) return false;
    in6_addr room{};
    std::string const whole{text};
    if (inet_pton(AF_INET, whole.c_str(), &room) == 1) return true;
    auto const zone = text.find('%');
    if (zone == text.size() - 1) return false;
    return inet_pton(AF_INET6, whole.substr(0, zone).c_str(), &room) == 1;
}

bool is_listen_address(std::string_view text) { return text == "*" || text == "localhost" || is_ip_address(text); }

std::optional<std::pair<std::string, std::uint16_t>> parse_listen_address(std::string_view text) {
    auto const colon = text.rfind(':');
    auto const digits = colon == std::string_view::npos ? text : text.substr(colon + 1);
    std::uint16_t port = 0;
    auto const parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
    if (colon == std::string_view::npos) return std::pair{std::string{"127.0.0.1"}, port};
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos) return std::nullopt;
    if (!is_listen_address(host)) return std::nullopt;
    return std::pair{std::string{host}, port};
}

bool is_backend_host(std::string_view text) {
    if (text.empty() || text.size() > 253) return false; // RFC 1035; sun_path is shorter still
    if (text.front() == '/') return text.find('\0') == std::string_view::npos;
    if (is_ip_address(text)) return true;
    bool const dotted_number = text.find_first_not_of("0123456789.") == std::string_view::npos; // 10.0.0.300
    return !dotted_number && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
        return c == '-' || c == '.' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               static_cast<unsigned char>(c) >= 0x80; // internationalised names are the resolver's business
    });
}

} // namespace pgmend::config
