// 64 bytes of a text at once, for passes that look at every byte.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace pgmend::sql {

/// Of each comparison one bit for each byte comes back; bit 0 is that of the first.
class byte_block {
  public:
    static constexpr std::size_t size = 64;

    /// The text from `at` on; blanks behind its end.
    byte_block(std::string_view text, std::size_t at) {
        auto const* p = text.data() + at;
        std::array<char, size> rest;
        if (text.size() - at < size) {
            rest.fill(' ');
            std::memcpy(rest.data(), p, text.size() - at);
            p = rest.data();
        }
#if defined(__SSE2__)
        for (std::size_t i = 0; i < parts; ++i) bytes_[i] = _mm_loadu_si128(reinterpret_cast<__m128i const*>(p + 16 * i));
#else
        std::copy_n(p, size, bytes_.begin());
#endif
    }

    /// Which are one of these.
    template <class... C>
    [[nodiscard]] std::uint64_t equal(C... wanted) const {
#if defined(__SSE2__)
        return bits([&](__m128i v) {
            auto found = _mm_setzero_si128();
            ((found = _mm_or_si128(found, _mm_cmpeq_epi8(v, _mm_set1_epi8(wanted)))), ...);
            return found;
        });
#else
        return bits([&](char b) { return ((b == wanted) || ...); });
#endif
    }

    /// What a word may consist of: letters, digits, _, $ and all that is not ASCII.
    [[nodiscard]] std::uint64_t words() const {
#if defined(__SSE2__)
        auto const bit = _mm_set1_epi8(0x20), a = _mm_set1_epi8('a'), zero = _mm_set1_epi8('0'), letters = _mm_set1_epi8(25),
                   digits = _mm_set1_epi8(9), underscore = _mm_set1_epi8('_'), dollar = _mm_set1_epi8('$');
        return bits([&](__m128i v) {
            auto const letter = up_to(_mm_sub_epi8(_mm_or_si128(v, bit), a), letters);
            auto const digit = up_to(_mm_sub_epi8(v, zero), digits);
            auto const sign = _mm_or_si128(_mm_cmpeq_epi8(v, underscore), _mm_cmpeq_epi8(v, dollar));
            return _mm_or_si128(_mm_or_si128(letter, digit), _mm_or_si128(sign, v)); // v: its highest bit counts
        });
#else
        return bits([](char b) {
            auto const c = static_cast<unsigned char>(b);
            return (static_cast<unsigned char>((c | 0x20U) - 'a') <= 25) || (static_cast<unsigned char>(c - '0') <= 9) || c == '_' || c == '$' || c >= 0x80;
        });
#endif
    }

  private:
#if defined(__SSE2__)
    static constexpr std::size_t parts = size / 16;

    /// Without signs.
    [[nodiscard]] static __m128i up_to(__m128i v, __m128i most) { return _mm_cmpeq_epi8(_mm_min_epu8(v, most), v); }

    template <class F>
    [[nodiscard]] std::uint64_t bits(F&& of) const {
        auto const part = [&](std::size_t i) { return std::uint64_t{static_cast<std::uint32_t>(_mm_movemask_epi8(of(bytes_[i])))}; };
        return part(0) | part(1) << 16U | part(2) << 32U | part(3) << 48U; // compilers do not unroll it at -O2
    }

    __m128i bytes_[parts];
#else
    template <class F>
    [[nodiscard]] std::uint64_t bits(F&& of) const {
        std::uint64_t out = 0;
        for (std::size_t i = 0; i < size; ++i) out |= std::uint64_t{of(bytes_[i])} << i;
        return out;
    }

    std::array<char, size> bytes_;
#endif
};

/// Bits of the bytes directly behind those of `bits`; `before` is the same of the block before, and becomes that of this one.
inline std::uint64_t behind(std::uint64_t bits, std::uint64_t& before) {
    auto const out = bits << 1U | before >> 63U;
    before = bits;
    return out;
}

} // namespace pgmend::sql
