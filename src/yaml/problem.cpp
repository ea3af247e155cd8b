#include "pgmend/yaml/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace pgmend::yaml {

std::string format(problem const& p) {
    std::string out = p.file;
    if (!out.empty() && p.line > 0) out += fmt::format(":{}:{}", p.line, p.column);
    if (!out.empty()) out += ": ";
    return out.append(p.level == severity::error ? "error: " : "warning: ").append(p.message);
}

std::string format(std::vector<problem> const& problems) {
    std::string out;
    for (auto const& p : problems) out.append(format(p)).append("\n");
    return out;
}

bool has_errors(std::vector<problem> const& problems) {
    return std::any_of(problems.begin(), problems.end(), [](problem const& p) { return p.level == severity::error; });
}

void put_in_order(std::vector<problem>& problems) {
    auto const place = [](problem const& p) { return std::tie(p.line, p.column); };
    std::stable_sort(problems.begin(), problems.end(), [&](problem const& a, problem const& b) { return place(a) < place(b); });
    problems.erase(std::unique(problems.begin(), problems.end()), problems.end()); // what an alias repeats
}

} // namespace pgmend::yaml
