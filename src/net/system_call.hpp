// System calls on the relay's way.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <type_traits>

namespace pgmend::net {

/// As the function of the C library, errno included. That one is a point where its thread may be cancelled (pthread_cancel), which nobody does here: in a program
/// with threads it costs thirty instructions, two of them locked, for each call.
template <class... Arguments>
long system_call(long number, Arguments... arguments) {
    auto const as_register = [](auto argument) { // all of one: an int would leave half of it undefined
        if constexpr (std::is_pointer_v<decltype(argument)>) return reinterpret_cast<long>(argument);
        else return static_cast<long>(argument);
    };
    return ::syscall(number, as_register(arguments)...);
}

} // namespace pgmend::net
