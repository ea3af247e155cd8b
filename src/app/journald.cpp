#include "journald.hpp"

#include <fmt/format.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iterator>

namespace pgmend::app {
namespace {

/// A value with line ends goes with its length ahead (little-endian, 64 bits).
void put(std::string& out, std::string_view name, std::string_view value) {
    out.append(name);
    if (value.find('\n') == std::string_view::npos) {
        out.append("=").append(value).append("\n");
        return;
    }
    out.push_back('\n');
    for (unsigned shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>((static_cast<std::uint64_t>(value.size()) >> shift) & 0xff));
    out.append(value).append("\n");
}

std::string text_of(base::log_field const& f) {
    if (auto const* const text = std::get_if<std::string_view>(&f.value)) return std::string{text->substr(0, most_value_bytes)};
    if (auto const* const number = std::get_if<std::int64_t>(&f.value)) return fmt::format("{}", *number);
    if (auto const* const flag = std::get_if<bool>(&f.value)) return *flag ? "true" : "false";
    return fmt::format("{}", std::get<double>(f.value));
}

} // namespace

bool is_journal(int descriptor) {
    auto const* const told = std::getenv("JOURNAL_STREAM");
    struct stat is {};
    if (told == nullptr || ::fstat(descriptor, &is) != 0) return false;
    return fmt::format("{}:{}", is.st_dev, is.st_ino) == told;
}

std::string format_journal(base::log_level level, std::string_view event, std::span<base::log_field const> fields) {
    static constexpr std::string_view priorities[] = {"7", "6", "4", "3"};
    std::string out;
    // The journal has the time and the level.
    auto line = format_text({}, level, event, fields, colour::off);
    line.pop_back();
    auto const begin = line.find(event);
    put(out, "MESSAGE", std::string_view{line}.substr(begin == std::string::npos ? 0 : begin));
    put(out, "PRIORITY", priorities[static_cast<std::size_t>(level)]);
    put(out, "SYSLOG_IDENTIFIER", "pgmend");
    put(out, "PGMEND_EVENT", event);
    for (auto const& f : fields) {
        std::string name = "PGMEND_";
        for (char const c : f.key) name.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : (c >= '0' && c <= '9') ? c : '_');
        put(out, name, text_of(f));
    }
    return out;
}

int open_journal(char const* path) {
    int const made = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made < 0) return -1;
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    if (::connect(made, reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0) return made;
    (void)::close(made);
    return -1;
}

} // namespace pgmend::app
