#include "admin/http_machine.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include <iterator>
#include <optional>

namespace pgmend::admin {

namespace http = boost::beast::http;

namespace {

int hexadecimal(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Nothing: no URL encoding.
std::optional<std::string> decoded(std::string_view text, bool plus_is_space) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        int const high = hexadecimal(text[i + 1]);
        int const low = hexadecimal(text[i + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return out;
}

std::string text_from(boost::beast::string_view from) { return {from.data(), from.size()}; }

unsigned status_of(boost::beast::error_code const& failed) {
    if (failed == http::error::header_limit) return 431;
    if (failed == http::error::body_limit) return 413;
    return 400;
}

} // namespace

struct http_machine::parser {
    http::request_parser<http::string_body> it;

    parser() {
        it.eager(true);
        it.header_limit(most_header_bytes);
        it.body_limit(most_body_bytes);
    }
};

std::string_view http_request::asked(std::string_view name) const {
    for (auto const& [key, value] : query)
        if (key == name) return value;
    return {};
}

http_machine::http_machine() : parser_{std::make_unique<parser>()} {}
http_machine::~http_machine() = default;

http_machine::step http_machine::on_bytes(std::string_view bytes) {
    inbox_.append(bytes);
    auto& in = parser_->it;
    while (!inbox_.empty() && !in.is_done()) {
        boost::beast::error_code failed;
        auto const used = in.put(boost::asio::buffer(inbox_), failed);
        inbox_.erase(0, used);
        if (failed == http::error::need_more) return step::read;
        if (failed) {
            refused_ = status_of(failed);
            return step::refuse;
        }
    }
    if (!in.is_done()) return step::read;
    return take_request() ? step::request : step::refuse;
}

bool http_machine::take_request() {
    auto const& message = parser_->it.get();
    auto const header = [&](http::field name) { return text_from(message[name]); };
    request_ = {};
    request_.method = text_from(message.method_string());
    head_ = request_.method == "HEAD";
    keep_alive_ = message.keep_alive();
    request_.host = header(http::field::host);
    request_.accept = header(http::field::accept);
    request_.authorization = header(http::field::authorization);
    request_.if_none_match = header(http::field::if_none_match);
    request_.body = message.body();
    refused_ = 400;
    auto const target = text_from(message.target());
    if (!target.starts_with('/') || message.count(http::field::host) > 1) return false;
    auto const mark = target.find('?');
    auto path = decoded(std::string_view{target}.substr(0, mark), false);
    if (!path) return false;
    request_.path = std::move(*path);
    auto rest = mark == std::string::npos ? std::string_view{} : std::string_view{target}.substr(mark + 1);
    while (!rest.empty()) {
        auto const part = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(part.size() + 1, rest.size()));
        auto const equals = part.find('=');
        auto key = decoded(part.substr(0, equals), true);
        auto value = decoded(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
        if (!key || !value) return false;
        request_.query.emplace_back(std::move(*key), std::move(*value));
    }
    refused_ = 0;
    return true;
}

http_response http_machine::refusal() const {
    return {refused_, "text/plain; charset=utf-8", fmt::format("{} {}\n", refused_, reason_of(refused_)), {}};
}

std::string http_machine::answer(http_response const& with) {
    ++served_;
    closing_ = refused_ != 0 || !keep_alive_ || served_ >= most_requests;
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", with.status, reason_of(with.status), with.content_type, with.body.size());
    for (auto const& [name, value] : with.headers) fmt::format_to(std::back_inserter(out), "{}: {}\r\n", name, value);
    // A page of this server's runs no foreign script, is in no foreign frame, and is not kept.
    out += "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-cache\r\n";
    if (closing_) out += "Connection: close\r\n";
    out += "\r\n";
    if (!head_) out += with.body;
    parser_ = std::make_unique<parser>();
    refused_ = 0;
    return out;
}

std::string_view reason_of(unsigned status) {
    switch (status) {
    case 200: return "OK";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Payload Too Large";
    case 421: return "Misdirected Request";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "";
    }
}

} // namespace pgmend::admin
