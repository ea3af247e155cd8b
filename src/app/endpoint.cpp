#include "endpoint.hpp"

#include "pgmend/config/address.hpp"
#include "pgmend/config/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pgmend::app {
namespace {

struct parts {
    std::string_view host;
    std::optional<std::string_view> port;
};

bool all_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

parts split(std::string_view text) {
    if (all_digits(text)) return {{}, text};
    if (text.starts_with('[')) {
        auto const close = text.find(']');
        if (close == std::string_view::npos) return {text, std::nullopt};
        auto const rest = text.substr(close + 1);
        if (rest.empty()) return {text.substr(1, close - 1), std::nullopt};
        if (rest.front() != ':') return {text, std::nullopt};
        return {text.substr(1, close - 1), rest.substr(1)};
    }
    auto const colon = text.rfind(':');
    bool const several = std::count(text.begin(), text.end(), ':') > 1;
    bool const bare = colon == std::string_view::npos || (several && !text.starts_with('/')) ||
                      (text.starts_with('/') && !all_digits(text.substr(colon + 1))); // a directory may have a colon
    return bare ? parts{text, std::nullopt} : parts{text.substr(0, colon), text.substr(colon + 1)};
}

} // namespace

base::result<endpoint> parse_endpoint(std::string_view text, endpoint_use use, std::string_view flag) {
    auto const wrong = [&](std::string_view what) {
        return base::fail(base::errc::invalid_input, fmt::format("{} {}, not {}", flag, what, config::in_quotes(text)));
    };
    bool const listens = use == endpoint_use::listen;
    auto const [host, port] = split(text);
    if (host.empty() && !port) return wrong("must be HOST:PORT");

    endpoint out;
    if (!host.empty()) {
        if (listens && !config::is_listen_address(host)) return wrong("must begin with an IP address, * or localhost");
        if (!listens && !config::is_backend_host(host)) return wrong("must begin with a host name, an IP address or the directory of a Unix socket");
        out.host = std::string{host};
    }
    if (port) {
        unsigned number = 0;
        auto const parsed = std::from_chars(port->data(), port->data() + port->size(), number);
        bool const good = all_digits(*port) && parsed.ec == std::errc{} && number <= 65535 && (listens || number > 0);
        if (!good) return wrong(listens ? "must have a port from 0 to 65535" : "must have a port from 1 to 65535");
        out.port = static_cast<std::uint16_t>(number);
    }
    return out;
}

} // namespace pgmend::app
