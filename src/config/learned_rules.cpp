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

constexpr auto heading = "# Written by pgmend learn: what migrations say of old names. Delete a rule, or the file, to have it forgotten.\n";

rules::loaded read(rules::source const& text, std::chrono::sys_seconds now) {
    auto loaded = rules::load({&text, 1}, now);
    for (auto& it : loaded.rules) it.learned = true;
    return loaded;
}

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
    return read(rules::source{file.string(), *text}, now);
}

std::set<std::string> names_of(std::vector<rules::rule> const& all) {
    std::set<std::string> names;
    for (auto const& it : all) names.insert(it.name);
    return names;
}

/// A name of its own, by a number behind it where it is taken.
void make_different(rules::rule& it, std::set<std::string>& names) {
    auto const name = it.name;
    for (int i = 2; !names.insert(it.name).second; ++i) it.name = name.substr(0, 90) + "-" + std::to_string(i);
}

/// Warnings, where the text cannot be used.
bool usable(rules::loaded& found, loaded_rules& to) {
    if (found.ok()) return true;
    for (auto& p : found.problems) {
        p.level = yaml::severity::warning;
        to.problems.push_back(std::move(p));
    }
    return false;
}

void limit_to(std::string const& database, rules::rule& it) {
    it.when = {};
    it.when.databases = {database};
    it.comment = "from " + it.where.file + ", line " + std::to_string(it.where.line);
}

} // namespace

std::optional<fs::path> learned_file(settings const& from) {
    if (from.state.empty() || from.state.find("://") != std::string::npos) return std::nullopt;
    return fs::path{from.state + ".migrations.yaml"};
}

void add_learned_rules(settings const& from, std::chrono::sys_seconds now, loaded_rules& to) {
    auto const file = learned_file(from);
    auto found = file ? read(*file, now) : std::nullopt;
    if (!found || !usable(*found, to)) return;
    auto names = names_of(to.rules);
    for (auto& it : found->rules) {
        if (names.insert(it.name).second) to.rules.push_back(std::move(it));
    }
}

void add_learned_rules(std::vector<rules::source> const& texts, std::chrono::sys_seconds now, loaded_rules& to) {
    auto const users = names_of(to.rules);
    auto names = users;
    for (auto const& text : texts) {
        auto found = read(text, now);
        if (!usable(found, to)) continue;
        for (auto& it : found.rules) {
            if (users.contains(it.name)) continue;
            make_different(it, names);
            to.rules.push_back(std::move(it));
        }
    }
}

std::string learned_text(std::string const& database, std::vector<rules::rule> made) {
    std::set<std::string> names;
    for (auto& it : made) {
        limit_to(database, it);
        make_different(it, names);
    }
    return heading + rules::write_rule_file(made);
}

base::result<void> write_learned_rules(fs::path const& file, std::string const& database, std::vector<rules::rule> made, std::chrono::sys_seconds now) {
    std::vector<rules::rule> all;
    if (auto kept = read(file, now)) {
        if (!kept->ok()) return base::fail(base::errc::invalid_input, yaml::format(kept->problems.front()));
        std::erase_if(kept->rules, [&](rules::rule const& it) { return it.when.databases == std::vector{database}; });
        all = std::move(kept->rules);
    }
    auto names = names_of(all);
    for (auto& it : made) {
        limit_to(database, it);
        make_different(it, names);
        all.push_back(std::move(it));
    }
    auto const text = heading + rules::write_rule_file(all);
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
