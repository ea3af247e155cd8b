#include "pgmend/net/cancel_registry.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace pgmend::net {
namespace {

constexpr std::size_t secret_bytes = 32;

bool same_secret(std::string const& one, std::string const& other) {
    return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

} // namespace

std::string cancel_registry::new_secret() {
    std::string secret(secret_bytes, '\0');
    // Without random numbers keys could be guessed; there is nothing sensible to go on with.
    if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size())) != 1)
        throw std::runtime_error("no random numbers from OpenSSL");
    return secret;
}

void cancel_registry::serve(std::uint32_t process, std::string client_secret, target served_by) {
    std::lock_guard lock{mutex_};
    entries_.emplace(process, entry{std::move(client_secret), std::move(served_by)});
}

void cancel_registry::forget(std::uint32_t process, std::string const& secret) {
    std::lock_guard lock{mutex_};
    auto const [begin, end] = entries_.equal_range(process);
    for (auto at = begin; at != end; ++at)
        if (same_secret(at->second.client_secret, secret)) {
            entries_.erase(at);
            return;
        }
}

std::optional<cancel_registry::target> cancel_registry::find(std::uint32_t process, std::string const& secret) const {
    std::lock_guard lock{mutex_};
    auto const [begin, end] = entries_.equal_range(process);
    for (auto at = begin; at != end; ++at)
        if (same_secret(at->second.client_secret, secret)) return at->second.served_by;
    return std::nullopt;
}

} // namespace pgmend::net
