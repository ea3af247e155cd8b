#include "pgmend/base/utf8.hpp"

namespace pgmend::base {

std::optional<char32_t> next_code_point(std::string_view text, std::size_t& position) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    std::size_t const begin = position++;
    auto const lead = byte(begin);
    if (lead < 0x80) return lead;

    std::size_t length = 0;
    char32_t value = 0;
    char32_t least = 0; // below it the form is overlong
    if ((lead & 0xe0) == 0xc0) { length = 2; value = lead & 0x1fU; least = 0x80; }
    else if ((lead & 0xf0) == 0xe0) { length = 3; value = lead & 0x0fU; least = 0x800; }
    else if ((lead & 0xf8) == 0xf0) { length = 4; value = lead & 0x07U; least = 0x10000; }
    else return std::nullopt;

    if (text.size() - begin < length) return std::nullopt;
    for (std::size_t i = begin + 1; i < begin + length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
        value = (value << 6) | (byte(i) & 0x3fU);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return std::nullopt;
    position = begin + length;
    return value;
}

} // namespace pgmend::base
