// What is wrong with a file, and where.
#pragma once

#include "pgmend/yaml/document.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace pgmend::yaml {

enum class severity : std::uint8_t { warning, error };

/// One thing that is wrong with a file. Never shows a password.
struct problem {
    std::string file;          ///< as the user named it; empty: the command line
    std::uint32_t line{0};     ///< 1-based; 0: the file as a whole
    std::uint32_t column{0};   ///< 1-based, in characters
    severity level{severity::error};
    std::string message;       ///< no final period or newline

    bool operator==(problem const&) const = default;
};

/// `pgmend.yaml:7:3: error: unknown key "lisen"; did you mean "listen"?`, without a newline.
[[nodiscard]] std::string format(problem const& p);

/// All problems, one a line, each line ending in a newline.
[[nodiscard]] std::string format(std::vector<problem> const& problems);

[[nodiscard]] bool has_errors(std::vector<problem> const& problems);

/// By line and column; what an alias repeats only once. All are of one file.
void put_in_order(std::vector<problem>& problems);

} // namespace pgmend::yaml
