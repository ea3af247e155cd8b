// Versions of a schema as they are kept in a file, with arbitrary bytes.
#include "pgmend/catalog/delta.hpp"
#include "pgmend/catalog/diff.hpp"

#include <cstddef>
#include <cstdint>

using namespace pgmend;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const bytes{reinterpret_cast<char const*>(data), size};
    auto const first = catalog::decode_delta(nullptr, bytes.substr(0, size / 2));
    auto const whole = catalog::decode_delta(nullptr, bytes);
    if (!whole) return 0;
    catalog::snapshot const after{{"1", 5}, *whole};
    (void)catalog::fingerprint(after);
    if (first) {
        catalog::snapshot const before{{"1", 5}, *first};
        (void)catalog::diff(before, after);
        (void)catalog::touched_names(before, after);
    }
    auto const again = catalog::decode_delta(nullptr, catalog::encode_delta(nullptr, after));
    if (!again) __builtin_trap();
    return 0;
}
