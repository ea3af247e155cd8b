// Expected failures as values.
#pragma once

#include <boost/system/result.hpp>

#include <string>
#include <utility>

namespace pgmend::base {

/// What kind of thing went wrong; the text beside it is for people.
enum class errc {
    invalid_input,   ///< what came from outside is not what it has to be
    not_supported,   ///< it is well-formed, but pgmend does not do it
    too_large,       ///< beyond a documented bound
    not_found,
    connection_lost, ///< a peer closed or reset the connection
    timeout,
    tls,             ///< handshake or certificate
    system,          ///< the operating system refused (the text names errno)
};

struct error {
    errc code{errc::invalid_input};
    std::string text; ///< one sentence: what, where, what to do; never a literal or a password
};

/// A value or an error. Boost.System's result: `if (!r) return r.error();`.
template <class T>
using result = boost::system::result<T, error>;

/// Called by Boost.System when value() is asked of a result that holds an error: a broken invariant.
[[noreturn]] void throw_exception_from_error(error const& e, boost::source_location const& where);

inline error fail(errc code, std::string text) { return {code, std::move(text)}; }

} // namespace pgmend::base
