#include "pgmend/net/stream.hpp"

#include "net/system_call.hpp"
#include "pgmend/net/use_tuple.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace pgmend::net {
namespace {

std::string tls_error_text() {
    std::string text;
    while (auto const code = ERR_get_error()) {
        char buffer[256];
        ERR_error_string_n(code, buffer, sizeof buffer);
        char const* reason = ERR_reason_error_string(code);
        if (!text.empty()) text += "; ";
        text += reason != nullptr ? reason : buffer;
    }
    return text;
}

void set_option(int descriptor, int level, int name, int value) {
    // What the peer's family does not know (a Unix socket has no TCP) need not be set.
    (void)::setsockopt(descriptor, level, name, &value, sizeof value);
}

} // namespace

void stream::tls_deleter::operator()(SSL* tls) const { SSL_free(tls); }

stream::stream(loop& where, int connected) : descriptor_{connected} {
    (void)::fcntl(descriptor_, F_SETFL, ::fcntl(descriptor_, F_GETFL) | O_NONBLOCK);
    set_option(descriptor_, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(descriptor_, SOL_SOCKET, SO_KEEPALIVE, 1);
    try {
        readiness_ = readiness{where, descriptor_};
    } catch (...) {
        (void)::close(descriptor_);
        throw;
    }
}

stream::stream(stream&& other) noexcept
    : descriptor_{std::exchange(other.descriptor_, -1)}, readiness_{std::move(other.readiness_)}, tls_{std::move(other.tls_)},
      last_error_{std::move(other.last_error_)} {}

stream& stream::operator=(stream&& other) noexcept {
    if (this == &other) return *this;
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    readiness_ = std::move(other.readiness_);
    tls_ = std::move(other.tls_);
    last_error_ = std::move(other.last_error_);
    return *this;
}

stream::~stream() { close(); }

awaitable<boost::system::error_code> stream::connect(loop& where, boost::asio::generic::stream_protocol::endpoint to) {
    auto const of = [](int number) { return boost::system::error_code{number, boost::system::system_category()}; };
    int const descriptor = ::socket(to.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) co_return of(errno);
    int problem = ::connect(descriptor, to.data(), static_cast<socklen_t>(to.size())) == 0 ? 0 : errno;
    bool under_way = problem == EINPROGRESS || problem == EINTR;
    if (problem != 0 && !under_way) {
        (void)::close(descriptor);
        co_return of(problem);
    }
    *this = stream{where, descriptor};
    while (under_way) {
        co_await wait(io_status::want_write);
        if (!is_open()) co_return boost::asio::error::operation_aborted;
        pollfd now{descriptor_, POLLOUT, 0}; // a wait may end for no reason
        under_way = ::poll(&now, 1, 0) == 0;
        socklen_t length = sizeof problem;
        if (!under_way && ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &problem, &length) != 0) problem = errno;
    }
    if (problem != 0) close();
    co_return of(problem);
}

io_result stream::read_some(char* to, std::size_t most) {
    if (!is_open()) return {io_status::failed, 0}; // OpenSSL would use the number, which may be another's by now
    if (tls_) {
        // TLS hands out a record at a time; gather them, so that they travel on together.
        std::size_t total = 0;
        while (total < most) {
            ERR_clear_error();
            auto const part = std::min<std::size_t>(most - total, 1u << 30);
            int const count = SSL_read(tls_.get(), to + total, static_cast<int>(part));
            if (count > 0) {
                total += static_cast<std::size_t>(count);
                continue;
            }
            if (total > 0) break; // whatever it is, it will say so again
            return tls_result(count, true);
        }
        return {io_status::done, total};
    }
    return receive(to, most, 0);
}

io_result stream::peek(char* to, std::size_t most) { return receive(to, most, MSG_PEEK); }

io_result stream::receive(char* to, std::size_t most, int flags) {
    if (!is_open()) return {io_status::failed, 0};
    for (;;) {
        auto const count = system_call(SYS_recvfrom, descriptor_, to, most, flags, 0, 0);
        if (count > 0) return {io_status::done, static_cast<std::size_t>(count)};
        if (count == 0) return {io_status::closed, 0};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_read, 0};
        last_error_ = std::strerror(errno);
        return {io_status::failed, 0};
    }
}

io_result stream::write_some(base::byte_view bytes) {
    if (bytes.empty()) return {io_status::done, 0};
    if (!is_open()) return {io_status::failed, 0};
    if (tls_) {
        ERR_clear_error();
        auto const part = std::min<std::size_t>(bytes.size(), 1u << 30);
        int const count = SSL_write(tls_.get(), bytes.data(), static_cast<int>(part));
        if (count > 0) return {io_status::done, static_cast<std::size_t>(count)};
        return tls_result(count, false);
    }
    for (;;) {
        auto const count = system_call(SYS_sendto, descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL, 0, 0);
        if (count >= 0) return {io_status::done, static_cast<std::size_t>(count)};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_write, 0};
        last_error_ = std::strerror(errno);
        return {io_status::failed, 0};
    }
}

io_result stream::tls_result(int returned, bool reading) {
    if (!is_open()) return {io_status::failed, 0};
    switch (SSL_get_error(tls_.get(), returned)) {
    case SSL_ERROR_WANT_READ: return {io_status::want_read, 0};
    case SSL_ERROR_WANT_WRITE: return {io_status::want_write, 0};
    case SSL_ERROR_ZERO_RETURN: return {io_status::closed, 0};
    case SSL_ERROR_SYSCALL:
        last_error_ = errno != 0 ? std::strerror(errno) : "the peer closed the connection";
        return {errno == 0 && reading ? io_status::closed : io_status::failed, 0};
    default: last_error_ = tls_error_text();
        // libpq and many drivers leave without close_notify; that ends the stream as well as any other way.
        if (reading && last_error_.find("unexpected eof") != std::string::npos) return {io_status::closed, 0};
        return {io_status::failed, 0};
    }
}

void stream::look_again() {
    char byte = 0;
    if (is_open() && !tls_ && peek(&byte, 1).status != io_status::want_read) readiness_.nudge();
}

awaitable<> stream::wait(io_status what) {
    if (!is_open()) co_return;
    co_await readiness_.async_wait(what == io_status::want_write ? readiness::direction::write : readiness::direction::read, use_tuple);
}

awaitable<bool> stream::write_all(base::byte_view bytes) {
    while (!bytes.empty()) {
        auto const written = write_some(bytes);
        if (written.status == io_status::done) {
            bytes.remove_prefix(written.count);
        } else if (written.status == io_status::want_write || written.status == io_status::want_read) {
            co_await wait(written.status);
            if (!is_open()) co_return false;
        } else {
            co_return false;
        }
    }
    co_return true;
}

awaitable<base::result<void>> stream::handshake() {
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int const done = SSL_do_handshake(tls_.get());
        if (done == 1) co_return base::result<void>{};
        auto const status = tls_result(done, false).status;
        if (status != io_status::want_read && status != io_status::want_write) {
            auto const verified = SSL_get_verify_result(tls_.get());
            auto text = verified != X509_V_OK ? std::string{X509_verify_cert_error_string(verified)} : last_error_;
            co_return base::fail(base::errc::tls, text.empty() ? "the handshake failed" : std::move(text));
        }
        co_await wait(status);
        if (!is_open()) co_return base::fail(base::errc::timeout, "the handshake took too long");
    }
}

awaitable<base::result<void>> stream::accept_tls(SSL_CTX* context) {
    tls_.reset(SSL_new(context));
    if (!tls_ || SSL_set_fd(tls_.get(), descriptor_) != 1)
        co_return base::fail(base::errc::tls, tls_error_text());
    SSL_set_accept_state(tls_.get());
    co_return co_await handshake();
}

awaitable<base::result<void>> stream::connect_tls(SSL_CTX* context, std::string server_name, bool verify_name) {
    tls_.reset(SSL_new(context));
    if (!tls_ || SSL_set_fd(tls_.get(), descriptor_) != 1)
        co_return base::fail(base::errc::tls, tls_error_text());
    boost::system::error_code not_an_address;
    (void)boost::asio::ip::make_address(server_name, not_an_address);
    if (not_an_address) SSL_set_tlsext_host_name(tls_.get(), server_name.c_str()); // RFC 6066: no addresses
    if (verify_name) {
        auto* const parameters = SSL_get0_param(tls_.get());
        X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        int const set = not_an_address ? X509_VERIFY_PARAM_set1_host(parameters, server_name.c_str(), 0)
                                       : X509_VERIFY_PARAM_set1_ip_asc(parameters, server_name.c_str());
        if (set != 1) co_return base::fail(base::errc::tls, "the server's name cannot be verified");
    }
    SSL_set_connect_state(tls_.get());
    co_return co_await handshake();
}

std::string stream::peer_common_name() const {
    if (!tls_) return {};
    X509* const certificate = SSL_get0_peer_certificate(tls_.get());
    if (certificate == nullptr) return {};
    auto* const subject = X509_get_subject_name(certificate);
    int const index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (index < 0) return {};
    unsigned char* text = nullptr;
    int const length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    if (length < 0) return {};
    std::string name{reinterpret_cast<char*>(text), static_cast<std::size_t>(length)};
    OPENSSL_free(text);
    return name;
}

std::string stream::negotiated_protocol() const {
    if (!tls_) return {};
    unsigned char const* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(tls_.get(), &name, &length);
    return {reinterpret_cast<char const*>(name), length};
}

std::string stream::peer_text() const {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (!is_open() || ::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
    char text[INET6_ADDRSTRLEN]{};
    if (address.ss_family == AF_INET) {
        auto const& v4 = reinterpret_cast<sockaddr_in const&>(address);
        return fmt::format("{}:{}", ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text), ntohs(v4.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        auto const& v6 = reinterpret_cast<sockaddr_in6 const&>(address);
        return fmt::format("[{}]:{}", ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text), ntohs(v6.sin6_port));
    }
    return "unix";
}

void stream::shutdown_send() {
    if (!is_open()) return;
    if (tls_ && SSL_is_init_finished(tls_.get())) {
        ERR_clear_error();
        (void)SSL_shutdown(tls_.get());
    }
    (void)::shutdown(descriptor_, SHUT_WR);
}

void stream::close() {
    if (!is_open()) return;
    readiness_.remove();
    (void)::close(std::exchange(descriptor_, -1));
}

} // namespace pgmend::net
