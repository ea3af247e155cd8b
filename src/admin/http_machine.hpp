// HTTP/1.1 for a small server: bytes in, requests out, responses in, bytes out. No I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgmend::admin {

struct http_request {
    std::string method;
    std::string path;   ///< decoded, without the query
    std::vector<std::pair<std::string, std::string>> query; ///< decoded
    std::string host;
    std::string accept;
    std::string authorization;
    std::string if_none_match;
    std::string body;

    [[nodiscard]] std::string_view asked(std::string_view name) const; ///< of the query; empty where it is not there
};

struct http_response {
    unsigned status{200};
    std::string content_type{"text/plain; charset=utf-8"};
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

/// One connection. Reads one request at a time; what a client sends ahead waits.
///
///   reading ──whole request──> answering ──answer()──> reading, or closed
///      └──what is no request, or too large──> answering (the response is ready: `refusal`)
class http_machine {
  public:
    static constexpr std::size_t most_header_bytes = 8192;
    static constexpr std::size_t most_body_bytes = 4096;
    static constexpr unsigned most_requests = 10000; ///< of one connection

    http_machine();
    ~http_machine();

    enum class step { read, request, refuse };
    [[nodiscard]] step on_bytes(std::string_view bytes);
    [[nodiscard]] http_request const& request() const { return request_; }
    /// After `refuse`: what is wrong.
    [[nodiscard]] http_response refusal() const;

    /// What to send. Then offer no bytes (`on_bytes({})`) to see whether there is another request already.
    [[nodiscard]] std::string answer(http_response const& with);
    [[nodiscard]] bool closing() const { return closing_; }
    [[nodiscard]] bool idle() const { return inbox_.empty(); } ///< nothing of a request has come

  private:
    struct parser;
    [[nodiscard]] bool take_request();

    std::string inbox_;
    std::unique_ptr<parser> parser_;
    http_request request_;
    unsigned refused_{0}; ///< status
    unsigned served_{0};
    bool head_{false};
    bool keep_alive_{false};
    bool closing_{false};
};

[[nodiscard]] std::string_view reason_of(unsigned status);

} // namespace pgmend::admin
