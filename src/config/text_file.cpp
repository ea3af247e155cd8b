#include "text_file.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

namespace pgmend::config {

base::result<std::string> read_text_file(std::filesystem::path const& file, std::size_t most_bytes) {
    auto const refuse = [](std::string why) { return base::fail(base::errc::system, "cannot be read: " + why); };
    auto const system_text = [](int number) { return std::generic_category().message(number); };

    std::error_code ignored;
    auto const kind = std::filesystem::status(file, ignored).type();
    if (kind == std::filesystem::file_type::directory) return refuse("it is a directory");
    if (kind == std::filesystem::file_type::fifo || kind == std::filesystem::file_type::socket) return refuse("it is no regular file"); // would wait for ever
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> const opened{std::fopen(file.c_str(), "re"), &std::fclose};
    if (!opened) return refuse(system_text(errno));
    std::string text;
    char piece[65536];
    while (text.size() <= most_bytes) {
        auto const n = std::fread(piece, 1, sizeof piece, opened.get());
        if (n == 0) break;
        text.append(piece, n);
    }
    if (std::ferror(opened.get()) != 0) return refuse(system_text(errno));
    if (text.size() > most_bytes) return base::fail(base::errc::too_large, "too large");
    return text;
}

} // namespace pgmend::config
