// One end of a connection: TCP or a Unix socket, in clear or over TLS.
#pragma once

#include "pgmend/base/bytes.hpp"
#include "pgmend/base/error.hpp"

#include "pgmend/net/readiness.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <memory>
#include <string>
#include <utility>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace pgmend::net {

using executor = loop::executor_type;
template <class T = void>
using awaitable = boost::asio::awaitable<T, executor>;

enum class io_status : std::uint8_t { done, want_read, want_write, closed, failed };

struct io_result {
    io_status status{io_status::done};
    std::size_t count{0};
};

/// A non-blocking byte stream. Try first (`read_some`, `write_some`), wait only when told to: so a healthy exchange
/// costs one system call a read and one a write.
///
/// Owned by a session, used by its worker's thread only. Reading and writing may be under way at the same time.
/// After `close` every wait returns and every read and write fails.
class stream {
  public:
    stream() = default;
    /// Takes over a connected socket and sets it non-blocking, without delay, with keep-alive.
    stream(loop& where, int connected);
    stream(stream&&) noexcept;
    stream& operator=(stream&&) noexcept;
    ~stream();

    /// Connects; nothing else may be under way. operation_aborted: it was closed meanwhile.
    awaitable<boost::system::error_code> connect(loop& where, boost::asio::generic::stream_protocol::endpoint to);

    /// done with count > 0; closed: the peer has ended its side in order; failed: last_error() says why.
    [[nodiscard]] io_result read_some(char* to, std::size_t most);
    [[nodiscard]] io_result write_some(base::byte_view bytes);
    /// As read_some, but the bytes stay where they are. Not on a TLS stream.
    [[nodiscard]] io_result peek(char* to, std::size_t most);

    /// Calls `handler(error_code)`, later, once something has arrived since the last wait, or the stream is closed. Only
    /// after a read that answered want_read, or (but for TLS, which may hold what the socket does not show) that got
    /// less than it had room for: then a read sees the rest, unless `look_again` has to help.
    template <class Handler>
    void when_readable(Handler handler) {
        readiness_.wait(readiness::direction::read, std::move(handler));
    }

    /// A peer that sends and closes in one go causes one edge. After a read that was not the last there may be, so a
    /// moment later: is there something to read, the end of the stream for instance? Then waits end.
    void look_again();

    /// Ends the wait for reading under way, so that its handler looks at what else there is to do.
    void wake() { readiness_.nudge(); }

    awaitable<> wait(io_status what); ///< want_read or want_write; also returns when the stream is closed

    /// Writes all of it; false where the stream failed.
    awaitable<bool> write_all(base::byte_view bytes);

    /// Handshakes. `context` need not outlive the call. On failure the text says why and the stream can only be closed.
    awaitable<base::result<void>> accept_tls(SSL_CTX* context);
    /// `server_name` goes into the SNI extension unless it is an address; `verify_name`: what the certificate must be for.
    awaitable<base::result<void>> connect_tls(SSL_CTX* context, std::string server_name, bool verify_name);

    [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }
    [[nodiscard]] std::string peer_common_name() const; ///< of the certificate the peer has shown; empty without one
    [[nodiscard]] std::string negotiated_protocol() const; ///< ALPN
    [[nodiscard]] std::string peer_text() const;        ///< address:port, [address]:port or "unix"

    /// No more bytes will be sent (TLS: close_notify first); reading goes on.
    void shutdown_send();
    void close();
    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    [[nodiscard]] std::string const& last_error() const { return last_error_; }

  private:
    struct tls_deleter {
        void operator()(SSL* tls) const;
    };
    io_result receive(char* to, std::size_t most, int flags);
    io_result tls_result(int returned, bool reading);
    awaitable<base::result<void>> handshake();

    int descriptor_{-1};
    readiness readiness_;
    std::unique_ptr<SSL, tls_deleter> tls_;
    std::string last_error_;
};

} // namespace pgmend::net
