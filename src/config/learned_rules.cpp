#include "pgmend/config/learned_rules.hpp"

#include "pgmend/rules/rule_writer.hpp"

#include "text_file.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>

namespace pgmend::config {
namespace {

namespace fs = std::filesystem;

/// Nothing: there is no file.
std::optional<rules::loaded> read(fs::path const& file, std::chrono::sys_seconds now) {
    std::error_code failed;
    if (!fs::exists(file, failed)) return std::nullopt;
    auto const text = read_text_file(file, rules::most_file_bytes);
    if (!text) {
        rules::loaded none;
        none.problems.push_back({file.string(), 0, 0, yaml::severity::error, text.error().text});
        return none;
    }
    rules::source const source{file.string(), *text};
    auto loaded = rules::load({&source, 1}, now);
    for (auto& it : loaded.rules) it.learned = true;
    return loaded;
}

} // namespace

std::optional<fs::path> learned_file(settings const& from) {
    if (from.state.empty() || from.state.find("://") != std::string::npos) return std::nullopt;
    return fs::path{from.state + ".migrations.yaml"};
}

void add_learned_rules(settings const& from, std::chrono::sys_seconds now, loaded_rules& to) {
    auto const file = learned_file(from);
    auto found = file ? read(*file, now) : std::nullopt;
    if (!found) return;
    if (!found->ok()) {
        for (auto& p : found->problems) {
            p.level = yaml::severity::warning;
            to.problems.push_back(std::move(p));
        }
        return;
    }
    std::set<std::string> names;
    for (auto const& it : to.rules) names.insert(it.name);
    for (auto& it : found->rules) {
        if (names.insert(it.name).second) to.rules.push_back(std::move(it));
    }
}

base::result<void> write_learned_rules(fs::path const& file, std::string const& database, std::vector<rules::rule> made, std::chrono::sys_seconds now) {
    std::vector<rules::rule> all;
    if (auto kept = read(file, now)) {
        if (!kept->ok()) return base::fail(base::errc::invalid_input, yaml::format(kept->problems.front()));
        std::erase_if(kept->rules, [&](rules::rule const& it) { return it.when.databases == std::vector{database}; });
        all = std::move(kept->rules);
    }
    std::set<std::string> names;
    for (auto const& it : all) names.insert(it.name);
    for (auto& it : made) {
        it.when = {};
        it.when.databases = {database};
        it.comment = "from " + it.where.file + ", line " + std::to_string(it.where.line);
        auto const name = it.name;
        for (int i = 2; !names.insert(it.name).second; ++i) it.name = name.substr(0, 90) + "-" + std::to_string(i);
        all.push_back(std::move(it));
    }
    auto const text = "# Written by pgmend learn: what migrations say of old names. Delete a rule, or the file, to have it forgotten.\n" + rules::write_rule_file(all);
    auto const fresh = fs::path{file.string() + ".new"};
    {
        std::ofstream out{fresh, std::ios::binary | std::ios::trunc};
        out << text;
        out.close();
        if (!out) return base::fail(base::errc::system, fresh.string() + " cannot be written");
    }
    std::error_code failed;
    fs::rename(fresh, file, failed);
    if (failed) return base::fail(base::errc::system, file.string() + ": " + failed.message());
    return {};
}

} // namespace pgmend::config
