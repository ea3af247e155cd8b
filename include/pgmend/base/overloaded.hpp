// A visitor of std::variant, made of one lambda for each alternative.
#pragma once

namespace pgmend::base {

template <class... F>
struct overloaded : F... {
    using F::operator()...;
};

} // namespace pgmend::base
