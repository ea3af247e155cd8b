#include "pgmend/rules/rule_file.hpp"

#include "consistency.hpp"
#include "keys.hpp"
#include "reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace pgmend::rules {
namespace {

/// By file in the order given, then by line.
void put_in_order(std::span<source const> sources, std::vector<yaml::problem>& problems) {
    std::unordered_map<std::string_view, std::size_t> numbers;
    for (std::size_t i = 0; i < sources.size(); ++i) numbers.try_emplace(sources[i].file, i);
    std::unordered_map<std::string_view, std::vector<yaml::problem>> by_file;
    for (auto& p : problems) by_file[sources[numbers[p.file]].file].push_back(std::move(p));
    problems.clear();
    for (auto const& s : sources) {
        auto own = by_file.extract(s.file);
        if (own.empty()) continue;
        yaml::put_in_order(own.mapped());
        std::move(own.mapped().begin(), own.mapped().end(), std::back_inserter(problems));
    }
}

void describe(std::string_view group, std::string const& path, std::string& out) {
    for (auto const& k : all_keys()) {
        if (k.group != group) continue;
        std::string const shown = path + std::string{k.name};
        std::string text{k.help};
        if (!k.choices.empty()) {
            std::string choices;
            for (auto const& c : k.choices) choices.append(choices.empty() ? "" : " | ").append(c);
            text = choices + (text.empty() ? "" : "; " + text);
        }
        if (!k.built) text += " (without effect in this version)";
        out += fmt::format("  {:<32} {}\n", shown, text);
        if (k.type == key_type::mapping) describe(k.children, shown + ".", out);
        if (k.type == key_type::list_of_mappings) describe(k.children, shown + "[].", out);
    }
}

} // namespace

loaded load(std::span<source const> sources, std::chrono::sys_seconds now) {
    loaded out;
    std::vector<placed_rule> placed;
    for (auto const& s : sources) {
        auto const refuse = [&](std::string message) { out.problems.push_back({s.file, 0, 0, yaml::severity::error, std::move(message)}); };
        if (s.text.size() > most_file_bytes) {
            refuse("larger than 16MiB; this cannot be a rule file");
            continue;
        }
        reader{s.file, now, placed, out.problems}.read(s.text);
        if (placed.size() > most_rules) {
            refuse(fmt::format("more than {} rules in all", most_rules));
            return out;
        }
    }
    check_consistency(placed, now, out.problems);
    put_in_order(sources, out.problems);
    out.rules.reserve(placed.size());
    for (auto& p : placed) out.rules.push_back(std::move(p.value));
    return out;
}

std::string describe_rule_keys() {
    std::string out;
    describe("", "", out);
    return out;
}

} // namespace pgmend::rules
